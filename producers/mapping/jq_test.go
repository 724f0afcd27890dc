package mapping

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/itchyny/gojq"
)

func values(t *testing.T, e *expr, doc any) (out []any, failed bool) {
	t.Helper()
	s := &scope{row: doc, doc: doc, budget: newBudget(0)}
	err := e.each(s, func(v any) bool { out = append(out, v); return true })
	return out, err != nil
}

// TestRefused lists what a mapping must not do, and what it is told instead.
func TestRefused(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if _, err := compileExpr(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", text, err, want)
		}
	}
	f(`.a[`, "not jq")
	f(`.a * 100`, "arithmetic")
	f(`.a / 100 | tostring`, "arithmetic")
	f(`.a - .b`, "arithmetic")
	f(`.a % 2`, "arithmetic")
	f(`.a += 1`, "arithmetic")
	f(`map(.p * 2)`, "arithmetic")
	f(`"\(.a * 2)"`, "arithmetic")
	f(`{a: (.b - 1)}`, "arithmetic")
	f(`[.[] | select(.a * 2 > 1)]`, "arithmetic")
	f(`def f: . * 2; f`, "arithmetic")
	f(`.a | tonumber`, "tonumber")
	for _, name := range []string{"now", "env", "$ENV.HOME", "input", "inputs", "floor", "sqrt", "halt", "debug", "localtime", "mktime",
		"input_filename", "infinite", "nan", "abs", "round", "pow(.;2)", "log", "min", "max", "todate", "get_search_list", "builtins", "limit(1; now)", "add(.[])"} {
		f(name, "cannot be used")
	}
	f(`import "x" as x; .`, "modules")
	f(`@sh`, "format")
	f(`.a | @base32d`, "format")
	f(`nosuch`, "cannot be used")
	f(`.a | split`, "does not compile")
}

// TestNoFloats tries to make a float, or a text of one, out of exact numbers.
func TestNoFloats(t *testing.T) {
	doc, err := parseJSON([]byte(`{"a":1.1,"b":2.2,"s":"x","l":[1.1,2.2],"n":null}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{`.a + .b`, `(.a + .b) | tostring`, `.l | add`, `[.a, .b] | add | tostring`, `"\(.a + .b)"`, `.a + 1`} {
		e, err := compileExpr(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if out, failed := values(t, e, doc); !failed {
			t.Errorf("%s gives %v", text, out)
		}
	}
	for text, want := range map[string]any{
		`.s + "y"`: "xy", `.n + .a`: json.Number("1.1"), `.l + [3]`: []any{json.Number("1.1"), json.Number("2.2"), 3},
		`{a} + {b}`: map[string]any{"a": json.Number("1.1"), "b": json.Number("2.2")}, `["a","b"] | add`: "ab",
		`.a | tostring`: "1.1", `"\(.a)"`: "1.1", `.l | join("|")`: "1.1|2.2", `[.l[] | select(. > 2)] | first`: json.Number("2.2"),
		`.l | last`: json.Number("2.2"), `"[1.10]" | fromjson | .[0]`: json.Number("1.10"), `.l[-1:][0]`: json.Number("2.2"),
	} {
		e, err := compileExpr(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if out, failed := values(t, e, doc); failed || len(out) != 1 || !reflect.DeepEqual(out[0], want) {
			t.Errorf("%s gives %#v, want %#v", text, out, want)
		}
	}
}

func paths() []string {
	return []string{".", ".a", ".a.b", `.a["b"]`, `.["@a b"]`, `."@a b"`, ".a[0]", ".a[-1]", ".[1]", ".[-2]", ".a[]", ".[]", ".a[].b", ".[][0]",
		".a | .b", ".a | .[]", ".a | to_entries[]", "to_entries[]", "to_entries[] | .value", ".a | to_entries[] | .key", ".a[][]", "$doc.a", "$doc[0]", ".a.b.c[2]"}
}

// TestFastIsJQ holds plain paths to jq's results.
func TestFastIsJQ(t *testing.T) {
	docs := []string{`{}`, `[]`, `null`, `1`, `"x"`, `true`, `{"a":null}`, `{"a":1}`, `{"a":[]}`, `{"a":[1,2,{"b":3}]}`, `{"a":{"b":{"c":[1,2,3]}}}`,
		`{"a":{"b":null,"a":[7]}}`, `[[1,2],[3]]`, `[{"b":1},{"b":2}]`, `{"@a b":5}`, `{"a":[{"b":1},{"b":2}],"z":{"y":0}}`, `[1,[2]]`, `{"b":[1],"a":[2]}`}
	for _, path := range paths() {
		fast, err := compileExpr(path)
		if err != nil {
			t.Fatal(err)
		}
		if fast.fast == nil {
			t.Errorf("%s is no plain path", path)
		}
		query, err := gojq.Parse(path)
		if err != nil {
			t.Fatal(err)
		}
		slow, err := compileSlow(path, query)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range docs {
			if text == `"x"` && strings.Contains(path, "[") {
				continue
			}
			doc, err := parseJSON([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			a, aFailed := values(t, fast, doc)
			b, bFailed := values(t, slow, doc)
			if aFailed != bFailed || !reflect.DeepEqual(a, b) {
				t.Errorf("%s over %s: %v (failed %v), jq says %v (failed %v)", path, text, a, aFailed, b, bFailed)
			}
			s := &scope{row: doc, doc: doc, budget: newBudget(0)}
			av, _, aErr := fast.one(s)
			bv, _, bErr := slow.one(s)
			if (aErr != nil) != (bErr != nil) || aErr == nil && !reflect.DeepEqual(av, bv) {
				t.Errorf("%s over %s: one is %v (%v), jq says %v (%v)", path, text, av, aErr, bv, bErr)
			}
		}
	}
}

func TestNotPlain(t *testing.T) {
	for _, path := range []string{".a?", ".a // 1", ".a[1:2]", ".a[.b]", ".[$doc.i]", "..", `if . then .a else .b end`, "$up | $doc", ". as $x | $x"} {
		e, err := compileExpr(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		} else if e.fast != nil {
			t.Errorf("%s is taken for a plain path", path)
		}
	}
}
