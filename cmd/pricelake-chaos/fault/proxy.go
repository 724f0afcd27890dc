// Package fault makes things go wrong on purpose, and repeatably: a plan made
// from a seed, and proxies between clients and servers that cut connections and
// swallow answers.
package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy stands between clients and one server that it knows nothing about, and
// copies bytes both ways until it is told to misbehave. Safe for parallel use.
type Proxy struct {
	listener net.Listener
	target   func() string // host:port

	mu    sync.Mutex
	conns map[*pipe]struct{}
	until time.Time // connections are held back before then
	wg    sync.WaitGroup
}

// pipe is one connection of a client and its other half.
type pipe struct {
	client, server net.Conn
	deaf           atomic.Bool // answers are swallowed
	asked          chan struct{}
	once           sync.Once
}

// NewProxy listens on a free loopback port. target is asked at each connection.
func NewProxy(target func() string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening a proxy: %w", err)
	}
	return &Proxy{listener: l, target: target, conns: map[*pipe]struct{}{}}, nil
}

// Addr is where clients connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Run serves until ctx ends and returns nil then.
func (p *Proxy) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = p.listener.Close() })
	defer stop()
	defer p.wg.Wait()
	defer p.Reset()
	for {
		conn, err := p.listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("taking connections for a proxy: %w", err)
		}
		p.wg.Go(func() { p.serve(ctx, conn) })
	}
}

func (p *Proxy) serve(ctx context.Context, client net.Conn) {
	server, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", p.target())
	if err != nil {
		cut(client)
		return
	}
	c := &pipe{client: client, server: server, asked: make(chan struct{})}
	p.mu.Lock()
	p.conns[c] = struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.conns, c)
		p.mu.Unlock()
	}()
	var wg sync.WaitGroup
	wg.Go(func() { defer c.close(); p.copy(server, client, nil, c.sawRequest) })
	wg.Go(func() { defer c.close(); p.copy(client, server, &c.deaf, nil) })
	wg.Wait()
}

// copy copies until either side ends; what it reads while deaf goes nowhere.
func (p *Proxy) copy(dst io.Writer, src io.Reader, deaf *atomic.Bool, seen func()) {
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			p.wait()
			if deaf != nil && deaf.Load() {
				continue
			}
			if _, err := dst.Write(buf[:n]); err != nil {
				return
			}
			if seen != nil {
				seen()
			}
		}
		if err != nil {
			return
		}
	}
}

// wait holds bytes back while the proxy stalls.
func (p *Proxy) wait() {
	p.mu.Lock()
	d := time.Until(p.until)
	p.mu.Unlock()
	if d > 0 {
		time.Sleep(d)
	}
}

func (c *pipe) sawRequest() {
	if c.deaf.Load() {
		c.once.Do(func() { close(c.asked) })
	}
}

func (c *pipe) close() {
	cut(c.client)
	cut(c.server)
}

// cut closes a connection so that the other side sees a reset.
func cut(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func (p *Proxy) pipes() []*pipe {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*pipe, 0, len(p.conns))
	for c := range p.conns {
		all = append(all, c)
	}
	return all
}

// Reset cuts every connection and returns how many there were.
func (p *Proxy) Reset() int {
	all := p.pipes()
	for _, c := range all {
		c.close()
	}
	return len(all)
}

// Stall lets no byte through for a while, in either direction.
func (p *Proxy) Stall(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until = time.Now().Add(d)
}

// LoseAnswers lets requests through and swallows every answer until a request
// was made, and the server had a moment to act on it; then it cuts all
// connections. It returns how many requests lost their answer, at most after
// limit.
func (p *Proxy) LoseAnswers(ctx context.Context, limit time.Duration) int {
	all := p.pipes()
	for _, c := range all {
		c.deaf.Store(true)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	lost := 0
	for _, c := range all {
		select {
		case <-c.asked:
			lost++
		case <-ctx.Done():
		}
	}
	if lost > 0 && !errors.Is(ctx.Err(), context.Canceled) {
		time.Sleep(actMoment)
	}
	p.Reset()
	return lost
}

// actMoment is how long a server gets to act on a request whose answer is lost.
const actMoment = 300 * time.Millisecond
