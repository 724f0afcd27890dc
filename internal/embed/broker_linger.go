//go:build !noembed && unix

package embed

import (
	"encoding/binary"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// longestLinger bounds how long a connection outlives its client: a request of a
// member that joined again over another connection is never answered. It is
// twice the rebalance timeout that Java's consumers have by default.
const longestLinger = 10 * time.Minute

// lingeringListener hands out connections that outlive their client while a group
// owes it an answer. When the connection is gone by then, kfake's group.reply
// returns before it starts the member's session timer, and a member that was
// killed stays. Kafka's GroupCoordinator starts the timer whether or not anybody
// hears the answer (completeAndScheduleNextHeartbeatExpiration).
type lingeringListener struct{ net.Listener }

func (l lingeringListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newLingeringConn(conn), nil
}

// lingeringConn keeps the end of its client from its reader while a JoinGroup or
// SyncGroup waits. There is one reader, and each Write is a whole response.
type lingeringConn struct {
	net.Conn
	frames    requestFrames // the reader's
	closed    chan struct{}
	closeOnce sync.Once

	mu      sync.Mutex
	waiting *groupRequest // nil when no group owes an answer
	gone    bool          // the client is
}

// groupRequest is one that waits for other members.
type groupRequest struct {
	correlation uint32
	answered    chan struct{}
}

func newLingeringConn(conn net.Conn) *lingeringConn {
	return &lingeringConn{Conn: conn, closed: make(chan struct{})}
}

// Read passes requests on. Its error comes after the answer that a group owes.
func (c *lingeringConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.note(p[:n])
	if err != nil {
		c.linger()
	}
	return n, err
}

// Write succeeds when the client is gone: nobody misses the response, and the
// error would end the connection before the reader does.
func (c *lingeringConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if gone := c.answer(p); gone && err != nil {
		return len(p), nil
	}
	return n, err
}

// Close ends a Read that lingers.
func (c *lingeringConn) Close() error {
	c.closeOnce.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// note remembers a request that a group may let wait. The reader reads one
// request ahead, so that a later one of another kind does not end the waiting.
func (c *lingeringConn) note(p []byte) {
	for len(p) > 0 {
		var whole bool
		if p, whole = c.frames.next(p); !whole {
			continue
		}
		key := c.frames.key()
		if key != kmsg.JoinGroup.Int16() && key != kmsg.SyncGroup.Int16() {
			continue
		}
		c.mu.Lock()
		c.waiting = &groupRequest{correlation: c.frames.correlation(), answered: make(chan struct{})}
		c.mu.Unlock()
	}
}

// answer ends the waiting that the response is for, and reports whether the
// client is gone.
func (c *lingeringConn) answer(response []byte) (gone bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting != nil && len(response) >= 8 && binary.BigEndian.Uint32(response[4:]) == c.waiting.correlation {
		close(c.waiting.answered)
		c.waiting = nil
	}
	return c.gone
}

// linger returns when no group owes the client an answer any more.
func (c *lingeringConn) linger() {
	c.mu.Lock()
	c.gone = true
	request := c.waiting
	c.mu.Unlock()
	if request == nil {
		return
	}
	bound := time.NewTimer(longestLinger)
	defer bound.Stop()
	select {
	case <-request.answered:
	case <-c.closed:
	case <-bound.C:
	}
}

// requestFrames finds the requests in what a client sends, however it is cut.
type requestFrames struct {
	head [12]byte // size of what follows, api key, version, correlation id
	have int      // bytes of the frame's head that are known
	left int64    // bytes of the frame to come, once its size is known
}

// next takes bytes of one frame at most, returns the others, and reports whether
// the frame is whole.
func (f *requestFrames) next(p []byte) (rest []byte, whole bool) {
	if f.left == 0 && f.have >= 4 {
		f.have = 0 // the last one was whole
	}
	if f.have < 4 {
		n := copy(f.head[f.have:4], p)
		f.have += n
		if f.have == 4 {
			f.left = int64(binary.BigEndian.Uint32(f.head[:]))
		}
		return p[n:], f.have == 4 && f.left == 0
	}
	n := min(f.left, int64(len(p)))
	f.have += copy(f.head[f.have:], p[:n])
	f.left -= n
	return p[n:], f.left == 0
}

// key is the api key of the whole frame, or that of no request.
func (f *requestFrames) key() int16 {
	if f.have < len(f.head) {
		return -1
	}
	return int16(binary.BigEndian.Uint16(f.head[4:]))
}

func (f *requestFrames) correlation() uint32 { return binary.BigEndian.Uint32(f.head[8:]) }
