package poller

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pricelake/pricelake/schemas"
)

// call makes one attempt with a client of its own.
func call(t *testing.T, cfg ClientConfig, request schemas.CallRequest) (Answer, error) {
	t.Helper()
	c := NewClient(cfg)
	t.Cleanup(c.Close)
	return c.Do(t.Context(), &request)
}

func TestRequestAsItArrives(t *testing.T) {
	var got *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { got = req }))
	t.Cleanup(server.Close)
	cfg := ClientConfig{AllowPrivate: []string{"127.0.0.1"}}
	if _, err := call(t, cfg, schemas.CallRequest{
		URL: server.URL + `/p?symbols=["BTC"]#part`, Query: map[string]string{"b": "2 3", "a": "1"},
	}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"User-Agent": defaultUserAgent, "Accept": defaultAccept, "Accept-Encoding": "gzip",
	}
	for name, value := range want {
		if got.Header.Get(name) != value {
			t.Errorf("%s: %q, want %q", name, got.Header.Get(name), value)
		}
	}
	if got.Method != "GET" || got.RequestURI != `/p?symbols=["BTC"]&a=1&b=2+3` {
		t.Errorf("request line: %s %s", got.Method, got.RequestURI)
	}
	if _, err := call(t, cfg, schemas.CallRequest{
		URL: server.URL, Method: "POST", Body: "{}", Headers: map[string]string{"Accept": "text/csv", "User-Agent": "me", "Host": "prices.example"},
	}); err != nil {
		t.Fatal(err)
	}
	if got.Method != "POST" || got.Header.Get("Accept") != "text/csv" || got.UserAgent() != "me" || got.Host != "prices.example" || got.ContentLength != 2 {
		t.Errorf("request = %+v", got)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var followed atomic.Bool
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Store(true) }))
	t.Cleanup(target.Close)
	server := httptest.NewServer(http.RedirectHandler(target.URL, http.StatusMovedPermanently))
	t.Cleanup(server.Close)
	a, err := call(t, ClientConfig{AllowPrivate: []string{"127.0.0.1"}}, schemas.CallRequest{URL: server.URL})
	if err != nil || a.Status != 301 || a.Outcome != schemas.AttemptStatus || followed.Load() {
		t.Errorf("answer %+v, %v; followed: %v", a, err, followed.Load())
	}
}

func TestConnectionsAreReused(t *testing.T) {
	var opened atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Query().Get("n") == "3" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = w.Write([]byte(strings.Repeat("x", 100_000)))
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	c := NewClient(ClientConfig{AllowPrivate: []string{"127.0.0.1"}})
	t.Cleanup(c.Close)
	for _, n := range []string{"1", "2", "3", "4", "5"} {
		if _, err := c.Do(t.Context(), &schemas.CallRequest{URL: server.URL, Query: map[string]string{"n": n}}); err != nil {
			t.Fatal(err)
		}
	}
	if opened.Load() != 1 {
		t.Errorf("%d connections for 5 requests, one after the other", opened.Load())
	}
}

func TestTLS(t *testing.T) {
	f := func(most uint16, want schemas.AttemptOutcome) {
		t.Helper()
		var proto string
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { proto = req.Proto }))
		server.EnableHTTP2 = true
		server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: most}
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		defer server.Close()
		roots := x509.NewCertPool()
		roots.AddCert(server.Certificate())
		c := NewClient(ClientConfig{AllowPrivate: []string{"127.0.0.1"}})
		defer c.Close()
		c.transport.TLSClientConfig.RootCAs = roots
		a, err := c.Do(t.Context(), &schemas.CallRequest{URL: server.URL})
		if a.Outcome != want || want == schemas.AttemptOK && proto != "HTTP/2.0" {
			t.Errorf("a server that speaks up to %s: %s by %s, %v", tls.VersionName(most), a.Outcome, proto, err)
		}
		a, err = call(t, ClientConfig{AllowPrivate: []string{"127.0.0.1"}}, schemas.CallRequest{URL: server.URL})
		if a.Outcome != schemas.AttemptNetwork || err == nil {
			t.Errorf("a certificate that nobody vouches for: %s, %v", a.Outcome, err)
		}
	}
	f(tls.VersionTLS13, schemas.AttemptOK)
	f(tls.VersionTLS12, schemas.AttemptOK)
	f(tls.VersionTLS11, schemas.AttemptNetwork)
}

func TestNoProxyOfTheEnvironment(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	c := NewClient(ClientConfig{})
	t.Cleanup(c.Close)
	if c.transport.Proxy != nil {
		t.Error("the environment's proxy is used")
	}
}

func TestHeadersAreBounded(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/big" {
			w.Header().Set("ETag", strings.Repeat("e", 1<<20))
			return
		}
		w.Header().Set("ETag", strings.Repeat("\xff", 5000))
		w.Header().Set("X-Mbx-Used-Weight-1m", "12")
		w.Header().Set("RateLimit-Remaining", "3")
		w.Header().Set("X-RateLimit-Limit", "100")
		w.Header().Set("X-Secret", "no")
	}))
	t.Cleanup(server.Close)
	cfg := ClientConfig{AllowPrivate: []string{"127.0.0.1"}}
	if a, err := call(t, cfg, schemas.CallRequest{URL: server.URL + "/big"}); a.Outcome != schemas.AttemptNetwork || err == nil || len(err.Error()) > 1000 {
		t.Errorf("1 MiB of headers: %s, %v", a.Outcome, err)
	}
	a, err := call(t, cfg, schemas.CallRequest{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	h := a.Headers
	if h["x-mbx-used-weight-1m"] != "12" || h["ratelimit-remaining"] != "3" || h["x-ratelimit-limit"] != "100" || h["x-secret"] != "" || len(h["etag"]) > maxKeptHeaderBytes {
		t.Errorf("kept headers = %v", h)
	}
}
