package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

type level string

func (l *level) UnmarshalText(text []byte) error {
	if string(text) != "low" && string(text) != "high" {
		return fmt.Errorf("the level %q is unknown: write low or high", text)
	}
	*l = level(text)
	return nil
}

type pathYAML struct {
	Path   string `yaml:"path,shorthand"`
	Format string `yaml:"format"`
}

type itemYAML struct {
	ID      string              `yaml:"id"`
	Every   time.Duration       `yaml:"every"`
	Count   int32               `yaml:"count"`
	On      *bool               `yaml:"on"`
	Level   level               `yaml:"level"`
	Tags    []string            `yaml:"tags,oneormany"`
	Time    *pathYAML           `yaml:"time"`
	Headers map[string]string   `yaml:"headers"`
	Symbols Map[List[pathYAML]] `yaml:"symbols"`
}

type rootYAML struct {
	Name  string     `yaml:"name"`
	Items []itemYAML `yaml:"items"`
}

func decode(t *testing.T, text string) (rootYAML, string) {
	t.Helper()
	doc, err := ParseYAML("f.yaml", []byte(text))
	if err != nil {
		return rootYAML{}, err.Error()
	}
	var out rootYAML
	return out, doc.Decode(&out).Error()
}

func TestDecode(t *testing.T) {
	doc, err := ParseYAML("f.yaml", []byte(`
name: 007
items:
  - {id: NO, every: 1m30s, count: 1_000, on: true, level: high, tags: one, time: .t, headers: {A: 1.50}, symbols: {B: b, A: [{path: a1}, a2]}}
  - &x {id: "x", tags: [a, b], time: {path: .t, format: date}, symbols: [Z, A]}
  - *x
  -
`))
	if err != nil {
		t.Fatal(err)
	}
	var got rootYAML
	if problems := doc.Decode(&got); len(problems) > 0 {
		t.Fatal(problems)
	}
	yes := true
	x := itemYAML{ID: "x", Tags: []string{"a", "b"}, Time: &pathYAML{".t", "date"}, Symbols: Map[List[pathYAML]]{{Key: "Z"}, {Key: "A"}}}
	want := rootYAML{Name: "007", Items: []itemYAML{{ID: "NO", Every: 90 * time.Second, Count: 1000, On: &yes, Level: "high", Tags: []string{"one"},
		Time: &pathYAML{Path: ".t"}, Headers: map[string]string{"A": "1.50"},
		Symbols: Map[List[pathYAML]]{{"B", List[pathYAML]{{Path: "b"}}}, {"A", List[pathYAML]{{Path: "a1"}, {Path: "a2"}}}}}, x, x, {}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestProblems(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, got := decode(t, text)
		if joined := strings.Join(want, "\n"); got != joined {
			t.Errorf("%s\n got %s\nwant %s", text, got, joined)
		}
	}
	f("naem: x", `f.yaml:1:1: naem: unknown key; did you mean "name"?`)
	f("zzzzzzz: x", `f.yaml:1:1: zzzzzzz: unknown key; write one of items, name`)
	f("name: a\nname: b", `f.yaml:2:1: name: the key name stands twice, first on line 1; keep one of them`)
	f("name: [a]", `f.yaml:1:7: name: expected text, found a list; write one value, in quotes if it has special signs`)
	f("name:", `f.yaml:1:6: name: expected text, found nothing; write one value, in quotes if it has special signs`)
	f("items: 5", `f.yaml:1:8: items: expected a list, found a single value; write each item on its own line after "- "`)
	f("items:\n  - every: 5\n    count: many\n    on: yes\n    level: mid\n",
		`f.yaml:2:12: items[0].every: expected a duration, found the number 5; write a number with a unit, such as 5s, 1m30s or 1h`,
		`f.yaml:3:12: items[0].count: expected a whole number, found the text "many"; write digits only, such as 5`,
		`f.yaml:4:9: items[0].on: expected true or false, found the text "yes"; write true or false`,
		`f.yaml:5:12: items[0].level: the level "mid" is unknown; write low or high`)
	f("items:\n  - every: {}\n    count: 99999999999\n    headers: secret\n    tags: {a: b}\n    level: [low]",
		`f.yaml:2:12: items[0].every: expected a duration, found a mapping (key: value); write a number with a unit, such as 5s, 1m30s or 1h`,
		`f.yaml:3:12: items[0].count: expected a whole number, found the number 99999999999; write digits only, such as 5`,
		`f.yaml:4:14: items[0].headers: expected a mapping (key: value), found a single value; write key: value lines below, indented`,
		`f.yaml:5:11: items[0].tags: expected text, found a mapping (key: value); write one value, in quotes if it has special signs`,
		`f.yaml:6:12: items[0].level: expected a plain value, found a list; write one value`)
	f("items:\n  - symbols: {A: [1, {b: c}]}\n    time: [x]\n",
		`f.yaml:2:23: items[0].symbols.A[1].b: unknown key; write one of format, path`,
		`f.yaml:3:11: items[0].time: expected a mapping with the keys path, format, found a list; write key: value lines below, indented`)
	f("- a", `f.yaml:1:1: expected a mapping with the keys name, items, found a list; write key: value lines below, indented`)
	f("name: x\n? [a]\n: b", `f.yaml:2:3: a key that is no plain text; write key: value`)
	f("items:\n  - &a {id: x}\n  - <<: *a\n", `f.yaml:3:5: items[1]: merge keys (<<) are not read; write the keys out, or use an alias for a whole value`)
	f("name: x\n---\nname: y", `f.yaml:2:1: a second document begins here; write one document a file, without ---`)
	f("name: x\n  y: z", `f.yaml:2:1: this is not YAML: mapping values are not allowed in this context; check indentation, quotes and colons on this line and the one before`)
	f("items:\n  - id: a\n   count: 1", `f.yaml:3:1: this is not YAML: did not find expected '-' indicator; check indentation, quotes and colons on this line and the one before`)
	f("items:\n  - symbols: [a, [b]]", `f.yaml:2:18: items[0].symbols[1]: expected text, found a list; write one value`)
	f("")
	f("# nothing\n")
}

// TestBombs unfolds aliases of aliases, and nests without end.
func TestBombs(t *testing.T) {
	var b strings.Builder
	b.WriteString("items:\n")
	b.WriteString("  - tags: &t [" + strings.Repeat("x, ", 1000) + "x]\n")
	for range 1000 {
		b.WriteString("  - tags: *t\n")
	}
	if _, got := decode(t, b.String()); !strings.Contains(got, "too many or too deeply nested") || strings.Count(got, "\n") > 0 {
		t.Errorf("an alias bomb: %.200s", got)
	}
	if _, got := decode(t, strings.Repeat("[", 20000)); !strings.Contains(got, "not YAML") {
		t.Errorf("endless nesting: %.200s", got)
	}
	if _, got := decode(t, "name: "+strings.Repeat("x", MaxYAMLBytes)); !strings.Contains(got, "bytes") {
		t.Errorf("a huge file: %.200s", got)
	}
}

func TestPosition(t *testing.T) {
	doc, err := ParseYAML("f.yaml", []byte("name: x\nitems:\n  - id: a\n  - id: b\n    time:\n      path: .t\n"))
	if err != nil {
		t.Fatal(err)
	}
	f := func(want string, has bool, path ...any) {
		t.Helper()
		line, column := doc.Position(path...)
		if got := fmt.Sprintf("%d:%d", line, column); got != want || doc.Has(path...) != has {
			t.Errorf("%s: %s (has %v), want %s", PathText(path...), got, doc.Has(path...), want)
		}
	}
	f("1:1", true)
	f("1:1", true, "name")
	f("3:5", true, "items", 0)
	f("4:5", true, "items", 1, "id")
	f("6:7", true, "items", 1, "time", "path")
	f("5:5", false, "items", 1, "time", "zone")
	f("2:1", false, "items", 7, "id")
	f("1:1", false, "nothing", 0)
	p := doc.Problem("is wrong", "write it right", "items", 1, "time", "zone")
	if got, want := p.Error(), "f.yaml:5:5: items[1].time.zone: is wrong; write it right"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	text, err := json.Marshal(Problems{p})
	if want := `[{"file":"f.yaml","line":5,"column":5,"path":"items[1].time.zone","message":"is wrong","hint":"write it right"}]`; err != nil || string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
}

func TestSort(t *testing.T) {
	ps := Problems{{File: "b", Line: 2}, {File: "a", Line: 9}, {File: "b", Line: 1}, {File: "b", Line: 1}}
	if got, want := ps.Sort(), (Problems{{File: "b", Line: 1}, {File: "b", Line: 2}, {File: "a", Line: 9}}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if (Problems{}).Err() != nil || ps.Err() == nil {
		t.Error("Err")
	}
}

func TestDidYouMean(t *testing.T) {
	f := func(name, want string) {
		t.Helper()
		if got := DidYouMean(name, []string{"BTC-USD", "EUR-USD", "XNAS:MSFT"}); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	f("BTC-USDD", `did you mean "BTC-USD"?`)
	f("btc-usd", `did you mean "BTC-USD"?`)
	f("completely-else", "write one of BTC-USD, EUR-USD, XNAS:MSFT")
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"name: x", "items:\n  - &a {id: x, symbols: {A: [b]}}\n  - *a\n", "a: &a [*a]", "? {a: b}\n: c", "<<: 1", "items: [{time: {path: 1}}]", "\x00", "name: !!binary x"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		doc, err := ParseYAML("f", text)
		if err != nil {
			var ps Problems
			if !errors.As(err, &ps) || len(ps) == 0 {
				t.Fatalf("an error that is no Problems: %v", err)
			}
			return
		}
		var out rootYAML
		for _, p := range doc.Decode(&out) {
			if p.Line < 1 || p.Column < 1 || p.Message == "" {
				t.Fatalf("a bad problem: %+v", p)
			}
		}
		doc.Position("items", 0, "id")
	})
}
