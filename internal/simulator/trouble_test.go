package simulator_test

import (
	"context"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pricelake/pricelake/internal/simulator"
)

// poll asks again and again as the demo does: a period for each address, a
// timeout, up to five attempts. It must run in a bubble of synctest.
func poll(t *testing.T, h http.Handler, d time.Duration, paths map[string]time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var pollers sync.WaitGroup
	for i, path := range slices.Sorted(maps.Keys(paths)) {
		every, phase := paths[path], time.Duration(i)*137*time.Millisecond
		pollers.Go(func() {
			time.Sleep(phase % every)
			for ctx.Err() == nil {
				slot := time.Now()
				for range 5 {
					if ask(ctx, h, path).Code == http.StatusOK {
						break
					}
					time.Sleep(200 * time.Millisecond)
				}
				time.Sleep(max(0, every-time.Since(slot)))
			}
		})
	}
	pollers.Wait()
}

func ask(ctx context.Context, h http.Handler, path string) *httptest.ResponseRecorder {
	ctx, cancel := context.WithTimeout(ctx, 1500*time.Millisecond)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1"+path, nil)
	w := httptest.NewRecorder()
	w.Code = 0
	h.ServeHTTP(w, r)
	if ctx.Err() != nil {
		w.Code = 0 // timed out
	}
	return w
}

func TestEveryTroubleWithinTwentySecondsOfTheDemo(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			s := simulator.New(simulator.Config{Seed: seed, Rates: simulator.DefaultRates()})
			poll(t, s.Handler(), 20*time.Second, demoPaths())
			summary := s.Summary()
			for _, kind := range simulator.Troubles() {
				if n := summary.Troubles[kind]; n == 0 {
					t.Errorf("seed %d: no %s among %d answers", seed, kind, summary.Entries)
				}
			}
			if n := summary.Troubles[simulator.TroubleNone]; n < summary.Entries*3/4 {
				t.Errorf("seed %d: only %d of %d answers without trouble", seed, n, summary.Entries)
			}
			if summary.Aborted == 0 || summary.InFlight != 0 || len(summary.Restatements) == 0 || summary.Statuses[429] == 0 {
				t.Errorf("seed %d: %+v", seed, summary)
			}
		})
	}
}

func TestNoTroubleWithoutRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulator.New(simulator.Config{Seed: 1})
		poll(t, s.Handler(), 30*time.Second, demoPaths())
		if got := s.Summary(); got.Troubles[simulator.TroubleNone] != got.Entries {
			t.Errorf("trouble without rates: %v", got.Troubles)
		}
	})
}

// bodies are what a server serves to a fixed series of requests.
func bodies(t *testing.T, seed uint64) []string {
	var out []string
	synctest.Test(t, func(t *testing.T) {
		h := simulator.New(simulator.Config{Seed: seed, Rates: simulator.DefaultRates(), SlowFor: time.Millisecond}).Handler()
		for range 110 {
			for _, path := range []string{coinbasePath, krakenPath, bookPath, latestPath, historyPath, cnbPath, "/binance/api/v3/trades?symbol=BTCUSDT"} {
				out = append(out, ask(t.Context(), h, path).Body.String())
			}
			time.Sleep(200 * time.Millisecond)
		}
	})
	return out
}

func TestSameSeedServesTheSameBytes(t *testing.T) {
	first, second, other := bodies(t, 3), bodies(t, 3), bodies(t, 4)
	same := 0
	for i := range first {
		if first[i] != second[i] {
			t.Fatalf("answer %d differs:\n%.300s\n%.300s", i, first[i], second[i])
		}
		if first[i] == other[i] {
			same++
		}
	}
	if same > len(first)/10 {
		t.Errorf("%d of %d answers are the same with another seed", same, len(first))
	}
}

func TestRateLimitedSaysWhenToComeBack(t *testing.T) {
	s := serve(t, simulator.Config{RetryAfter: 1500 * time.Millisecond})
	s.control(t, force(simulator.TroubleRateLimited, "kraken"))
	if a := s.get(t, coinbasePath); a.status != 200 {
		t.Errorf("another provider: status %d", a.status)
	}
	a := s.get(t, krakenPath)
	e := s.entry(t, a.id)
	if a.status != 429 || a.header.Get("Retry-After") != "2" || e.RetryAfter != 2 || e.Status != 429 || len(e.Prices) > 0 {
		t.Errorf("status %d, Retry-After %q, entry %+v", a.status, a.header.Get("Retry-After"), e)
	}
	if a := s.get(t, krakenPath); a.status != 200 {
		t.Errorf("forced once, and the next answer has status %d", a.status)
	}
}

