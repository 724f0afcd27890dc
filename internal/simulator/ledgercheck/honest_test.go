package ledgercheck

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pricelake/pricelake/internal/simulator"
)

// world is a ledger and the lake that an honest path makes of it.
type world struct {
	ledger simulator.Ledger
	lake   Lake
	calls  []Call
	o      Options
}

const origin = "http://127.0.0.1:8099"

func demoCalls() []Call {
	fixings := func(instrument string) []Symbol {
		var out []Symbol
		for _, code := range []string{"USD", "GBP", "JPY", "CHF", "AUD", "CAD"} {
			out = append(out, Symbol{Symbol: code, Instrument: fmt.Sprintf(instrument, code)})
		}
		return out
	}
	euro, koruna := fixings("EUR-%s"), fixings("%s-CZK")
	return []Call{
		{ID: "coinbase-ticker", URL: origin + "/coinbase-exchange/products/BTC-USD/ticker", Symbols: []Symbol{{Symbol: "BTC-USD", Instrument: "BTC-USD"}}},
		{ID: "coinbase-trades", URL: origin + "/coinbase-exchange/products/BTC-USD/trades?limit=20", Symbols: []Symbol{{Symbol: "BTC-USD", Instrument: "BTC-USD"}}},
		{ID: "kraken-ticker", URL: origin + "/kraken/0/public/Ticker?pair=XBTUSD,ETHEUR,SOLUSD", Symbols: []Symbol{
			{Symbol: "XBTUSD", Aliases: []string{"XXBTZUSD"}, Instrument: "BTC-USD"}, {Symbol: "ETHEUR", Instrument: "ETH-EUR"}, {Symbol: "SOLUSD", Instrument: "SOL-USD"},
		}},
		{ID: "kraken-wrong", URL: origin + "/kraken/0/public/Ticker?pair=FOO", Symbols: []Symbol{{Symbol: "FOO", Instrument: "FOO-USD"}}},
		{ID: "binance-book", URL: origin + `/binance/api/v3/ticker/bookTicker?symbols=["BTCUSDT","ETHUSDT"]`, Symbols: []Symbol{
			{Symbol: "BTCUSDT", Instrument: "BTC-USDT"}, {Symbol: "ETHUSDT", Instrument: "ETH-USDT"},
		}},
		{ID: "ecb-daily", URL: origin + "/ecb/stats/eurofxref/eurofxref-daily.xml", Symbols: euro},
		{ID: "ecb-history", URL: origin + "/ecb/stats/eurofxref/eurofxref-hist-90d.xml", Symbols: euro},
		{ID: "frankfurter", URL: origin + "/frankfurter/v1/latest?base=EUR", Symbols: euro},
		{ID: "cnb", URL: origin + "/cnb/cs/financni-trhy/devizovy-trh/kurzy-devizoveho-trhu/kurzy-devizoveho-trhu/denni_kurz.txt", Symbols: koruna},
		{ID: "broken", URL: origin + "/broken/ticker", Symbols: []Symbol{{Symbol: "X", Instrument: "BTC-USD"}}},
	}
}

// honest polls a simulator for a while of a clock that does not wait, with much
// trouble, and keeps books as the lake would.
func honest(t *testing.T) *world {
	t.Helper()
	w := &world{calls: demoCalls()}
	synctest.Test(t, func(t *testing.T) {
		rates := simulator.DefaultRates()
		for kind := range rates {
			rates[kind] /= 3
		}
		server := simulator.New(simulator.Config{Seed: 9, Rates: rates})
		h := server.Handler()
		k := &keeper{w: w, state: map[string][]Price{}}
		for round := range 40 {
			for i := range w.calls {
				every := 1 + i%3
				if w.calls[i].ID == "ecb-history" {
					every = 7
				}
				if round%every == 0 {
					k.poll(t, h, &w.calls[i], i)
				}
			}
			time.Sleep(500 * time.Millisecond)
		}
		w.ledger = simulator.Ledger{Run: server.Summary().Run}
		w.ledger.Entries = fetch(t, h)
		k.observeAll()
	})
	return w
}

// keeper plays poller, normalizer and deduplicator in the simplest way.
type keeper struct {
	w       *world
	state   map[string][]Price // rows by identity
	offset  int64
	repeats int64
}

