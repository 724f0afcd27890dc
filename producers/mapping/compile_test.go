package mapping

import (
	"strings"
	"testing"

	"github.com/pricelake/pricelake/schemas"
)

func TestCheck(t *testing.T) {
	f := func(mapping string, want ...string) {
		t.Helper()
		m := mapped(t, mapping)
		got := m.Check()
		for _, w := range want {
			found := false
			for _, e := range got {
				found = found || strings.Contains(e.Error(), w)
			}
			if !found {
				t.Errorf("%s: no problem with %q among %v", mapping, w, got)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %d problems, want %d: %v", mapping, len(got), len(want), got)
		}
	}
	f(`{"price": ".p"}`)
	f(`{}`, "price: none of price, bid and ask")
	f(`{"price": ".p[", "rows": [".a", ".b | floor"], "symbol": "now"}`, "price: this is not jq", "rows[1]: the jq function floor", "symbol: the jq function now")
	f(`{"price": ".p", "kind": {"value": ""}}`, "kind: the kind is missing")
	f(`{"price": ".p", "kind": {"value": "bar"}, "rate_type": {"value": "x"}}`, `kind: unknown kind "bar"`, `rate_type: unknown rate type "x"`)
	f(`{"price": ".p", "kind": {"value": "ticker", "path": ".k"}}`, "kind: value and path are both set")
	f(`{"price": ".p", "rate_type": {"path": ".k", "values": {"a": "b"}}}`, `rate_type.values.a: unknown rate type`)
	f(`{"price": ".p", "session": {"value": "`+strings.Repeat("x", 40)+`"}}`, "longer than 32")
	f(`{"price": ".p", "format": "yaml"}`, `format: unknown format "yaml"; write json, xml or csv`)
	f(`{"price": ".p", "charset": "klingon"}`, "charset: unknown charset")
	f(`{"price": ".p", "csv": {"delimiter": ";"}}`, "csv: csv is set but the format is json")
	f(`{"price": ".p", "format": "csv", "csv": {"delimiter": ";;", "comment": "//", "header": -1, "skip": -1}}`, "csv.delimiter", "csv.comment", "csv.header", "csv.skip")
	f(`{"price": ".p", "format": "csv", "csv": {"header": 0}}`, "csv.columns")
	f(`{"price": ".p", "unlisted": "drop"}`, "unlisted: unknown choice")
	f(`{"price": ".p", "number": {"decimal": ";", "group": "x"}}`, "number.decimal", "number.group")
	f(`{"price": ".p", "number": {"decimal": ",", "group": ","}}`, "number.group")
	f(`{"price": ".p", "factor": "0"}`, "factor: the factor is zero")
	f(`{"price": ".p", "errors": [{"message": ".m"}]}`, "errors[0]: a rule without when")
	f(`{"price": ".p", "rows": [""]}`, "rows[0]: an empty path")
	f(`{"price": ".p", "event_time": {"path": ".t", "format": "YYYY-MM-DD"}}`, "does not hold a whole date")
	f(`{"price": ".p", "event_time": {"path": ".t", "format": "%Y-%m-%Q"}}`, "%Q is not known")
	f(`{"price": ".p", "event_time": {"path": ".t", "format": "%H:%M"}}`, "does not hold a whole date")
	f(`{"price": ".p", "event_time": {"path": ".t", "zone": "Mars/Olympus"}}`, `unknown time zone "Mars/Olympus"`)
	f(`{"price": ".p", "event_time": {"path": ".t", "kind": "guess"}}`, `kind "guess"`)
	f(`{"price": ".p", "value_date": {"format": "date"}}`, "value_date: the path is missing")
}

func TestCompile(t *testing.T) {
	f := func(mapping string, symbols int, want string) {
		t.Helper()
		_, err := Compile(&schemas.CallDefined{CallID: "c", Mapping: mapping, Symbols: symbolsOf([]string{"A", "B"}[:symbols]...)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", mapping, err, want)
		}
	}
	f(`{"kind":{"value":"ticker"},"price":".p"}`, 2, "does not say which row is whose")
	f(`{"kind":{"value":"ticker"},"price":".p"}`, 0, "does not say which row is whose")
	f(`{"kind":{"value":"ticker"},"price":".p","high":".h"}`, 1, "high")
	f(`{`, 1, `call "c"`)
	f(`{"kind":{"value":"ticker"}}`, 1, "none of price, bid and ask")
}
