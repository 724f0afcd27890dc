package secure

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pricelake/pricelake/internal/secure/securetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func tomorrow() time.Time { return time.Now().Add(23 * time.Hour) }

// echo answers every line with itself, in the clear.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			line, err := bufio.NewReader(conn).ReadString('\n')
			if err == nil {
				io.WriteString(conn, line)
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// say connects and sends a line, and returns the first error.
func say(d *Dialer, addr string) error {
	conn, err := d.DialContext(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		return d.Explain(addr, err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && line != "hello\n" {
		return errors.New("another answer: " + line)
	}
	return d.Explain(addr, err)
}

func TestTLS(t *testing.T) {
	ours, other := securetest.NewAuthority(t, "ours"), securetest.NewAuthority(t, "other")
	good, expired, future := ours.Issue("server", tomorrow()), ours.Issue("server", time.Now().Add(-time.Hour)), ours.Issue("server", time.Now().Add(48*time.Hour))
	named := ours.Issue("server", tomorrow(), "kafka.example.com")
	client, stranger, dead := ours.Issue("client", tomorrow()), other.Issue("stranger", tomorrow()), ours.Issue("client", time.Now().Add(-time.Minute))
	plain := echo(t)
	server := func(c securetest.Certificate) string {
		return securetest.Proxy(t, &tls.Config{Certificates: []tls.Certificate{c.TLS}}, plain)
	}
	mutual := securetest.Proxy(t, &tls.Config{Certificates: []tls.Certificate{good.TLS}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ours.Pool()}, plain)
	mutual12 := securetest.Proxy(t, &tls.Config{Certificates: []tls.Certificate{good.TLS}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ours.Pool(), MaxVersion: tls.VersionTLS12}, plain)
	old := securetest.Proxy(t, &tls.Config{Certificates: []tls.Certificate{good.TLS}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, plain)

	f := func(name string, o TLS, addr string, want ...string) {
		t.Helper()
		o.Enabled = true
		err := say(NewDialer(o, "kafka.tls", 5*time.Second), addr)
		if len(want) == 0 {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return
		}
		if !errors.Is(err, ErrTLS) {
			t.Errorf("%s: got %v, which is no ErrTLS", name, err)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q lacks %q", name, err, w)
			}
		}
	}
	trust := TLS{CAFile: ours.File}
	f("known authority", trust, server(good))
	f("unknown authority", TLS{}, server(good), "signed by an authority that is not known here (CN=ours)", "kafka.tls.ca_file")
	f("another authority", TLS{CAFile: other.File}, server(good), "kafka.tls.ca_file")
	f("expired", trust, server(expired), "expired on "+day(expired.TLS.Leaf.NotAfter), "renew it there")
	f("not begun", trust, server(future), "valid only from", "clock")
	f("another name", trust, server(named), `not for the name "127.0.0.1" but for kafka.example.com`, "kafka.tls.server_name")
	f("the name expected", TLS{CAFile: ours.File, ServerName: "kafka.example.com"}, server(named))
	f("no TLS there", trust, plain, "kafka.tls.enabled to false")
	f("TLS 1.1", trust, old, "1.2 or later")
	f("mutual", TLS{CAFile: ours.File, CertFile: client.CertFile, KeyFile: client.KeyFile}, mutual)
	f("mutual 1.2", TLS{CAFile: ours.File, CertFile: client.CertFile, KeyFile: client.KeyFile}, mutual12)
	f("mutual without a certificate", trust, mutual, "asks for a certificate of this process", "kafka.tls.cert_file and kafka.tls.key_file")
	f("mutual 1.2 without a certificate", trust, mutual12, "if it asks for a certificate of this process", "kafka.tls.cert_file")
	f("mutual with a stranger's", TLS{CAFile: ours.File, CertFile: stranger.CertFile, KeyFile: stranger.KeyFile}, mutual, "kafka.tls.cert_file")
	f("mutual with an expired one", TLS{CAFile: ours.File, CertFile: dead.CertFile, KeyFile: dead.KeyFile}, mutual, "kafka.tls.cert_file", "expired on", "renew it")
	f("key of another certificate", TLS{CertFile: client.CertFile, KeyFile: stranger.KeyFile}, mutual, "kafka.tls.cert_file and kafka.tls.key_file cannot be used")
	f("no file", TLS{CAFile: "/nonexistent.pem"}, plain, "kafka.tls.ca_file cannot be read", "no such file")
	f("no PEM", TLS{CAFile: filepath.Join("secure.go")}, plain, "there is no certificate in secure.go, which is kafka.tls.ca_file")
}

// TestPlain connects without TLS, and passes on what the network says.
func TestPlain(t *testing.T) {
	d := NewDialer(TLS{}, "kafka.tls", time.Second)
	if err := say(d, echo(t)); err != nil {
		t.Error(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	var refused *net.OpError
	if err := say(d, l.Addr().String()); !errors.As(err, &refused) || errors.Is(err, ErrTLS) {
		t.Errorf("a closed port: %v", err)
	}
}

// TestRenewal replaces files under a running process.
func TestRenewal(t *testing.T) {
	first, second := securetest.NewAuthority(t, "first"), securetest.NewAuthority(t, "second")
	plain := echo(t)
	serve := func(a *securetest.Authority) string {
		return securetest.Proxy(t, &tls.Config{Certificates: []tls.Certificate{a.Issue("server", tomorrow()).TLS}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.Pool()}, plain)
	}
	dir := t.TempDir()
	files := TLS{Enabled: true, CAFile: filepath.Join(dir, "ca.pem"), CertFile: filepath.Join(dir, "own.pem"), KeyFile: filepath.Join(dir, "own.key")}
	install := func(a *securetest.Authority) {
		own := a.Issue("client", tomorrow())
		for to, from := range map[string]string{files.CAFile: a.File, files.CertFile: own.CertFile, files.KeyFile: own.KeyFile} {
			b, err := os.ReadFile(from)
			if err == nil {
				err = os.WriteFile(to, b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	d := NewDialer(files, "kafka.tls", 5*time.Second)
	install(first)
	if err := say(d, serve(first)); err != nil {
		t.Fatal(err)
	}
	addr := serve(second)
	if err := say(d, addr); !errors.Is(err, ErrTLS) {
		t.Errorf("before the renewal: %v", err)
	}
	install(second)
	if err := say(d, addr); err != nil {
		t.Errorf("after the renewal: %v", err)
	}
}

// TestPassing tells a handshake that broke where it used to work, which clients
// may try again at once, from one that never worked.
func TestPassing(t *testing.T) {
	a := securetest.NewAuthority(t, "ours")
	d := NewDialer(TLS{Enabled: true, CAFile: a.File}, "kafka.tls", 5*time.Second)
	hangsUp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := hangsUp.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	defer func() { hangsUp.Close(); <-done }()
	temporary := func() bool {
		err := say(d, hangsUp.Addr().String())
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, ErrTLS) || !strings.Contains(err.Error(), "kafka.tls.enabled") {
			t.Fatalf("a server that hangs up: %v", err)
		}
		var network net.Error
		if errors.Is(err, io.EOF) || errors.As(error(e), &network) {
			t.Errorf("%v shows the network's error to clients", err)
		}
		return e.Temporary()
	}
	if temporary() {
		t.Error("worth a try at once although it never worked")
	}
	server := securetest.Proxy(t, &tls.Config{Certificates: []tls.Certificate{a.Issue("server", tomorrow()).TLS}}, echo(t))
	if err := say(d, server); err != nil {
		t.Fatal(err)
	}
	if !temporary() {
		t.Error("not worth a try although it worked before")
	}
}

func TestErrorKeepsItsCause(t *testing.T) {
	cause := x509.HostnameError{Host: "h", Certificate: &x509.Certificate{}}
	err := error(Refuse(ErrAuthentication, "no such account", "make it", cause))
	var host x509.HostnameError
	if !errors.Is(err, ErrAuthentication) || !errors.As(err, &host) || err.Error() != "authentication failed: no such account: make it ("+cause.Error()+")" {
		t.Errorf("got %v", err)
	}
}
