package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/ops"
)

func TestHealthcheck(t *testing.T) {
	health := ops.NewHealth()
	server := httptest.NewServer(ops.LoopbackOnly((&ops.Admin{Health: health, Metrics: ops.NewRegistry("test")}).Handler()))
	defer server.Close()
	addr := server.Listener.Addr().String()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	f := func(wantCode int, wantSaid, admin string, args ...string) {
		t.Helper()
		var said strings.Builder
		// A proxy must not be asked for what is on this machine.
		env := []string{"PRICELAKE_ADMIN_ADDR=" + admin, "HTTP_PROXY=http://127.0.0.1:1"}
		code := run(context.Background(), append([]string{"healthcheck"}, args...), env, strings.NewReader(""), &strings.Builder{}, &said)
		if code != wantCode || !strings.Contains(said.String(), wantSaid) {
			t.Errorf("%s %v: exit %d, want %d; said %q, want it to contain %q", admin, args, code, wantCode, said.String(), wantSaid)
		}
	}
	f(exitOK, "", addr)
	f(exitOK, "", "0.0.0.0:"+port)
	f(exitOK, "", ":"+port)
	f(exitOK, "", "127.0.0.1:1", "--admin-addr", addr)
	f(exitFailed, "connection refused", "127.0.0.1:1")
	f(exitFailed, "write host:port", "127.0.0.1:0")
	f(exitFailed, "write host:port", "nonsense")

	health.Drain()
	f(exitFailed, "503 Service Unavailable: {\"ready\":false,\"reasons\":{\"process\":\"shutting down\"}}", addr)
	f(exitOK, "", addr, "--live")

	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	f(exitFailed, "404", other.Listener.Addr().String())
}
