package simulator

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// The call that docs/compose.md adds can be tried with no network: the simulator
// knows its symbol.
func TestExampleCallIsKnown(t *testing.T) {
	text, err := os.ReadFile("../../deploy/compose/catalog/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`preset: kraken/ticker\n\s+symbols: \{(\w+):`).FindSubmatch(text)
	if m == nil {
		t.Fatal("no call of Kraken in the example")
	}
	if !slices.ContainsFunc(krakenProducts(), func(p product) bool { return p.asked == string(m[1]) }) {
		t.Errorf("the simulator does not know %s", m[1])
	}
}
