package poller

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/schemas"
)

func TestDialPolicies(t *testing.T) {
	public, private := publicOnly(), publicOrPrivate()
	f := func(addr string, wantPublic, wantPrivate bool) {
		t.Helper()
		a := netip.MustParseAddr(addr)
		got := [2]bool{public(a) == nil, private(a) == nil}
		if got != [2]bool{wantPublic, wantPrivate} {
			t.Errorf("%s: public, private = %v", addr, got)
		}
		if err := public(a); err != nil && !errors.Is(err, errDenied) {
			t.Errorf("%s: %v", addr, err)
		}
	}
	for _, addr := range []string{"1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "172.32.0.1", "100.128.0.1"} {
		f(addr, true, true)
	}
	for _, addr := range []string{"127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"} {
		f(addr, false, true)
	}
	for _, addr := range []string{"10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fd12::1", "::ffff:10.0.0.1"} {
		f(addr, false, true)
	}
	for _, addr := range []string{
		"0.0.0.0", "0.1.2.3", "::", "169.254.169.254", "169.254.0.1", "::ffff:169.254.169.254", "fe80::1", "fe80::1%eth0",
		"224.0.0.1", "239.1.1.1", "ff02::1", "255.255.255.255", "240.0.0.1", "100.64.0.1", "192.0.0.8", "192.0.2.1",
		"198.18.0.1", "198.51.100.7", "203.0.113.7", "192.88.99.1", "64:ff9b::a00:1", "2001::1", "2001:db8::1",
		"2002:a00:1::", "fec0::1", "100::1", "3fff::1", "::7f00:1",
		"fd00:ec2::254", // a cloud's metadata, though in a private range
	} {
		f(addr, false, false)
	}
}

// TestGuardLooksAtResolvedAddresses: it is not the name that counts.
func TestGuardLooksAtResolvedAddresses(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	f := func(cfg ClientConfig, host string, want schemas.AttemptOutcome) {
		t.Helper()
		a, err := call(t, cfg, schemas.CallRequest{URL: "http://" + host + ":" + port + "/"})
		if a.Outcome != want {
			t.Errorf("%s with %v: %s, %v, want %s", host, cfg.AllowPrivate, a.Outcome, err, want)
		}
	}
	f(ClientConfig{}, "127.0.0.1", schemas.AttemptSetup)
	f(ClientConfig{}, "localhost", schemas.AttemptSetup)
	f(ClientConfig{}, "[::ffff:127.0.0.1]", schemas.AttemptSetup)
	f(ClientConfig{AllowPrivate: []string{"127.0.0.1"}}, "127.0.0.1", schemas.AttemptOK)
	f(ClientConfig{AllowPrivate: []string{"localhost"}}, "localhost", schemas.AttemptOK)
	f(ClientConfig{AllowPrivate: []string{"LOCALHOST:" + port}}, "localhost", schemas.AttemptOK)
	f(ClientConfig{AllowPrivate: []string{"localhost:1"}}, "localhost", schemas.AttemptSetup)
	f(ClientConfig{AllowPrivate: []string{"localhost"}}, "127.0.0.1", schemas.AttemptSetup)
	f(ClientConfig{AllowPrivate: []string{"localhost"}}, "169.254.169.254", schemas.AttemptSetup)
}
