package simulator_test

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/simulator"
)

func TestLedgerIsCompleteUnderConcurrency(t *testing.T) {
	rates := simulator.Rates{}
	for _, kind := range simulator.Troubles() {
		rates[kind] = 5 * time.Millisecond
	}
	s := serve(t, simulator.Config{Rates: rates, SlowFor: 5 * time.Millisecond})
	type answered struct {
		path, sum string
		status    int
	}
	var mu sync.Mutex
	answers := map[string]answered{}
	var readers sync.WaitGroup
	paths := slices.Sorted(maps.Keys(demoPaths()))
	for i := range 8 {
		readers.Go(func() {
			for j := range 40 {
				path := paths[(i+j)%len(paths)]
				a := s.get(t, path)
				sum := sha256.Sum256([]byte(a.body))
				mu.Lock()
				if _, twice := answers[a.id]; twice {
					t.Errorf("two answers have the id %s", a.id)
				}
				answers[a.id] = answered{path, hex.EncodeToString(sum[:]), a.status}
				mu.Unlock()
			}
		})
	}
	readers.Wait()
	for s.Summary().InFlight > 0 {
		time.Sleep(time.Millisecond)
	}
	entries := s.ledger(t)
	if len(entries) != 320 || len(answers) != 320 {
		t.Errorf("%d entries, %d answers, want 320", len(entries), len(answers))
	}
	for id, a := range answers {
		e := entries[id]
		path := "/" + e.Provider + e.Path
		if e.Query != "" {
			path += "?" + e.Query
		}
		if path != a.path || e.Status != a.status || e.BodySHA256 != a.sum || e.FinishedAt == nil || e.FinishedAt.Before(e.StartedAt) {
			t.Errorf("%s: asked %s, got %d; entry %s, %d, finished %v", id, a.path, a.status, path, e.Status, e.FinishedAt)
		}
	}
	summary := s.Summary()
	count := int64(0)
	for _, kinds := range summary.Providers {
		for _, n := range kinds {
			count += n
		}
	}
	if summary.Entries != 320 || count != 320 {
		t.Errorf("%+v", summary)
	}
}

// No two statements of one source time differ, however fast they are asked for.
func TestSourceTimesAreUnique(t *testing.T) {
	s := serve(t, simulator.Config{Clock: at("2024-06-03T15:30:00Z")})
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for range 20 {
				s.get(t, coinbasePath)
			}
		})
	}
	readers.Wait()
	seen := map[time.Time]bool{}
	for _, e := range s.ledger(t) {
		at := *e.Prices[0].SourceTime
		if seen[at] {
			t.Errorf("%s twice", at)
		}
		seen[at] = true
	}
}

func TestTradesOverlapConsistently(t *testing.T) {
	s := serve(t, simulator.Config{})
	known := map[string]line{}
	// Trades come at random moments: ask until there is a new one.
	for start := time.Now(); len(known) <= 300 && time.Since(start) < 20*time.Second; {
		for path, read := range map[string]func(string) ([]line, error){
			"/coinbase-exchange/products/BTC-USD/trades?limit=100": readCoinbaseTrades("BTC-USD"),
			"/kraken/0/public/Trades?pair=XBTUSD":                  readKrakenTrades,
			"/binance/api/v3/trades?symbol=BTCUSDT":                readBinanceTrades,
		} {
			lines, err := read(s.get(t, path).body)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range lines {
				if old, ok := known[l.symbol+l.tradeID]; ok && old != l {
					t.Errorf("trade %s of %s was %v, is %v", l.tradeID, l.symbol, old, l)
				}
				known[l.symbol+l.tradeID] = l
				if l.at.After(time.Now()) {
					t.Errorf("trade %v is in the future", l)
				}
			}
		}
		time.Sleep(150 * time.Millisecond)
	}
	if len(known) <= 300 {
		t.Errorf("%d trades, no new one", len(known))
	}
}

