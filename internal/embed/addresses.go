package embed

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// The services of the embedded stack, by their names in addresses.json.
const (
	ServiceKafka            = "kafka"
	ServiceRegistry         = "registry"
	ServiceClickHouseNative = "clickhouse_native"
	ServiceClickHouseHTTP   = "clickhouse_http"
)

const loopback = "127.0.0.1"

// Addresses chooses the loopback address of each service and remembers it in
// the data directory, so that a restart has the same ones. Safe for parallel
// use.
type Addresses struct {
	path string

	mu      sync.Mutex
	known   map[string]string
	given   map[string]string // address to the service that has it in this process
	notices []string
}

// OpenAddresses reads the addresses remembered in the data directory. An
// unreadable file is an error: guessing would move the services silently.
func OpenAddresses(dataDir string) (*Addresses, error) {
	a := &Addresses{
		path:  filepath.Join(dataDir, "addresses.json"),
		known: map[string]string{},
		given: map[string]string{},
	}
	if _, err := readJSON(a.path, &a.known); err != nil {
		return nil, fmt.Errorf("%w: remove the file, the services will choose new addresses", err)
	}
	return a, nil
}

// Listen binds the service and remembers where. configured is the address the
// user asked for ("host:port"): taken or not on loopback is an error. When it
// is empty the order of choice is the remembered port, the well-known one, any
// free one; leaving the remembered port is said in Notices.
func (a *Addresses) Listen(service, configured string, wellKnown int) (net.Listener, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if configured != "" {
		return a.listenConfigured(service, configured)
	}
	remembered := a.known[service]
	var candidates []string
	for _, addr := range []string{remembered, net.JoinHostPort(loopback, strconv.Itoa(wellKnown))} {
		if addr != "" && a.freeFor(service, addr) && isLoopback(addr) {
			candidates = append(candidates, addr)
		}
	}
	var errs []error
	for _, addr := range append(candidates, net.JoinHostPort(loopback, "0")) {
		l, err := bind(addr, addr == remembered)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		got := l.Addr().String()
		if !a.freeFor(service, got) {
			errs = append(errs, fmt.Errorf("%s belongs to another service", got), l.Close())
			continue
		}
		if remembered != "" && got != remembered {
			a.notices = append(a.notices, fmt.Sprintf("the address %s of %s is taken by another program; it now has %s", remembered, service, got))
		}
		if err := a.remember(service, got); err != nil {
			return nil, errors.Join(err, l.Close())
		}
		return l, nil
	}
	return nil, fmt.Errorf("finding a free loopback port for %s: %w", service, errors.Join(errs...))
}

func (a *Addresses) listenConfigured(service, addr string) (net.Listener, error) {
	if !isLoopback(addr) {
		return nil, fmt.Errorf("the address %q of %s is not a loopback host:port: the embedded services have no transport security, use 127.0.0.1:PORT", addr, service)
	}
	l, err := bind(addr, true)
	if err != nil {
		return nil, fmt.Errorf("the address %s of %s is taken: stop the program that listens there or configure another port (%w)", addr, service, err)
	}
	if err := a.remember(service, l.Addr().String()); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// freeFor reports whether no other service has the address or remembers it as
// its own.
func (a *Addresses) freeFor(service, addr string) bool {
	if owner, ok := a.given[addr]; ok && owner != service {
		return false
	}
	for other, known := range a.known {
		if other != service && known == addr {
			return false
		}
	}
	return true
}

// bind listens on addr. patient waits a moment for an address in use: a process
// killed just now gives its data directory back before its ports.
func bind(addr string, patient bool) (net.Listener, error) {
	for deadline := time.Now().Add(lockPatience); ; time.Sleep(10 * time.Millisecond) {
		l, err := net.Listen("tcp", addr)
		if err == nil || !patient || !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return l, err
		}
	}
}

func (a *Addresses) remember(service, addr string) error {
	a.given[addr] = service
	if a.known[service] == addr {
		return nil
	}
	a.known[service] = addr
	if err := writeJSON(a.path, a.known); err != nil {
		return fmt.Errorf("remembering the address of %s: %w", service, err)
	}
	return nil
}

// Notices are sentences for the user about services that had to move.
func (a *Addresses) Notices() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.notices...)
}

func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
