package mapping

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/schemas"
)

var fetchedAt = time.Date(2026, time.March, 2, 10, 0, 0, 123456789, time.UTC)

// mapped makes a mapping from JSON; kind ticker and price .p unless it says.
func mapped(t testing.TB, text string) Mapping {
	t.Helper()
	m := Mapping{Kind: Choice{Value: "ticker"}}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return m
}

func symbolsOf(names ...string) []schemas.CallSymbol {
	var out []schemas.CallSymbol
	for _, n := range names {
		out = append(out, schemas.CallSymbol{Symbol: n, Instrument: n + "-USD", Base: n, Quote: "USD", Factor: schemas.DecimalFromInt64(1)})
	}
	return out
}

func compiled(t testing.TB, m Mapping, symbols ...schemas.CallSymbol) *Program {
	t.Helper()
	text, err := m.JSON()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Compile(&schemas.CallDefined{CallID: "c", Version: "v", Provider: "p", Mapping: text, Symbols: symbols})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func answer(body string) *schemas.ResponseReceived {
	return &schemas.ResponseReceived{Status: 200, Body: []byte(body), FetchedAt: fetchedAt}
}

// summary writes a reading in one line: outcome, prices, rejections, outcomes of
// the symbols.
func summary(r schemas.Reading) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", r.Outcome)
	for _, p := range r.Prices {
		fmt.Fprintf(&b, " %s", p.Base)
		for _, v := range []struct {
			name string
			n    schemas.NullDecimal
		}{{"", p.Price}, {"bid", p.Bid}, {"ask", p.Ask}, {"size", p.Size}} {
			if v.n.Valid {
				fmt.Fprintf(&b, " %s%s", v.name, v.n.Decimal)
			}
		}
		if p.Quality != 0 {
			fmt.Fprintf(&b, " q%d", p.Quality)
		}
		b.WriteByte(';')
	}
	for _, j := range r.Rejected {
		fmt.Fprintf(&b, " !%s(%s)", j.Reason, j.Symbol)
	}
	for _, s := range r.Symbols {
		fmt.Fprintf(&b, " %s=%s", s.Symbol, s.Outcome)
	}
	if r.Unlisted > 0 {
		fmt.Fprintf(&b, " unlisted=%d", r.Unlisted)
	}
	return b.String()
}

