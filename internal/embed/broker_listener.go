//go:build !noembed && unix

package embed

import (
	"net"
	"sync"
)

// gatedListener lets clients connect but takes none before the gate is open:
// the port is ours from the first moment, the service comes later.
type gatedListener struct {
	net.Listener
	opened    chan struct{}
	closed    chan struct{}
	openOnce  sync.Once
	closeOnce sync.Once
}

func newGatedListener(l net.Listener) *gatedListener {
	return &gatedListener{Listener: l, opened: make(chan struct{}), closed: make(chan struct{})}
}

func (g *gatedListener) open() { g.openOnce.Do(func() { close(g.opened) }) }

// Accept waits for the gate, then for a client.
func (g *gatedListener) Accept() (net.Conn, error) {
	select {
	case <-g.opened:
		return g.Listener.Accept()
	case <-g.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept, open or not.
func (g *gatedListener) Close() error {
	err := net.ErrClosed
	g.closeOnce.Do(func() {
		close(g.closed)
		err = g.Listener.Close()
	})
	return err
}
