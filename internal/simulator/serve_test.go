package simulator_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/simulator"
)

// sim is a simulator that serves on a port of its own until the test ends.
type sim struct {
	*simulator.Server
	url    string
	client *http.Client
}

func serve(t *testing.T, cfg simulator.Config) *sim {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sim{Server: simulator.New(cfg), url: "http://" + l.Addr().String(), client: &http.Client{Transport: &http.Transport{}}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, l) }()
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

// at is a clock that stands still.
func at(text string) func() time.Time {
	instant, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return func() time.Time { return instant }
}

type got struct {
	status int
	header http.Header
	body   string
	id     string
}

func (s *sim) get(t *testing.T, path string) got {
	t.Helper()
	resp, err := s.client.Get(s.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading the answer to %s: %v", path, err)
	}
	return got{resp.StatusCode, resp.Header, string(body), resp.Header.Get(simulator.HeaderID)}
}

func (s *sim) ledger(t *testing.T) map[string]simulator.Entry {
	t.Helper()
	l, err := simulator.FetchLedger(t.Context(), s.url)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]simulator.Entry{}
	for _, e := range l.Entries {
		if _, twice := out[e.ID]; twice {
			t.Errorf("the ledger has %s twice", e.ID)
		}
		out[e.ID] = e
	}
	return out
}

// entry waits for the end of an answer, which a client may see first.
func (s *sim) entry(t *testing.T, id string) simulator.Entry {
	t.Helper()
	_, seq, _ := strings.Cut(id, "-")
	for {
		var page simulator.LedgerPage
		if err := json.Unmarshal([]byte(s.get(t, "/ledger?limit=1&from="+seq).body), &page); err != nil || len(page.Entries) == 0 {
			t.Fatalf("the ledger has no %q: %v", id, err)
		}
		if e := page.Entries[0]; e.FinishedAt != nil || e.Aborted {
			return e
		}
		time.Sleep(time.Millisecond)
	}
}

func (s *sim) control(t *testing.T, c simulator.Control) simulator.ControlResult {
	t.Helper()
	result, err := simulator.SendControl(t.Context(), s.url, c)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func force(kind simulator.Trouble, provider string) simulator.Control {
	return simulator.Control{Force: []simulator.Force{{Trouble: kind, Provider: provider}}}
}

const (
	cnbPath      = "/cnb/cs/financni-trhy/devizovy-trh/kurzy-devizoveho-trhu/kurzy-devizoveho-trhu/denni_kurz.txt"
	dailyPath    = "/ecb/stats/eurofxref/eurofxref-daily.xml"
	historyPath  = "/ecb/stats/eurofxref/eurofxref-hist-90d.xml"
	latestPath   = "/frankfurter/v1/latest?base=EUR"
	coinbasePath = "/coinbase-exchange/products/BTC-USD/ticker"
	krakenPath   = "/kraken/0/public/Ticker?pair=XBTUSD,ETHEUR,SOLUSD"
	bookPath     = `/binance/api/v3/ticker/bookTicker?symbols=%5B%22BTCUSDT%22,%22ETHUSDT%22%5D`
	pricePath    = `/binance/api/v3/ticker/price?symbols=%5B%22BTCUSDT%22,%22ETHBTC%22%5D`
)

// demoPaths are what the demo polls, with the periods.
func demoPaths() map[string]time.Duration {
	return map[string]time.Duration{
		coinbasePath: time.Second,
		"/coinbase-exchange/products/BTC-USD/trades?limit=100": 3 * time.Second,
		krakenPath:                            2 * time.Second,
		"/kraken/0/public/Trades?pair=XBTUSD": 4 * time.Second,
		bookPath:                              time.Second,
		pricePath:                             2 * time.Second,
		"/binance/api/v3/trades?symbol=BTCUSDT&limit=100": 3 * time.Second,
		dailyPath:        4 * time.Second,
		historyPath:      5 * time.Second,
		latestPath:       4 * time.Second,
		cnbPath:          4 * time.Second,
		"/broken/ticker": 10 * time.Second,
	}
}
