package ledgercheck

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pricelake/pricelake/internal/simulator"
	"github.com/pricelake/pricelake/producers/catalog"
	"github.com/pricelake/pricelake/producers/mapping"
	"github.com/pricelake/pricelake/schemas"
)

// TestDemoCallsReadWhatTheLedgerSays asks the simulator every call of the demo,
// with every trouble, and reads the answers with the presets' mappings.
func TestDemoCallsReadWhatTheLedgerSays(t *testing.T) {
	demo, err := catalog.Demo(origin)
	if err != nil {
		t.Fatal(err)
	}
	troubles := map[simulator.Trouble]int{}
	providers := map[string]bool{}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(26 * 365 * 24 * time.Hour) // the bubble begins in 2000, before some currencies
		server := simulator.New(simulator.Config{Seed: 4, SlowFor: time.Millisecond})
		h := server.Handler()
		for i := range demo.Calls {
			def := &demo.Calls[i]
			program, err := mapping.Compile(def)
			if err != nil {
				t.Fatal(err)
			}
			for _, kind := range append([]simulator.Trouble{simulator.TroubleNone}, simulator.Troubles()...) {
				if kind != simulator.TroubleNone {
					force := simulator.Force{Trouble: kind, Provider: def.Provider, Path: pathOf(t, def)}
					if _, err := server.Control(simulator.Control{Force: []simulator.Force{force}}); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Second)
				resp := answerTo(t, h, def)
				e := entryOf(t, h, resp.Headers[simulator.HeaderID])
				troubles[e.Trouble]++
				reading := program.Read(resp)
				if len(reading.Prices) > 0 {
					providers[def.Provider] = true
				}
				compareReading(t, def, &e, &reading)
			}
		}
	})
	for _, kind := range simulator.Troubles() {
		if troubles[kind] == 0 {
			t.Errorf("no %s was read", kind)
		}
	}
	if len(providers) < 6 {
		t.Errorf("prices of %d providers: %v", len(providers), slices.Sorted(maps.Keys(providers)))
	}
}

func pathOf(t *testing.T, def *schemas.CallDefined) string {
	t.Helper()
	u, err := url.Parse(def.Request.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Path[len(def.Provider)+1:]
}

func answerTo(t *testing.T, h http.Handler, def *schemas.CallDefined) *schemas.ResponseReceived {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, callOf(t, def).URL, nil))
	return &schemas.ResponseReceived{
		CallID: def.CallID, CallVersion: def.Version, Provider: def.Provider, Status: int32(w.Code), Body: w.Body.Bytes(),
		FetchedAt: time.Now(), Slot: time.Now(),
		Headers: map[string]string{simulator.HeaderID: w.Header().Get(simulator.HeaderID), "content-type": w.Header().Get("Content-Type")},
	}
}

func callOf(t *testing.T, def *schemas.CallDefined) Call {
	t.Helper()
	call, err := CallOf(def, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return call
}

func entryOf(t *testing.T, h http.Handler, id string) simulator.Entry {
	t.Helper()
	_, seq := split(id)
	return page(t, h, seq, 1).Entries[0]
}

// said is one price, comparable.
type said struct {
	instrument, kind, rateType, tradeID, valueDate, at string
	values                                             values
	rounded                                            bool
}

func compareReading(t *testing.T, def *schemas.CallDefined, e *simulator.Entry, r *schemas.Reading) {
	t.Helper()
	name := fmt.Sprintf("%s, %s (%s)", def.CallID, e.ID, e.Trouble)
	call := callOf(t, def)
	if !call.asks(e) {
		t.Errorf("%s: %s does not ask for %s%s?%s", name, call.URL, e.Provider, e.Path, e.Query)
	}
	c := &check{}
	want, present := "failed", map[string]bool(nil)
	if e.Status == http.StatusOK {
		want, present = c.readable(e, &call)
	}
	if r.Outcome.String() != want {
		t.Errorf("%s: read as %s (%s), want %s", name, r.Outcome, r.Error, want)
	}
	if want == "unparsable" && len(r.Rejected) != 1 || want == "valued" && len(r.Rejected) != 0 {
		t.Errorf("%s: %d rejected", name, len(r.Rejected))
	}
	for _, s := range r.Symbols {
		if (s.Outcome == schemas.ValueValued) != present[s.Symbol] {
			t.Errorf("%s: %s is %s", name, s.Symbol, s.Outcome)
		}
	}
	got, served := map[said]int{}, map[said]int{}
	for i := range r.Prices {
		got[saidBy(t, &r.Prices[i])]++
	}
	for i := range e.Prices {
		p := &e.Prices[i]
		s := call.symbolOf(p)
		if s == nil {
			continue
		}
		out := said{instrument: s.Instrument, kind: p.Kind, rateType: p.RateType, tradeID: p.TradeID, valueDate: p.ValueDate}
		if p.SourceTime != nil {
			out.at = p.SourceTime.Truncate(time.Microsecond).Format(time.RFC3339Nano)
		}
		var err error
		if out.values, out.rounded, err = valuesOf(p.Kind, p.Price, p.Bid, p.Ask, p.Size); err != nil {
			t.Fatal(err)
		}
		served[out]++
	}
	if !maps.Equal(got, served) {
		for s := range served {
			if got[s] != served[s] {
				t.Errorf("%s: served %d times, read %d times: %+v", name, served[s], got[s], s)
				break
			}
		}
		t.Errorf("%s: %d prices served, %d read", name, len(served), len(got))
	}
}

func saidBy(t *testing.T, p *schemas.Price) said {
	t.Helper()
	text := func(n schemas.NullDecimal) string {
		if !n.Valid {
			return ""
		}
		return n.Decimal.String()
	}
	v, _, err := valuesOf(p.Kind.String(), text(p.Price), text(p.Bid), text(p.Ask), text(p.Size))
	if err != nil {
		t.Fatal(err)
	}
	out := said{
		instrument: p.Instrument, kind: p.Kind.String(), rateType: p.RateType.String(), tradeID: p.TradeID,
		values: v, rounded: p.Quality&schemas.QualityRounded != 0,
	}
	if p.ValueDate != nil {
		out.valueDate = p.ValueDate.String()
	}
	if p.EventTimeKind == schemas.TimeSource || p.EventTimeKind == schemas.TimePublish {
		out.at = p.EventTime.Format(time.RFC3339Nano)
	}
	return out
}
