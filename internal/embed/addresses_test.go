package embed_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/embed"
	"github.com/pricelake/pricelake/internal/freeport"
)

// freePort is a loopback port that was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	port, err := freeport.Find()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func freeAddr(t *testing.T) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(t)))
}

func addresses(t *testing.T, dir string) *embed.Addresses {
	t.Helper()
	a, err := embed.OpenAddresses(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// listen returns the address that a service gets, and gives it back at once
// unless hold is set.
func listen(t *testing.T, a *embed.Addresses, service, configured string, wellKnown int, hold bool) string {
	t.Helper()
	l, err := a.Listen(service, configured, wellKnown)
	if err != nil {
		t.Fatal(err)
	}
	if hold {
		t.Cleanup(func() { l.Close() })
	} else if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

func TestAddressesPreferWellKnownThenRemember(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	want := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if got := listen(t, addresses(t, dir), embed.ServiceKafka, "", port, false); got != want {
		t.Fatalf("first start: %s, want the well-known %s", got, want)
	}
	// Another well-known port in a later release does not move the service.
	again := addresses(t, dir)
	if got := listen(t, again, embed.ServiceKafka, "", freePort(t), true); got != want {
		t.Fatalf("second start: %s, want the remembered %s", got, want)
	}
	if n := again.Notices(); len(n) != 0 {
		t.Errorf("notices without a move: %q", n)
	}
}

func TestAddressesMoveAndSaySo(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	old := listen(t, addresses(t, dir), embed.ServiceKafka, "", port, false)
	thief, err := net.Listen("tcp", old)
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	a := addresses(t, dir)
	moved := listen(t, a, embed.ServiceKafka, "", port, false)
	if moved == old {
		t.Fatal("two listeners on one address")
	}
	n := a.Notices()
	if len(n) != 1 || !strings.Contains(n[0], old) || !strings.Contains(n[0], moved) {
		t.Errorf("notices %q, want one that names %s and %s", n, old, moved)
	}
	if got := listen(t, addresses(t, dir), embed.ServiceKafka, "", port, false); got != moved {
		t.Errorf("next start: %s, want %s", got, moved)
	}
}

func TestAddressesNeverGiveOneAddressTwice(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	a := addresses(t, dir)
	first := listen(t, a, embed.ServiceKafka, "", port, false)
	if second := listen(t, a, embed.ServiceRegistry, "", port, false); second == first {
		t.Errorf("registry got %s, the address of kafka", second)
	}
	if again := listen(t, a, embed.ServiceKafka, "", port, false); again != first {
		t.Errorf("kafka moved from %s to %s inside one process", first, again)
	}
}

func TestAddressesConfigured(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	a := addresses(t, t.TempDir())
	for _, tc := range []struct{ configured, want string }{
		{taken.Addr().String(), "is taken"},
		{"0.0.0.0:9092", "not a loopback"},
		{"example.com:9092", "not a loopback"},
		{"9092", "not a loopback"},
	} {
		if _, err := a.Listen(embed.ServiceKafka, tc.configured, 9092); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("configured %q: error %v, want %q", tc.configured, err, tc.want)
		}
	}
}

func TestAddressesRefuseABrokenFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "addresses.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := embed.OpenAddresses(dir); err == nil || !strings.Contains(err.Error(), "remove the file") {
		t.Errorf("error %v, want one that says what to do", err)
	}
}
