package catalog

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/producers/mapping"
	"github.com/pricelake/pricelake/producers/providers"
)

// TestDocs loads every example of docs/catalog.md and holds its list of presets
// to the real one.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/catalog.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml (catalog|mapping)\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 6 {
		t.Fatalf("%d examples", len(blocks))
	}
	for _, block := range blocks {
		kind, example := block[1], block[2]
		if kind == "catalog" {
			if _, err := Parse(Source{Name: "example", Text: []byte(example)}); err != nil {
				t.Errorf("%s\n%v", example, err)
			}
			continue
		}
		doc, err := config.ParseYAML("example", []byte(example))
		if err != nil {
			t.Fatal(err)
		}
		var m mapping.Mapping
		if problems := doc.Decode(&m); len(problems) > 0 {
			t.Errorf("%s\n%v", example, problems)
		}
		if wrong := m.Check(); len(wrong) > 0 {
			t.Errorf("%s\n%v", example, wrong)
		}
	}
	set, err := providers.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range set.Names() {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/catalog.md does not name the preset %s", name)
		}
	}
}