func TestServerErrorAndHTML(t *testing.T) {
	s := serve(t, simulator.Config{})
	for _, path := range []string{coinbasePath, krakenPath, bookPath, dailyPath, latestPath, cnbPath} {
		s.control(t, force(simulator.TroubleServerError, ""))
		a := s.get(t, path)
		if e := s.entry(t, a.id); a.status != 500 || e.Trouble != simulator.TroubleServerError || len(e.Prices) > 0 {
			t.Errorf("%s: status %d, entry %+v", path, a.status, e)
		}
		s.control(t, force(simulator.TroubleHTML, ""))
		a = s.get(t, path)
		e := s.entry(t, a.id)
		if a.status != 200 || !strings.HasPrefix(a.body, "<!DOCTYPE html>") || a.header.Get("Content-Type") != "text/html; charset=utf-8" ||
			e.Trouble != simulator.TroubleHTML || len(e.Prices) > 0 {
			t.Errorf("%s: status %d, %.20q, entry %+v", path, a.status, a.body, e)
		}
	}
}

func TestMissingSymbol(t *testing.T) {
	s := serve(t, simulator.Config{Clock: at("2024-06-03T15:30:00Z")})
	f := func(path string, all int, read func(string) ([]line, error)) {
		t.Helper()
		s.control(t, force(simulator.TroubleMissingSymbol, ""))
		a := s.get(t, path)
		e := s.entry(t, a.id)
		lines, err := read(a.body)
		if err != nil || len(lines) != all-1 || len(e.Prices) != all-1 || len(e.Missing) != 1 {
			t.Fatalf("%s: %d rows, %d in the ledger, missing %q: %v", path, len(lines), len(e.Prices), e.Missing, err)
		}
		for _, l := range lines {
			if l.symbol == e.Missing[0] {
				t.Errorf("%s: %s is there", path, l.symbol)
			}
		}
		if a := s.get(t, path); len(s.entry(t, a.id).Prices) != all {
			t.Errorf("%s: still missing in the next answer", path)
		}
	}
	f(krakenPath, 3, readKrakenTicker)
	f(bookPath, 2, readBinanceBook)
	f(pricePath, 2, readBinancePrice)
	f(dailyPath, 29, readECB)
	f(latestPath, 29, readFrankfurter)
	f(cnbPath, 30, readCNB)

	s.control(t, force(simulator.TroubleMissingSymbol, ""))
	if a := s.get(t, coinbasePath); s.entry(t, a.id).Trouble != simulator.TroubleNone {
		t.Error("a symbol is missing in an answer about one product")
	}
}

func TestRepeat(t *testing.T) {
	f := func(path string, kind, other simulator.Trouble) {
		t.Helper()
		s := serve(t, simulator.Config{})
		s.control(t, force(other, ""))
		s.control(t, force(kind, ""))
		first := s.get(t, path)
		if e := s.entry(t, first.id); e.Trouble != simulator.TroubleNone {
			t.Errorf("%s: the first answer is a %s", path, e.Trouble)
		}
		time.Sleep(2 * time.Millisecond)
		second := s.get(t, path)
		e := s.entry(t, second.id)
		if second.body != first.body || e.Trouble != kind || e.RepeatOf != first.id || second.id == first.id {
			t.Errorf("%s: %s of %q, body the same %t", path, e.Trouble, e.RepeatOf, second.body == first.body)
		}
		if third := s.get(t, path); s.entry(t, third.id).Trouble != simulator.TroubleNone {
			t.Errorf("%s: %s makes no sense here", path, other)
		}
	}
	f(coinbasePath, simulator.TroubleRepeat, simulator.TroubleRepeatUntimed)
	f("/binance/api/v3/trades?symbol=BTCUSDT", simulator.TroubleRepeat, simulator.TroubleRepeatUntimed)
	f(bookPath, simulator.TroubleRepeatUntimed, simulator.TroubleRepeat)
	f(krakenPath, simulator.TroubleRepeatUntimed, simulator.TroubleRestated)
}

func TestManyDecimals(t *testing.T) {
	s := serve(t, simulator.Config{Seed: 5})
	ties := 0
	for range 12 {
		for _, path := range []string{coinbasePath, krakenPath, bookPath, pricePath} {
			s.control(t, force(simulator.TroubleManyDecimals, ""))
			a := s.get(t, path)
			e := s.entry(t, a.id)
			found := 0
			for _, p := range e.Prices {
				for _, text := range []string{p.Price, p.Bid, p.Ask} {
					_, decimals, _ := strings.Cut(text, ".")
					if len(decimals) < 20 {
						continue
					}
					found++
					if strings.HasSuffix(decimals, "50") {
						ties++
					}
					if !strings.Contains(a.body, text) || len(decimals) != 20 || strings.HasSuffix(decimals, "00") {
						t.Errorf("%s: %s", path, text)
					}
				}
				if p.Price != "" && p.Bid != "" && (rat(t, p.Bid).Cmp(rat(t, p.Price)) > 0 || rat(t, p.Bid).Cmp(rat(t, p.Ask)) >= 0) {
					t.Errorf("%s: bid %s, price %s, ask %s", path, p.Bid, p.Price, p.Ask)
				}
			}
			if found != 1 {
				t.Errorf("%s: %d values with 20 decimals", path, found)
			}
		}
	}
	if ties == 0 || ties == 48 {
		t.Errorf("%d of 48 are exactly half", ties)
	}
}

func rat(t *testing.T, text string) *big.Rat {
	t.Helper()
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		t.Fatalf("%q is no number", text)
	}
	return r
}