func TestReadNumbers(t *testing.T) {
	f := func(mapping, body, want string) {
		t.Helper()
		p := compiled(t, mapped(t, mapping), symbolsOf("A")...)
		if got := summary(p.Read(answer(body))); got != want {
			t.Errorf("%s\n got %s\nwant %s", body, got, want)
		}
	}
	plain := `{"price": ".p"}`
	f(plain, `{"p":1.5}`, "valued A 1.5; A=valued")
	f(plain, `{"p":"1.50"}`, "valued A 1.5; A=valued")
	f(plain, `{"p":"1e-08"}`, "valued A 0.00000001; A=valued")
	f(plain, `{"p":1E+2}`, "valued A 100; A=valued")
	f(plain, `{"p":0}`, "valued A 0; A=valued")
	f(plain, `{"p":-36.98}`, "valued A -36.98; A=valued")
	f(plain, `{"p":0.1000000000000000055511151231257827}`, "valued A 0.100000000000000006 q1; A=valued")
	f(plain, `{"p":9007199254740993.000000000000000001}`, "valued A 9007199254740993.000000000000000001; A=valued")
	f(plain, `{"p":1e999999999}`, "unparsable !too_large(A) A=failed")
	f(plain, `{"p":"123456789012345678901"}`, "unparsable !too_large(A) A=failed")
	f(plain, `{"p":"12,5"}`, "unparsable !bad_number(A) A=failed")
	f(plain, `{"p":"NaN"}`, "unparsable !bad_number(A) A=failed")
	f(plain, `{"p":true}`, "unparsable !bad_number(A) A=failed")
	f(plain, `{"p":{}}`, "unparsable !bad_number(A) A=failed")
	f(plain, `{"p":null}`, "absent A=absent")
	f(plain, `{"p":" N/A "}`, "absent A=absent")
	f(plain, `{"p":""}`, "absent A=absent")
	f(`{"price": ".p", "absent": {"values": ["none"], "zero": true}}`, `{"p":0}`, "absent A=absent")
	f(`{"price": ".p", "absent": {"values": ["none"]}}`, `{"p":"none"}`, "absent A=absent")
	f(`{"price": ".p", "absent": {"values": ["none"]}}`, `{"p":"N/A"}`, "unparsable !bad_number(A) A=failed")

	comma := `{"price": ".p", "number": {"decimal": ",", "group": "."}}`
	f(comma, `{"p":"1.234.567,89"}`, "valued A 1234567.89; A=valued")
	f(comma, `{"p":"-234,5"}`, "valued A -234.5; A=valued")
	f(comma, `{"p":1.5}`, "valued A 1.5; A=valued") // a JSON number is what it is
	f(comma, `{"p":"1.5"}`, "unparsable !bad_number(A) A=failed")
	f(comma, `{"p":"1234.567,8"}`, "unparsable !bad_number(A) A=failed")
	f(comma, `{"p":"1,234.5"}`, "unparsable !bad_number(A) A=failed")
	f(`{"price": ".p", "number": {"decimal": ","}}`, `{"p":"1.234,5"}`, "unparsable !bad_number(A) A=failed")
	f(`{"price": ".p", "number": {"group": ","}}`, `{"p":"12,345.6"}`, "valued A 12345.6; A=valued")
	f(`{"price": ".p", "number": {"group": ","}}`, `{"p":"12,5"}`, "unparsable !bad_number(A) A=failed")
	f(`{"price": ".p", "number": {"group": " "}}`, "{\"p\":\"12\u00a0345.6\"}", "valued A 12345.6; A=valued")

	f(`{"price": ".p", "lot": ".n"}`, `{"p":"51.384","n":100}`, "valued A 0.51384; A=valued")
	f(`{"price": ".p", "lot": "1000"}`, `{"p":"1.798"}`, "valued A 0.001798; A=valued")
	f(`{"price": ".p", "lot": ".n"}`, `{"p":"1","n":3}`, "valued A 0.333333333333333333 q1; A=valued")
	f(`{"price": ".p", "lot": ".n"}`, `{"p":"1","n":0}`, "unparsable !bad_number(A) A=failed")
	f(`{"price": ".p", "lot": ".n"}`, `{"p":"1"}`, "unparsable !bad_number(A) A=failed")
	f(`{"price": ".p", "factor": "31.1034768"}`, `{"p":2}`, "valued A 62.2069536; A=valued")
	f(`{"price": ".p", "inverse": true}`, `{"p":0.8}`, "valued A 1.25; A=valued")
	f(`{"price": ".p", "inverse": true}`, `{"p":3}`, "valued A 0.333333333333333333 q1; A=valued")
	f(`{"price": ".p", "inverse": true}`, `{"p":0}`, "unparsable !bad_number(A) A=failed")
	f(`{"bid": ".b", "ask": ".a", "inverse": true, "kind": {"value": "quote"}}`, `{"b":4,"a":5}`, "valued A bid0.2 ask0.25; A=valued")
	f(`{"price": "1.5"}`, `{}`, "unparsable !float(A) A=failed")
	f(`{"price": ".p", "bid": ".b"}`, `{"p":1,"b":"x"}`, "unparsable !bad_number(A) A=failed")
	f(`{"price": ".p", "size": ".s", "kind": {"value": "trade"}}`, `{"p":1,"s":"2.50"}`, "valued A 1 size2.5; A=valued")
	f(`{"price": ".p", "bid": ".b", "kind": {"value": "trade"}}`, `{"b":1}`, "unparsable !no_value(A) A=failed")
}

