package ops

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestGroupStopsAllWithTheFirst(t *testing.T) {
	boom := errors.New("boom")
	var g Group
	stopped := false
	g.Add("worker", func(ctx context.Context) error {
		<-ctx.Done()
		stopped = true
		return ctx.Err()
	})
	g.Add("culprit", func(context.Context) error { return boom })
	err := g.Run(context.Background())
	if !errors.Is(err, boom) || !strings.Contains(err.Error(), "running culprit") || errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the culprit's error alone", err)
	}
	if !stopped {
		t.Error("the other part was not stopped")
	}
}

func TestGroupEndsCleanly(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var g Group
	for _, name := range []string{"one", "two"} {
		g.Add(name, func(ctx context.Context) error { <-ctx.Done(); return nil })
	}
	cancel()
	if err := g.Run(ctx); err != nil {
		t.Errorf("a cancelled group: %v", err)
	}
}

func TestLoopbackOnly(t *testing.T) {
	h := LoopbackOnly(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	f := func(host, origin string, want int) {
		t.Helper()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("Host %q, Origin %q: %d, want %d", host, origin, w.Code, want)
		}
	}
	f("127.0.0.1:8090", "", 200)
	f("localhost:8090", "", 200)
	f("LocalHost", "http://LocalHost", 200)
	f("localhost:8090", "http://localhost:3000", 403)
	f("[::1]:8090", "", 200)
	f("127.9.8.7", "", 200)
	f("evil.example:8090", "", 403)
	f("127.0.0.1.evil.example", "", 403)
	f("10.0.0.1:8090", "", 403)
	f("127.0.0.1:8090", "https://evil.example", 403)
	f("127.0.0.1:8090", "null", 403)
	f("", "", 403)
}

func TestLoopbackOnlyKnowsItsNames(t *testing.T) {
	h := LoopbackOnly(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }), "other:1", "simulator")
	for host, want := range map[string]int{"simulator:8099": 200, "Simulator": 200, "127.0.0.1:8099": 200, "other": 200, "simulator.evil.example": 403, "10.0.0.1": 403} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("Host %q: %d, want %d", host, w.Code, want)
		}
	}
}

func TestAdmin(t *testing.T) {
	health := NewHealth()
	broken := errors.New("disk is full")
	var state error
	health.Add("disk", func(context.Context) error { return state })
	admin := &Admin{Health: health, Metrics: NewRegistry("test")}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, admin.Handler()) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	f := func(path string, status int, text string) {
		t.Helper()
		resp, err := client.Get("http://" + l.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != status || !strings.Contains(string(body), text) {
			t.Errorf("%s: %d %q %v, want %d with %q", path, resp.StatusCode, body, err, status, text)
		}
	}
	f("/livez", 200, "live")
	f("/readyz", 200, `"ready":true`)
	f("/metrics", 200, `pricelake_build_info{version="test"} 1`)
	f("/elsewhere", 404, "")
	state = broken
	f("/readyz", 503, "disk is full")
	f("/livez", 200, "live")
	state = nil
	health.Drain()
	f("/readyz", 503, "shutting down")
	cancel()
	if err := <-done; err != nil {
		t.Errorf("serving: %v", err)
	}
}

func TestLoggerRefusesNonsense(t *testing.T) {
	if _, err := NewLogger(io.Discard, "text", "loud"); err == nil || !strings.Contains(err.Error(), "debug, info, warn or error") {
		t.Errorf("level loud: %v", err)
	}
	if _, err := NewLogger(io.Discard, "xml", "info"); err == nil || !strings.Contains(err.Error(), "text or json") {
		t.Errorf("format xml: %v", err)
	}
}
