package simulator_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/simulator"
)

func FuzzProviders(f *testing.F) {
	for path := range demoPaths() {
		f.Add(path)
	}
	f.Add("/kraken/0/public/Ticker?pair=,,")
	f.Add("/binance/api/v3/trades?symbols=[]&limit=0")
	f.Add("/frankfurter/v1/0000-00-00?symbols=,")
	f.Add("/frankfurter/v1/1999-01-01")
	f.Add("/coinbase-exchange/products//trades?limit=99999999999")
	server := simulator.New(simulator.Config{Clock: at("2024-06-03T15:30:00Z"), LedgerEntries: 10})
	h := server.Handler()
	f.Fuzz(func(t *testing.T, path string) {
		if !strings.HasPrefix(path, "/") {
			return
		}
		r, err := http.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil)
		if err != nil {
			return
		}
		w := &discard{header: http.Header{}}
		h.ServeHTTP(w, r)
		if w.status == 0 {
			t.Errorf("%q: no answer", path)
		}
	})
}

func FuzzControl(f *testing.F) {
	f.Add(`{"force":[{"trouble":"html","times":-1}],"rates":{"slow":"1s"},"freeze":true}`)
	f.Add(`{"restate":[{"provider":"ecb","symbol":"USD","value_date":"2024-06-03","value":"1.1"}]}`)
	f.Add(`{"restate":[{"provider":"cnb","symbol":"USD","value":"9999999999999999999"}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		h := simulator.New(simulator.Config{Clock: at("2024-06-03T15:30:00Z")}).Handler()
		for _, r := range []struct{ method, url, body string }{
			{http.MethodPost, "http://127.0.0.1/control", body},
			{http.MethodGet, "http://127.0.0.1" + dailyPath, ""},
			{http.MethodGet, "http://127.0.0.1" + cnbPath, ""},
		} {
			request, err := http.NewRequest(r.method, r.url, strings.NewReader(r.body))
			if err != nil {
				t.Fatal(err)
			}
			w := &discard{header: http.Header{}}
			h.ServeHTTP(w, request)
			if w.status == 0 {
				t.Errorf("%s %s: no answer", r.method, r.url)
			}
		}
	})
}

// discard takes an answer and keeps its status.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header { return d.header }

func (d *discard) WriteHeader(status int) { d.status = status }

func (d *discard) Write(p []byte) (int, error) {
	if d.status == 0 {
		d.status = http.StatusOK
	}
	return len(p), nil
}

func (d *discard) Flush() {}
