package lake

import "testing"

func TestOlder(t *testing.T) {
	for version, want := range map[string]bool{
		"25.8.1.1": false, "25.7.9.9": true, "24.12.1": true, "26.1": false, "25.10.3": false, "a.b": false, "": false,
	} {
		if got := older(version, OldestServer); got != want {
			t.Errorf("older(%q, %q) = %v", version, OldestServer, got)
		}
	}
}
