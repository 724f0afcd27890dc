package providers

import "testing"

func TestLoad(t *testing.T) {
	set, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range set.Names() {
		_, e, ok := set.Find(name)
		if !ok {
			t.Fatalf("%s not found", name)
		}
		for _, p := range e.Mapping.Check() {
			t.Errorf("%s: mapping: %v", name, p)
		}
	}
}
