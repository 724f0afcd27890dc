package lake

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/embed/embedtest"
	"github.com/pricelake/pricelake/internal/secure"
	"github.com/pricelake/pricelake/internal/secure/securetest"
)

// TestTLS speaks TLS to a proxy: the engine itself has no TLS listener.
func TestTLS(t *testing.T) {
	ch := embedtest.ClickHouse(t)
	a := securetest.NewAuthority(t, "ours")
	server, expired := a.Issue("clickhouse", time.Now().Add(time.Hour)), a.Issue("clickhouse", time.Now().Add(-time.Hour))
	own := a.Issue("lake", time.Now().Add(time.Hour))
	proxy := func(c securetest.Certificate) string {
		return securetest.Proxy(t, &tls.Config{Certificates: []tls.Certificate{c.TLS}}, ch.NativeAddr())
	}
	good := proxy(server)
	mutual := securetest.Proxy(t, &tls.Config{Certificates: []tls.Certificate{server.TLS}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.Pool()}, ch.NativeAddr())
	_, port, _ := net.SplitHostPort(good)
	database := embedtest.Database(t)

	f := func(name, addr string, o secure.TLS, want ...string) {
		t.Helper()
		config := DefaultConfig()
		config.Address, config.Database = addr, database
		config.User, config.Password = ch.Owner().User, ch.Owner().Password
		config.TLS, config.DialTimeout = o, 10*time.Second
		l, err := Open(config)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, migrating := l.Migrate(t.Context())
		for what, err := range map[string]error{"migrating": migrating, "asking": l.Ping(t.Context())} {
			if len(want) == 0 && err == nil {
				continue
			}
			if len(want) == 0 || !errors.Is(err, secure.ErrTLS) {
				t.Errorf("%s, %s: %v", name, what, err)
				continue
			}
			for _, w := range want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%s, %s: %q lacks %q", name, what, err, w)
				}
			}
		}
	}
	trust := secure.TLS{Enabled: true, CAFile: a.File}
	f("TLS", good, trust)
	f("by name", "localhost:"+port, trust)
	f("mutual", mutual, secure.TLS{Enabled: true, CAFile: a.File, CertFile: own.CertFile, KeyFile: own.KeyFile})
	f("mutual without a certificate", mutual, trust, "clickhouse.tls.cert_file")
	f("unknown authority", good, secure.TLS{Enabled: true}, "clickhouse.tls.ca_file")
	f("another name", good, secure.TLS{Enabled: true, CAFile: a.File, ServerName: "clickhouse"}, "clickhouse.tls.server_name")
	f("expired", proxy(expired), trust, "expired on")
	f("TLS to plain", ch.NativeAddr(), trust, "set clickhouse.tls.enabled to false")
	f("plain to TLS", good, secure.TLS{}, "set clickhouse.tls.enabled to true")
}

// TestSecret changes the password under a running process: one that is wrong is
// told with the keys of the account, one that is mended is taken.
func TestSecret(t *testing.T) {
	ch := embedtest.ClickHouse(t)
	var password atomic.Value
	password.Store("guess")
	config := DefaultConfig()
	config.Address, config.Database, config.User = ch.NativeAddr(), embedtest.Database(t), ch.Owner().User
	config.Secret = func() (string, error) { return password.Load().(string), nil }
	config.Account, config.Reference = "clickhouse.migrator_", "file:/run/secrets/migrator"
	l, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, migrating := l.Migrate(t.Context())
	for _, err := range []error{migrating, l.CheckSettings(t.Context()), l.Ping(t.Context())} {
		if !errors.Is(err, secure.ErrAuthentication) || !strings.Contains(err.Error(), "clickhouse.migrator_user") || !strings.Contains(err.Error(), "clickhouse.migrator_password") || !strings.Contains(err.Error(), "file:/run/secrets/migrator") || !strings.Contains(err.Error(), "secrets renew") || strings.Contains(err.Error(), "guess") {
			t.Errorf("with a wrong password: %v", err)
		}
	}
	password.Store(ch.Owner().Password)
	if _, err := l.Migrate(t.Context()); err != nil {
		t.Errorf("with the right one: %v", err)
	}
	if err := l.CheckSettings(t.Context()); err != nil {
		t.Errorf("with the right one: %v", err)
	}
}

// TestDenied names the account when a statement lacks a right.
func TestDenied(t *testing.T) {
	l := openLake(t)
	config := l.config
	config.User, config.Password = readerOf(t)
	config.Account, config.Database = "clickhouse.reader_", DefaultDatabase
	reader, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	err = reader.Query(t.Context(), "DROP DATABASE "+DefaultDatabase, func([]Column) error { return nil }, func([]*string) error { return nil })
	if !errors.Is(err, secure.ErrForbidden) || !strings.Contains(err.Error(), "clickhouse.reader_user") {
		t.Errorf("got %v", err)
	}
}
