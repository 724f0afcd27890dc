package poller

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/time/rate"
)

// Limiter spaces the attempts of the accounts they are charged to.
type Limiter interface {
	// Acquire waits until the account may make one more attempt and the host
	// can take one more connection, or fails when ctx ends before that. On
	// success release gives the host's place back, once, after the attempt. It
	// is called in parallel.
	Acquire(ctx context.Context, account, host string) (release func(), err error)
}

// Limits is the Limiter of one process: a token bucket for each account and a
// bound on the attempts in flight to each host. What it remembers is bounded by
// the accounts of the catalog.
type Limits struct {
	rate    rate.Limit
	burst   int
	perHost int

	mu       sync.Mutex
	accounts map[string]*rate.Limiter
	hosts    map[string]*hostPlaces
}

type hostPlaces struct {
	places chan struct{}
	users  int // waiting or in flight, guarded by Limits.mu
}

// NewLimits allows perSecond attempts a second for each account after a first
// burst, and perHost attempts in flight to each host. A zero stands for no
// limit.
func NewLimits(perSecond, burst, perHost int) *Limits {
	l := &Limits{
		rate: rate.Limit(perSecond), burst: max(1, burst), perHost: perHost,
		accounts: map[string]*rate.Limiter{}, hosts: map[string]*hostPlaces{},
	}
	if perSecond <= 0 {
		l.rate = rate.Inf
	}
	return l
}

// Acquire implements Limiter.
func (l *Limits) Acquire(ctx context.Context, account, host string) (release func(), err error) {
	if err := l.account(account).Wait(ctx); err != nil {
		return nil, fmt.Errorf("waiting for the rate budget of account %q: %w", account, err)
	}
	if l.perHost <= 0 {
		return func() {}, nil
	}
	h := l.join(host)
	select {
	case h.places <- struct{}{}:
		return func() { <-h.places; l.leave(host, h) }, nil
	case <-ctx.Done():
		l.leave(host, h)
		return nil, fmt.Errorf("waiting for one of %d places at host %q: %w", l.perHost, host, ctx.Err())
	}
}

func (l *Limits) account(name string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.accounts[name]
	if a == nil {
		a = rate.NewLimiter(l.rate, l.burst)
		l.accounts[name] = a
	}
	return a
}

func (l *Limits) join(host string) *hostPlaces {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.hosts[host]
	if h == nil {
		h = &hostPlaces{places: make(chan struct{}, l.perHost)}
		l.hosts[host] = h
	}
	h.users++
	return h
}

func (l *Limits) leave(host string, h *hostPlaces) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h.users--; h.users == 0 {
		delete(l.hosts, host)
	}
}
