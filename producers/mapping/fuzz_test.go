package mapping

import (
	"testing"
	"unicode/utf8"

	"github.com/pricelake/pricelake/schemas"
)

// checkReading holds a reading of anything to what Read promises.
func checkReading(t *testing.T, p *Program, body []byte) schemas.Reading {
	t.Helper()
	r := p.Read(&schemas.ResponseReceived{Status: 200, Body: body, FetchedAt: fetchedAt})
	switch r.Outcome {
	case schemas.PollValued, schemas.PollPartial, schemas.PollAbsent, schemas.PollUnparsable, schemas.PollErrorAnswer:
	default:
		t.Fatalf("outcome %v", r.Outcome)
	}
	if (r.Outcome == schemas.PollValued || r.Outcome == schemas.PollPartial) != (len(r.Prices) > 0) {
		t.Fatalf("outcome %v with %d prices", r.Outcome, len(r.Prices))
	}
	if r.Outcome == schemas.PollUnparsable && (len(r.Rejected) == 0 || r.Error == "") {
		t.Fatalf("unparsable without a reason")
	}
	for _, j := range r.Rejected {
		if len(j.Fragment) > 4<<10 || !utf8.ValidString(j.Fragment) || !utf8.ValidString(j.Detail) || !utf8.ValidString(j.Symbol) {
			t.Fatalf("a bad rejection: %+v", j)
		}
	}
	for i := range r.Prices {
		price := &r.Prices[i]
		valued := price.Price.Valid || price.Bid.Valid || price.Ask.Valid
		if price.Instrument == "" || price.EventTime.IsZero() || !valued {
			t.Fatalf("a bad price: %+v", price)
		}
	}
	return r
}

func FuzzReadJSON(f *testing.F) {
	for _, seed := range []string{`[{"s":"A","p":"1.5","b":1,"a":2,"z":3,"t":1603949112567,"i":7}]`, `{"error":"x"}`, `[{"s":"A","p":1e999}]`, `[{"s":"A","p":"\ud83d\ude00"}]`, `[[[[`, `{"a":1,"a":2}`, `[null,1,"x"]`} {
		f.Add([]byte(seed))
	}
	p := compiled(f, mapped(f, `{"errors": [{"when": ".error", "message": ".error"}], "rows": [".[]"], "symbol": ".s", "price": ".p", "bid": ".b", "ask": ".a", "size": ".z",
		"trade_id": ".i", "event_time": {"path": ".t", "format": "unix_ms"}, "number": {"group": ","}}`), symbolsOf("A", "B")...)
	f.Fuzz(func(t *testing.T, body []byte) { checkReading(t, p, body) })
}

func FuzzReadXML(f *testing.F) {
	for _, seed := range []string{`<R><V c="A">1,5</V></R>`, `<R>`, `<!DOCTYPE R [<!ENTITY a "b">]><R>&a;</R>`, `<?xml version="1.0" encoding="windows-1251"?><R><V c="A">` + "\xe0" + `</V></R>`, "\xff\xfe<\x00R\x00/\x00>\x00"} {
		f.Add([]byte(seed))
	}
	p := compiled(f, mapped(f, `{"format": "xml", "rows": [".R.V[]"], "symbol": ".[\"@c\"]", "price": ".[\"#text\"]", "number": {"decimal": ","}}`), symbolsOf("A")...)
	f.Fuzz(func(t *testing.T, body []byte) { checkReading(t, p, body) })
}

func FuzzReadCSV(f *testing.F) {
	for _, seed := range []string{"05.04.2016 #65\nc|p\nA|1,5\n", "x\nc|p\nA|1", "<html>", "\n\"", "x\nc|c\n", "x\nc|p\nA|\"1\n"} {
		f.Add([]byte(seed))
	}
	p := compiled(f, mapped(f, `{"format": "csv", "csv": {"delimiter": "|", "header": 2}, "rows": [".rows[]"], "symbol": ".c", "price": ".p", "number": {"decimal": ","},
		"value_date": {"path": "$doc.preamble[0] | split(\" \") | first", "format": "%d.%m.%Y"}}`), symbolsOf("A")...)
	f.Fuzz(func(t *testing.T, body []byte) { checkReading(t, p, body) })
}

// FuzzReadCut cuts a good answer anywhere: unparsable, never no data.
func FuzzReadCut(f *testing.F) {
	bodies := map[string]string{
		"json": `{"r": [{"s": "A", "p": "1.5"}, {"s": "B", "p": 2.5}]}`,
		"xml":  `<?xml version="1.0" encoding="UTF-8"?><R><V s="A">1.5</V><V s="B">2.5</V></R>`,
		"csv":  "s;p\nA;1.5\nB;2.5\n",
	}
	mappings := map[string]string{
		"json": `{"rows": [".r[]"], "symbol": ".s", "price": ".p"}`,
		"xml":  `{"format": "xml", "rows": [".R.V[]"], "symbol": ".[\"@s\"]", "price": ".[\"#text\"]"}`,
		"csv":  `{"format": "csv", "csv": {"delimiter": ";"}, "expect": [".rows[] | select(.s == \"B\")"], "rows": [".rows[]"], "symbol": ".s", "price": ".p"}`,
	}
	programs := map[string]*Program{}
	for format, m := range mappings {
		programs[format] = compiled(f, mapped(f, m), symbolsOf("A", "B")...)
	}
	for n := range 85 {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, n int) {
		for format, body := range bodies {
			whole := checkReading(t, programs[format], []byte(body))
			if whole.Outcome != schemas.PollValued {
				t.Fatalf("%s: the whole is %v: %s", format, whole.Outcome, whole.Error)
			}
			if n < 0 || n >= len(body) {
				continue
			}
			if r := checkReading(t, programs[format], []byte(body[:n])); r.Outcome != schemas.PollUnparsable || len(r.Rejected) != 1 {
				t.Errorf("%s cut after %d bytes: %v with %d rejected", format, n, r.Outcome, len(r.Rejected))
			}
		}
	})
}
