package poller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

// dialPolicy decides whether a connection to an address may be opened, nil for
// yes. It is asked after name resolution, for every address that is dialled, so
// that no name can point somewhere else between check and use. It may be called
// in parallel.
type dialPolicy func(addr netip.Addr) error

// errDenied is wrapped by every refusal of a dialPolicy.
var errDenied = errors.New("API calls may not go there; name the host in poller.allow_private if it is meant")

func denied(addr netip.Addr, why string) error {
	return fmt.Errorf("%s is %s: %w", addr, why, errDenied)
}

// publicOnly allows addresses that the internet routes: nothing private,
// local, shared, reserved or for documentation, nor an IPv6 form of such.
func publicOnly() dialPolicy {
	special := prefixes(
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	)
	global6 := netip.MustParsePrefix("2000::/3")
	return func(addr netip.Addr) error {
		addr = addr.Unmap()
		if err := neverDialled(addr); err != nil {
			return err
		}
		if addr.Is6() && !global6.Contains(addr) {
			return denied(addr, "not a public address")
		}
		if slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			return denied(addr, "not a public address")
		}
		return nil
	}
}

// publicOrPrivate allows what publicOnly allows, loopback and private networks.
func publicOrPrivate() dialPolicy {
	public := publicOnly()
	return func(addr netip.Addr) error {
		if addr = addr.Unmap(); addr.IsPrivate() || addr.IsLoopback() {
			return neverDialled(addr)
		}
		return public(addr)
	}
}

// neverDialled refuses what no configuration allows: link-local addresses (the
// metadata services of clouds are there), multicast and the unspecified
// address.
func neverDialled(addr netip.Addr) error {
	switch {
	case !addr.IsValid() || addr.IsUnspecified():
		return denied(addr, "no address of a host")
	case addr.IsLinkLocalUnicast(), addr == netip.MustParseAddr("fd00:ec2::254"):
		return denied(addr, "link-local, where clouds keep their metadata")
	case addr.IsMulticast():
		return denied(addr, "multicast")
	}
	return nil
}

func prefixes(texts ...string) []netip.Prefix {
	ps := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		ps[i] = netip.MustParsePrefix(text)
	}
	return ps
}

// guard opens connections under a policy, and under a wider one to those hosts
// that the configuration names.
type guard struct {
	policy, wider dialPolicy
	private       []string // host or host:port
}

const dialTimeout = 5 * time.Second

// DialContext resolves the host and connects to the first address that the
// policy allows and that answers.
func (g *guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	policy := g.policy
	if g.named(address) {
		policy = g.wider
	}
	d := net.Dialer{
		Timeout: dialTimeout,
		ControlContext: func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(resolved)
			if err != nil {
				return fmt.Errorf("checking address %q: %w", resolved, errDenied)
			}
			return policy(ap.Addr())
		},
	}
	return d.DialContext(ctx, network, address)
}

func (g *guard) named(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(g.private, func(name string) bool {
		return strings.EqualFold(name, host) || strings.EqualFold(name, address)
	})
}