func TestReadSymbolFactor(t *testing.T) {
	pence, _, _ := schemas.ParseDecimal("0.01")
	symbols := symbolsOf("A")
	symbols[0].Factor = pence
	p := compiled(t, mapped(t, `{"price": ".p"}`), symbols...)
	if got, want := summary(p.Read(answer(`{"p":308.8}`))), "valued A 3.088; A=valued"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestReadRows(t *testing.T) {
	f := func(mapping, body, want string) {
		t.Helper()
		p := compiled(t, mapped(t, mapping), symbolsOf("A", "B")...)
		if got := summary(p.Read(answer(body))); got != want {
			t.Errorf("%s\n got %s\nwant %s", body, got, want)
		}
	}
	list := `{"rows": [".[]"], "symbol": ".s", "price": ".p"}`
	f(list, `[{"s":"A","p":1},{"s":"B","p":2}]`, "valued A 1; B 2; A=valued B=valued")
	f(list, `[{"s":"A","p":1}]`, "partial A 1; A=valued B=absent")
	f(list, `[{"s":"A","p":1},{"s":"B","p":"x"}]`, "partial A 1; !bad_number(B) A=valued B=failed")
	f(list, `[{"s":"A","p":"x"},{"s":"A","p":1}]`, "partial A 1; !bad_number(A) A=valued B=absent")
	f(list, `[{"s":"A","p":null},{"s":"B","p":2}]`, "partial B 2; A=absent B=valued")
	f(list, `[{"s":"C","p":1},{"s":"B","p":2}]`, "partial B 2; A=absent B=valued unlisted=1")
	f(list, `[]`, "absent A=absent B=absent")
	f(list, `[{"p":1}]`, "unparsable !unparsable() A=absent B=absent")
	f(list, `{"error":"no"}`, "unparsable !unparsable() A=failed B=failed")
	f(list, `null`, "unparsable !unparsable() A=failed B=failed")
	f(list, `[{"s":"A"},{"s":"B"}]`, "unparsable !unparsable() A=failed B=failed")
	f(list, `[{"s":"A"},{"s":"B","p":2}]`, "partial B 2; A=absent B=valued")
	f(`{"rows": [".[]"], "symbol": ".s", "price": ".p", "expect": ["type == \"array\""]}`, `[{"s":"A"},{"s":"B"}]`, "absent A=absent B=absent")
	f(`{"rows": [".[]"], "symbol": ".s", "price": ".p", "unlisted": "ignore"}`, `[{"s":"C","p":1},{"s":"A","p":2}]`, "partial A 2; A=valued B=absent")
	f(`{"rows": [".[]"], "symbol": ".s", "price": ".p", "unlisted": "reject"}`, `[{"s":"C","p":1},{"s":"A","p":2}]`, "partial A 2; !unknown_symbol(C) A=valued B=absent unlisted=1")
	f(`{"rows": [".[]"], "symbol": ".s", "price": ".p", "row_errors": [{"when": ".error", "message": ".message"}]}`,
		`[{"s":"A","error":"NOT_FOUND","message":"gone"},{"s":"B","p":2}]`, "partial B 2; !error_answer(A) A=failed B=valued")
	f(`{"rows": [".days[]", ".rates | to_entries[]"], "symbol": ".key", "price": ".value", "session": {"path": "$up.day"}}`,
		`{"days":[{"day":"1","rates":{"B":2,"A":1}},{"day":"2","rates":{"A":3}}]}`, "valued A 1; B 2; A 3; A=valued B=valued")
	f(`{"rows": [".r | to_entries[]"], "symbol": ".key", "price": ".value", "lot": "$doc.n"}`, `{"n":10,"r":{"A":1,"B":2}}`, "valued A 0.1; B 0.2; A=valued B=valued")

	wrong := `{"rows": [".[]"], "symbol": ".s", "price": ".p", "errors": [{"when": ".error", "message": ".error.text"}]}`
	f(wrong, `{"error":{"text":"limit"}}`, "error_answer !error_answer() A=failed B=failed")
	f(wrong, `{"error":null}`, "unparsable !unparsable() A=failed B=failed")
}

func TestReadErrorMessages(t *testing.T) {
	f := func(mapping, body, want string) {
		t.Helper()
		p := compiled(t, mapped(t, mapping), symbolsOf("A")...)
		if r := p.Read(answer(body)); !strings.Contains(r.Error, want) || len(r.Rejected) != 1 || r.Rejected[0].Detail != r.Error || r.Rejected[0].Provider != "p" {
			t.Errorf("%s: error %q without %q, rejected %v", body, r.Error, want, r.Rejected)
		}
	}
	f(`{"price": ".p", "errors": [{"when": ".e", "message": ".e.text"}]}`, `{"e":{"text":"over quota"}}`, "over quota")
	f(`{"price": ".p", "errors": [{"when": ".e"}]}`, `{"e":"over quota"}`, "over quota")
	f(`{"price": ".p", "expect": [".p"]}`, `{"x":1}`, "the answer lacks .p")
	f(`{"price": ".p"}`, `<!DOCTYPE html><html></html>`, "web page")
	f(`{"price": ".p"}`, `{"p":1`, "ends early")
	f(`{"price": ".p"}`, `{"p":1} x`, "something follows")
	f(`{"price": ".p"}`, `{"p":1,"p":2}`, `"p" stands twice`)
	f(`{"price": ".p"}`, ``, "empty")
	f(`{"price": ".p"}`, "{\"p\":\"\xff\"}", "not UTF-8")
	f(`{"price": ".p"}`, `{"p":NaN}`, "expected a value")
	f(`{"price": ".p"}`, strings.Repeat("[", 70), "deeper than 64")
}

func TestReadTimes(t *testing.T) {
	f := func(mapping, body, want string) {
		t.Helper()
		p := compiled(t, mapped(t, mapping), symbolsOf("A")...)
		r := p.Read(answer(body))
		got := fmt.Sprint(r.Outcome)
		if len(r.Prices) == 1 {
			p := r.Prices[0]
			got = fmt.Sprintf("%s %s q%d", p.EventTime.Format(time.RFC3339Nano), p.EventTimeKind, p.Quality)
			if p.ValueDate != nil {
				got += " date " + p.ValueDate.String()
			}
			if p.PublishedAt != nil {
				got += " published " + p.PublishedAt.Format(time.RFC3339Nano)
			}
		} else if len(r.Rejected) > 0 {
			got += " " + r.Rejected[0].Reason.String()
		}
		if got != want {
			t.Errorf("%s over %s\n got %s\nwant %s", mapping, body, got, want)
		}
	}
	event := func(more string) string { return `{"price": ".p", "event_time": {"path": ".t"` + more + `}}` }
	f(`{"price": ".p"}`, `{"p":1}`, "2026-03-02T10:00:00.123456Z fetched q0")
	f(event(``), `{"p":1,"t":"2015-04-08T20:49:06.506997Z"}`, "2015-04-08T20:49:06.506997Z source q0")
	f(event(``), `{"p":1,"t":"2015-04-08T20:49:06.5069971+02:00"}`, "2015-04-08T18:49:06.506997Z source q2")
	f(event(`,"format":"unix_s"`), `{"p":1,"t":1385579841.7774}`, "2013-11-27T19:17:21.7774Z source q0")
	f(event(`,"format":"unix_s"`), `{"p":1,"t":1710327959.1733468}`, "2024-03-13T11:05:59.173346Z source q2")
	f(event(`,"format":"unix_s"`), `{"p":1,"t":"-0.0000005"}`, "1969-12-31T23:59:59.999999Z source q2")
	f(event(`,"format":"unix_ms"`), `{"p":1,"t":"1603949112567"}`, "2020-10-29T05:25:12.567Z source q0")
	f(event(`,"format":"unix_us"`), `{"p":1,"t":1603949112567001}`, "2020-10-29T05:25:12.567001Z source q0")
	f(event(`,"format":"unix_ns"`), `{"p":1,"t":1710327959173746878}`, "2024-03-13T11:05:59.173746Z source q2")
	f(event(`,"format":"02/01/2006 15:04","zone":"America/New_York"`), `{"p":1,"t":"02/03/2026 09:30"}`, "2026-03-02T14:30:00Z source q0")
	f(event(`,"format":"%d %b %Y %I:%M %p"`), `{"p":1,"t":"17 Mar 2026 03:04 PM"}`, "2026-03-17T15:04:00Z source q0")
	f(event(`,"format":"%Y-%m-%dT%H:%M:%S.%f"`), `{"p":1,"t":"2026-03-17T01:02:03.25"}`, "2026-03-17T01:02:03.25Z source q0")
	f(event(`,"kind":"publish"`), `{"p":1,"t":"2026-03-01T00:00:00Z"}`, "2026-03-01T00:00:00Z publish q0 published 2026-03-01T00:00:00Z")
	f(event(``), `{"p":1,"t":"yesterday"}`, "unparsable bad_time")
	f(event(``), `{"p":1,"t":null}`, "unparsable bad_time")
	f(event(``), `{"p":1,"t":{}}`, "unparsable bad_time")
	f(event(`,"optional":true`), `{"p":1}`, "2026-03-02T10:00:00.123456Z fetched q0")
	f(event(`,"format":"unix_s"`), `{"p":1,"t":1e30}`, "unparsable bad_time")
	f(event(`,"format":"unix_s"`), `{"p":1,"t":99999999999}`, "unparsable bad_time")

	f(`{"price": ".p", "value_date": {"path": ".d"}}`, `{"p":1,"d":"2026-02-27"}`, "2026-02-27T00:00:00Z value_date q0 date 2026-02-27")
	f(`{"price": ".p", "value_date": {"path": ".d", "format": "%d.%m.%Y"}}`, `{"p":1,"d":"05.04.2016"}`, "2016-04-05T00:00:00Z value_date q0 date 2016-04-05")
	f(`{"price": ".p", "value_date": {"path": ".d", "format": "2 January 2006"}}`, `{"p":1,"d":"13 April 2026"}`, "2026-04-13T00:00:00Z value_date q0 date 2026-04-13")
	f(`{"price": ".p", "value_date": {"path": ".d", "format": "20060102"}}`, `{"p":1,"d":20260303}`, "2026-03-03T00:00:00Z value_date q0 date 2026-03-03")
	f(`{"price": ".p", "value_date": {"path": ".d", "format": "rfc3339", "zone": "Asia/Tokyo"}}`, `{"p":1,"d":"2026-03-01T20:00:00Z"}`, "2026-03-02T00:00:00Z value_date q0 date 2026-03-02")
	f(`{"price": ".p", "value_date": {"path": ".d", "format": "unix_s", "zone": "Asia/Tokyo"}}`, `{"p":1,"d":1772395200}`, "2026-03-02T00:00:00Z value_date q0 date 2026-03-02")
	f(`{"price": ".p", "value_date": {"path": ".d"}}`, `{"p":1,"d":"2026-02-30"}`, "unparsable bad_time")
	f(`{"price": ".p", "value_date": {"path": ".d"}, "event_time": {"path": ".t"}}`, `{"p":1,"d":"2026-02-27","t":"2026-02-27T15:00:00Z"}`,
		"2026-02-27T15:00:00Z source q0 date 2026-02-27")
}

// TestReadSymbolValidity uses one ticker for two companies, one after the other.
func TestReadSymbolValidity(t *testing.T) {
	end, begin := schemas.DateOf(2022, time.June, 8), schemas.DateOf(2022, time.June, 9)
	symbols := symbolsOf("META", "META")
	symbols[0].Instrument, symbols[0].ValidTo = "OLD", &end
	symbols[1].Instrument, symbols[1].ValidFrom = "NEW", &begin
	symbols[1].Aliases = []string{"meta"}
	symbols = append(symbols, symbolsOf("GONE")...)
	symbols[2].ValidTo = &end
	p := compiled(t, mapped(t, `{"rows": [".[]"], "symbol": ".s", "price": ".p", "value_date": {"path": ".d"}}`), symbols...)
	r := p.Read(answer(`[{"s":"META","p":1,"d":"2022-06-08"},{"s":"meta","p":2,"d":"2022-06-09"},{"s":"meta","p":3,"d":"2022-06-08"},{"s":"GONE","p":4,"d":"2022-06-09"}]`))
	if len(r.Prices) != 2 || r.Prices[0].Instrument != "OLD" || r.Prices[1].Instrument != "NEW" || r.Unlisted != 2 {
		t.Errorf("prices %v, unlisted %d", r.Prices, r.Unlisted)
	}
	if got, want := fmt.Sprint(r.Symbols), "[{META NEW valued }]"; got != want {
		t.Errorf("symbols %s, want %s: one that is over is not asked for", got, want)
	}
	r = p.Read(answer(`[{"s":"GONE","p":4,"d":"2022-06-08"}]`))
	if got, want := summary(r), "partial GONE 4; META=absent GONE=valued"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := p.Failed(fetchedAt, "no answer"); len(got) != 1 || got[0].Symbol != "META" || got[0].Outcome != schemas.ValueFailed {
		t.Errorf("Failed: %v", got)
	}
}

func TestReadChoices(t *testing.T) {
	p := compiled(t, mapped(t, `{"rows": [".[]"], "price": ".p", "kind": {"value": "fixing"}, "rate_type": {"path": ".t", "values": {"K": "buy", "V": "sell"}}, "session": {"path": ".s"}}`), symbolsOf("A")...)
	r := p.Read(answer(`[{"p":1,"t":"K","s":"am"},{"p":2,"t":"V"},{"p":3,"t":"X"}]`))
	if len(r.Prices) != 2 || r.Prices[0].RateType != schemas.RateBuy || r.Prices[0].Session != "am" || r.Prices[1].RateType != schemas.RateSell || len(r.Rejected) != 1 {
		t.Errorf("%+v", r)
	}
	for kind, rate := range map[string]schemas.RateType{"ticker": schemas.RateLast, "quote": schemas.RateNone, "trade": schemas.RateLast, "fixing": schemas.RateOfficial, "index": schemas.RateIndex} {
		p := compiled(t, mapped(t, `{"price": ".p", "kind": {"value": "`+kind+`"}}`), symbolsOf("A")...)
		if r := p.Read(answer(`{"p":1}`)); r.Prices[0].RateType != rate {
			t.Errorf("a %s is %v, want %v", kind, r.Prices[0].RateType, rate)
		}
	}
}

func TestReadStatus(t *testing.T) {
	p := compiled(t, mapped(t, `{"price": ".p"}`), symbolsOf("A")...)
	resp := answer(`{"p":1}`)
	resp.Status = 429
	if got, want := summary(p.Read(resp)), "failed A=failed"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestReadBounds feeds more bad rows than are kept.
func TestReadBounds(t *testing.T) {
	p := compiled(t, mapped(t, `{"rows": [".[]"], "price": ".p"}`), symbolsOf("A")...)
	body := "[" + strings.Repeat(`{"p":"`+strings.Repeat("x", 5000)+`"},`, maxRejected+50) + `{"p":1}]`
	r := p.Read(answer(body))
	if len(r.Rejected) != maxRejected+1 || !strings.Contains(r.Rejected[maxRejected].Detail, "50 more") || len(r.Prices) != 1 {
		t.Errorf("%d rejected, %d prices, the last: %v", len(r.Rejected), len(r.Prices), r.Rejected[len(r.Rejected)-1])
	}
	for _, j := range r.Rejected {
		if len(j.Fragment) > 4<<10 || len(j.Detail) > 1<<10 {
			t.Fatalf("a fragment of %d bytes, a detail of %d", len(j.Fragment), len(j.Detail))
		}
	}
	trades := compiled(t, mapped(t, `{"rows": [".[]"], "kind": {"value": "trade"}, "price": ".p", "trade_id": ".i"}`), symbolsOf("A")...)
	r = trades.Read(answer(`[{"p":1,"i":"` + strings.Repeat("7", 256) + `"},{"p":2,"i":"` + strings.Repeat("7", 2<<20) + `"},{"p":3,"i":{"x":"` + strings.Repeat("é", 200) + `"}}]`))
	if len(r.Prices) != 1 || len(r.Prices[0].TradeID) != 256 || len(r.Rejected) != 2 {
		t.Fatalf("long ids: %d prices, %d rejected", len(r.Prices), len(r.Rejected))
	}
	for i, n := range []string{"2097152", "408"} {
		if d := r.Rejected[i].Detail; !strings.Contains(d, "trade_id: ") || !strings.Contains(d, "has "+n+" bytes") || len(d) > 200 {
			t.Errorf("a long id is rejected as %q", d)
		}
	}
	endless := compiled(t, mapped(t, `{"rows": ["def f: f; f"], "price": ".p"}`), symbolsOf("A")...)
	if r := endless.Read(answer(`{"p":1}`)); r.Outcome != schemas.PollUnparsable || !strings.Contains(r.Error, "too many steps") {
		t.Errorf("an endless path: %v %s", r.Outcome, r.Error)
	}
}
