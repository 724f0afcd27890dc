package avro

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/secure"
	"github.com/pricelake/pricelake/internal/secure/securetest"
)

// guarded answers every schema to who knows the password.
func guarded(t *testing.T, password *atomic.Value) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, given, _ := r.BasicAuth()
		switch {
		case user == "guest":
			w.WriteHeader(http.StatusForbidden)
		case user != "reader" || given != password.Load():
			w.WriteHeader(http.StatusUnauthorized)
		default:
			_, _ = io.WriteString(w, `{"schema":"\"string\""}`)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestAccount(t *testing.T) {
	var right, ours atomic.Value
	right.Store("s3cret")
	ours.Store("s3cret")
	url := guarded(t, &right)
	account := func(user string) Options {
		return Options{User: user, Password: func() (string, error) { return ours.Load().(string), nil }}
	}
	client, err := NewClient(url, account("reader"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Schema(t.Context(), 1); err != nil {
		t.Error(err)
	}
	right.Store("renewed")
	if _, err = client.Schema(t.Context(), 2); !errors.Is(err, secure.ErrAuthentication) || !strings.Contains(err.Error(), "registry.password") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("with the old password: %v", err)
	}
	ours.Store("renewed")
	if _, err := client.Schema(t.Context(), 2); err != nil {
		t.Errorf("with the new password: %v", err)
	}
	anonymous, err := NewClient(url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = anonymous.Schema(t.Context(), 1); !errors.Is(err, secure.ErrAuthentication) || !strings.Contains(err.Error(), "registry.user") {
		t.Errorf("without an account: %v", err)
	}
	guest, err := NewClient(url, account("guest"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = guest.Schema(t.Context(), 1); !errors.Is(err, secure.ErrForbidden) {
		t.Errorf("without the right: %v", err)
	}
}

func TestTLS(t *testing.T) {
	a := securetest.NewAuthority(t, "ours")
	server, expired := a.Issue("registry", time.Now().Add(time.Hour)), a.Issue("registry", time.Now().Add(-time.Hour))
	client := a.Issue("client", time.Now().Add(time.Hour))
	var password atomic.Value
	password.Store("s3cret")
	plain := strings.TrimPrefix(guarded(t, &password), "http://")
	proxy := func(c securetest.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{c.TLS}} }
	mutual := proxy(server)
	mutual.ClientAuth, mutual.ClientCAs = tls.RequireAndVerifyClientCert, a.Pool()
	good := securetest.Proxy(t, proxy(server), plain)
	speaking := httptest.NewUnstartedServer(http.NotFoundHandler())
	speaking.TLS = proxy(server)
	speaking.Config.ErrorLog = log.New(io.Discard, "", 0)
	speaking.StartTLS()
	defer speaking.Close()

	trust := secure.TLS{CAFile: a.File}
	f := func(name, url string, o secure.TLS, want ...string) {
		t.Helper()
		client, err := NewClient(url, Options{User: "reader", Password: func() (string, error) { return "s3cret", nil }, TLS: o})
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Schema(t.Context(), 1)
		if len(want) == 0 && err == nil {
			return
		}
		if len(want) == 0 || !errors.Is(err, secure.ErrTLS) {
			t.Errorf("%s: %v", name, err)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q lacks %q", name, err, w)
			}
		}
	}
	_, port, _ := net.SplitHostPort(good)
	f("TLS", "https://"+good, trust)
	f("by name", "https://localhost:"+port, trust)
	f("mutual", "https://"+securetest.Proxy(t, mutual, plain), secure.TLS{CAFile: a.File, CertFile: client.CertFile, KeyFile: client.KeyFile})
	f("mutual without a certificate", "https://"+securetest.Proxy(t, mutual, plain), trust, "registry.tls.cert_file")
	f("unknown authority", "https://"+good, secure.TLS{}, "registry.tls.ca_file")
	f("another name", "https://"+good, secure.TLS{CAFile: a.File, ServerName: "registry"}, "registry.tls.server_name")
	f("expired", "https://"+securetest.Proxy(t, proxy(expired), plain), trust, "expired on")
	f("TLS to plain", "https://"+plain, trust, "does not speak TLS")
	f("plain to TLS", strings.Replace(speaking.URL, "https", "http", 1), secure.TLS{}, "write https in registry.url")
}

// TestIPv6 reaches for a registry whose address has colons.
func TestIPv6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this machine has no IPv6: ", err)
	}
	defer l.Close()
	a := securetest.NewAuthority(t, "ours")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"schema":"\"string\""}`)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{a.Issue("registry", time.Now().Add(time.Hour), "::1").TLS}}
	server.Listener.Close()
	server.Listener = l
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	client, err := NewClient("https://"+l.Addr().String(), Options{TLS: secure.TLS{CAFile: a.File}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Schema(t.Context(), 1); err != nil {
		t.Error(err)
	}
}