func (k *keeper) poll(t *testing.T, h http.Handler, call *Call, partition int) {
	now := time.Now()
	p := Poll{
		PollID: fmt.Sprintf("poll-%d", len(k.w.lake.Polls)), CorrelationID: fmt.Sprintf("corr-%d", len(k.w.lake.Polls)),
		CallID: call.ID, Slot: now, StartedAt: now, Outcome: "failed",
	}
	for n := 1; n <= 5; n++ {
		a := Attempt{Number: n, StartedAt: time.Now()}
		r, ok := k.ask(t, h, call)
		a.Duration = time.Since(a.StartedAt)
		switch {
		case !ok:
			a.Outcome = "timeout"
		default:
			k.offset++
			r.ResponseID, r.PollID, r.CallID, r.Attempt = fmt.Sprintf("%s-%d", p.PollID, n), p.PollID, call.ID, n
			r.Partition, r.Offset = int32(partition%3), k.offset
			a.Status, a.ResponseID, a.Outcome = r.Status, r.ResponseID, map[int]string{200: "ok", 429: "rate_limited"}[r.Status]
			if a.Outcome == "" {
				a.Outcome = "status"
			}
			k.w.lake.Responses = append(k.w.lake.Responses, r)
		}
		p.Attempts = append(p.Attempts, a)
		if a.Outcome == "ok" {
			p.Outcome = ""
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	p.FinishedAt = time.Now()
	k.w.lake.Polls = append(k.w.lake.Polls, p)
}

func (k *keeper) ask(t *testing.T, h http.Handler, call *Call) (Response, bool) {
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	u, err := url.Parse(call.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery = u.Query().Encode()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil))
	if ctx.Err() != nil {
		return Response{}, false
	}
	sum := sha256.Sum256(w.Body.Bytes())
	return Response{
		Status: w.Code, BodySHA256: hex.EncodeToString(sum[:]),
		Headers: map[string]string{simulator.HeaderID: w.Header().Get(simulator.HeaderID)},
	}, true
}

func fetch(t *testing.T, h http.Handler) []simulator.Entry {
	t.Helper()
	var out []simulator.Entry
	for next := int64(1); ; {
		p := page(t, h, next, 1000)
		if len(p.Entries) == 0 {
			return out
		}
		out, next = append(out, p.Entries...), p.Next
	}
}

func page(t *testing.T, h http.Handler, from int64, limit int) simulator.LedgerPage {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1/ledger?limit=%d&from=%d", limit, from), nil))
	var out simulator.LedgerPage
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// observeAll fills in what follows from the ledger's words about each answer.
func (k *keeper) observeAll() {
	entries := map[string]*simulator.Entry{}
	for i := range k.w.ledger.Entries {
		entries[k.w.ledger.Entries[i].ID] = &k.w.ledger.Entries[i]
	}
	for i := range k.w.lake.Polls {
		p := &k.w.lake.Polls[i]
		call := &k.w.calls[slices.IndexFunc(k.w.calls, func(c Call) bool { return c.ID == p.CallID })]
		last := p.Attempts[len(p.Attempts)-1]
		at := slices.IndexFunc(k.w.lake.Responses, func(r Response) bool { return r.ResponseID == last.ResponseID })
		var present map[string]bool
		if p.Outcome == "failed" {
			k.w.lake.DeadLetters = append(k.w.lake.DeadLetters, DeadLetter{
				DeadLetterID: "dead-" + p.PollID, Reason: "attempts", CallID: p.CallID, CorrelationID: p.CorrelationID, Attempts: 5,
			})
		} else {
			r := &k.w.lake.Responses[at]
			e := entries[r.Headers[simulator.HeaderID]]
			present = k.read(p, call, r, e)
		}
		tally(p, call, present)
	}
	for _, rows := range k.state {
		k.w.lake.Prices = append(k.w.lake.Prices, rows...)
	}
	k.w.lake.Repeats = &k.repeats
}

// read is the normalizer and the deduplicator for one answer.
func (k *keeper) read(p *Poll, call *Call, r *Response, e *simulator.Entry) map[string]bool {
	reason := ""
	switch {
	case e.Trouble == simulator.TroubleHTML:
		reason = "unparsable"
	case e.ErrorAnswer:
		reason = "error_answer"
	}
	if p.Outcome = reason; reason != "" {
		k.w.lake.Rejected = append(k.w.lake.Rejected, Rejected{RejectID: "reject-" + r.ResponseID, Reason: reason, ResponseID: r.ResponseID})
		return nil
	}
	present := map[string]bool{}
	for i := range e.Prices {
		s := call.symbolOf(&e.Prices[i])
		if s == nil {
			continue
		}
		present[s.Symbol] = true
		k.observe(p, r, e, s, &e.Prices[i])
	}
	p.Outcome = "partial"
	if len(present) == len(call.Symbols) {
		p.Outcome = "valued"
	}
	return present
}

func (k *keeper) observe(p *Poll, r *Response, e *simulator.Entry, s *Symbol, price *simulator.Price) {
	row := Price{
		Provider: e.Provider, CallID: p.CallID, Instrument: s.Instrument, Kind: price.Kind, RateType: price.RateType,
		ValueDate: price.ValueDate, TradeID: price.TradeID, EventTime: p.FinishedAt, EventTimeKind: "fetched",
		PollID: p.PollID, ResponseID: r.ResponseID,
	}
	var cut bool
	for _, n := range []struct {
		from string
		to   *string
	}{{price.Price, &row.Price}, {price.Bid, &row.Bid}, {price.Ask, &row.Ask}, {price.Size, &row.Size}} {
		*n.to, cut, _ = canonical(n.from)
		row.Rounded = row.Rounded || cut
	}
	when := "slot " + p.Slot.String()
	switch {
	case price.TradeID != "":
		when = "trade " + price.TradeID
	case price.ValueDate != "":
		when = "date " + price.ValueDate
	case price.SourceTime != nil:
		when = "time " + price.SourceTime.String()
	}
	if price.SourceTime != nil {
		row.EventTime, row.EventTimeKind = *price.SourceTime, "source"
	}
	row.EventID = fmt.Sprint("event ", e.Provider, s.Instrument, price.Kind, price.RateType, when)
	rows := k.state[row.EventID]
	if n := len(rows); n > 0 {
		last := rows[n-1]
		if last.Price == row.Price && last.Bid == row.Bid && last.Ask == row.Ask && last.Size == row.Size {
			k.repeats++
			return
		}
	}
	row.Revision = len(rows)
	k.state[row.EventID] = append(rows, row)
}

func tally(p *Poll, call *Call, present map[string]bool) {
	for _, s := range call.Symbols {
		outcome := "absent"
		switch {
		case present == nil:
			outcome = "failed"
			p.Failed++
		case present[s.Symbol]:
			outcome = "valued"
			p.Valued++
		default:
			p.Absent++
		}
		p.Requested++
		p.Symbols = append(p.Symbols, SymbolOutcome{Symbol: s.Symbol, Outcome: outcome})
	}
}