func TestLedgerPagesAndBodies(t *testing.T) {
	s := serve(t, simulator.Config{})
	var want []string
	for range 7 {
		want = append(want, s.get(t, coinbasePath).body)
	}
	for s.Summary().InFlight > 0 {
		time.Sleep(time.Millisecond)
	}
	page := s.get(t, "/ledger?from=3&limit=2&body=true")
	for i, body := range want {
		quoted := strings.ReplaceAll(body, `"`, `\"`)
		if got := strings.Contains(page.body, quoted); got != (i == 2 || i == 3) {
			t.Errorf("body %d on the page: %t", i+1, got)
		}
	}
	if !strings.Contains(page.body, `"next":5`) {
		t.Errorf("page %.300s", page.body)
	}
	for _, query := range []string{"?from=x", "?limit=-1", "?from=99999999999999999999"} {
		if a := s.get(t, "/ledger"+query); a.status != http.StatusBadRequest {
			t.Errorf("%s: status %d", query, a.status)
		}
	}
	if a := s.get(t, "/ledger?from=1000"); !strings.Contains(a.body, `"entries":[]`) {
		t.Errorf("beyond the end: %s", a.body)
	}
}

func TestLedgerIsBounded(t *testing.T) {
	f := func(cfg simulator.Config, kept int64) {
		t.Helper()
		s := serve(t, cfg)
		for range 20 {
			s.get(t, "/coinbase-exchange/products/BTC-USD/trades?limit=10")
		}
		l, err := simulator.FetchLedger(t.Context(), s.url)
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(l.Entries)) != kept || l.Evicted != 20-kept || l.Entries[0].Seq != 21-kept || s.Summary().Entries != 20 {
			t.Errorf("%d entries from %d, %d evicted", len(l.Entries), l.Entries[0].Seq, l.Evicted)
		}
	}
	f(simulator.Config{}, 20)
	f(simulator.Config{LedgerEntries: 6}, 6)
	f(simulator.Config{LedgerBytes: 15_000}, 3)
	f(simulator.Config{LedgerBytes: 1}, 1)
}

func TestOnlyThisMachineIsAnswered(t *testing.T) {
	s := serve(t, simulator.Config{})
	f := func(host, origin string, want int) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/ledger", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		resp, err := s.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("Host %q, Origin %q: status %d, want %d", host, origin, resp.StatusCode, want)
		}
	}
	f("", "", 200)
	f("localhost:8080", "http://localhost:8080", 200)
	f("localhost:8080", "http://localhost:3000", 403)
	f("127.0.0.1", "", 200)
	f("[::1]:80", "http://[::1]:80", 200)
	f("[::1]", "", 200)
	f("evil.example", "", 403)
	f("127.0.0.1.evil.example", "", 403)
	f("192.168.0.1", "", 403)
	f("localhost", "https://evil.example", 403)
	f("localhost", "null", 403)
	if n := s.Summary().Entries; n != 0 {
		t.Errorf("%d entries", n)
	}
}

func TestClientErrorsSayWhatWasAsked(t *testing.T) {
	s := serve(t, simulator.Config{})
	_, err := simulator.SendControl(t.Context(), s.url, force("boredom", ""))
	if err == nil || !strings.Contains(err.Error(), "status 400") || !strings.Contains(err.Error(), "boredom") {
		t.Errorf("%v", err)
	}
	if _, err := simulator.FetchLedger(t.Context(), s.url+"/nowhere"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("%v", err)
	}
	if _, err := simulator.FetchSummary(t.Context(), "http://127.0.0.1:1"); err == nil {
		t.Error("no error")
	}
	summary, err := simulator.FetchSummary(t.Context(), s.url)
	if err != nil || summary.Run != s.Summary().Run {
		t.Errorf("%+v, %v", summary, err)
	}
	if a := s.get(t, "/healthz"); a.status != 200 {
		t.Errorf("healthz: %d", a.status)
	}
}
