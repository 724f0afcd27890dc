//go:build !noembed && unix

package embed

import (
	"encoding/binary"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
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
	return newLingeringConn(conn, longestLinger), nil
}

// lingeringConn keeps the end of its client from its reader while a JoinGroup or
// SyncGroup waits. There is one reader, and each Write is a whole response.
type lingeringConn struct {
	net.Conn
	frames    requestFrames // the reader's
	farewell  []byte        // the reader's: what it gets before the end
	longest   time.Duration // that it lingers
	closed    chan struct{}
	closeOnce sync.Once

	mu      sync.Mutex
	waiting *groupRequest // nil when no group owes an answer
	gone    bool          // the client is
}

// groupRequest is one that waits for other members.
type groupRequest struct {
	correlation uint32
	leave       []byte // the request with which its member leaves, or nil
	answered    chan struct{}
}

func newLingeringConn(conn net.Conn, longest time.Duration) *lingeringConn {
	return &lingeringConn{Conn: conn, longest: longest, closed: make(chan struct{})}
}

// Read passes requests on. Its error comes after the answer that a group owes,
// and the member leaves the group before. Its session timeout would be too late
// when it leads the group: kfake lets those of the others run as well while they
// wait for what the leader says, and never answers the one that it removes first.
func (c *lingeringConn) Read(p []byte) (int, error) {
	if len(c.farewell) == 0 {
		n, err := c.Conn.Read(p)
		c.note(p[:n])
		if n > 0 || err == nil {
			return n, nil
		}
		if c.farewell = c.linger(); len(c.farewell) == 0 {
			return 0, err
		}
	}
	n := copy(p, c.farewell)
	c.farewell = c.farewell[n:]
	return n, nil
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
		if !isGroupKey(c.frames.key()) {
			continue
		}
		request := &groupRequest{
			correlation: c.frames.correlation(),
			leave:       leaveFor(c.frames.key(), c.frames.version(), c.frames.body),
			answered:    make(chan struct{}),
		}
		c.mu.Lock()
		c.waiting = request
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

// linger returns when no group owes the client an answer any more, and with what
// its member leaves the group that has given one.
func (c *lingeringConn) linger() (leave []byte) {
	c.mu.Lock()
	c.gone = true
	request := c.waiting
	c.mu.Unlock()
	if request == nil {
		return nil
	}
	bound := time.NewTimer(c.longest)
	defer bound.Stop()
	select {
	case <-request.answered:
		if c.frames.between() {
			return request.leave
		}
	case <-c.closed:
	case <-bound.C:
	}
	return nil
}

func isGroupKey(key int16) bool {
	return key == kmsg.JoinGroup.Int16() || key == kmsg.SyncGroup.Int16()
}

// leaveFor makes the request that ends the membership of a JoinGroup or SyncGroup,
// whose frame is given from its client id on. It is nil for a member that
// keeps its place for its next process (KIP-345), and for one without an id yet.
func leaveFor(key, version int16, body []byte) []byte {
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	src := kbin.Reader{Src: body}
	src.NullableString() // client id
	if req.IsFlexible() {
		kmsg.SkipTags(&src)
	}
	if !src.Ok() || req.ReadFrom(src.Src) != nil {
		return nil // kfake ends the connection
	}
	leave, member := kmsg.NewPtrLeaveGroupRequest(), kmsg.NewLeaveGroupRequestMember()
	var instance *string
	switch req := req.(type) {
	case *kmsg.JoinGroupRequest:
		leave.Group, member.MemberID, instance = req.Group, req.MemberID, req.InstanceID
	case *kmsg.SyncGroupRequest:
		leave.Group, member.MemberID, instance = req.Group, req.MemberID, req.InstanceID
	}
	if member.MemberID == "" || instance != nil {
		return nil
	}
	leave.Members = append(leave.Members, member)
	leave.SetVersion(3) // the first with a list of members
	return kmsg.NewRequestFormatter().AppendRequest(nil, leave, 0)
}

// requestFrames finds the requests in what a client sends, however it is cut.
type requestFrames struct {
	head [12]byte // size of what follows, api key, version, correlation id
	have int      // bytes of the frame's head that are known
	left int64    // bytes of the frame to come, once its size is known
	body []byte   // what follows the head of a request that is of a group
}

// next takes bytes of one frame at most, returns the others, and reports whether
// the frame is whole.
func (f *requestFrames) next(p []byte) (rest []byte, whole bool) {
	if f.between() {
		f.have, f.body = 0, nil
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
	head := copy(f.head[f.have:], p[:n])
	f.have += head
	f.left -= n
	if isGroupKey(f.key()) {
		f.body = append(f.body, p[head:n]...)
	}
	return p[n:], f.left == 0
}

// between reports whether the last frame was whole, and no other has begun.
func (f *requestFrames) between() bool {
	return f.left == 0 && (f.have == 0 || f.have >= 4)
}

// key is the api key of the frame, or that of no request while its head is not whole.
func (f *requestFrames) key() int16 {
	if f.have < len(f.head) {
		return -1
	}
	return int16(binary.BigEndian.Uint16(f.head[4:]))
}

func (f *requestFrames) version() int16      { return int16(binary.BigEndian.Uint16(f.head[6:])) }
func (f *requestFrames) correlation() uint32 { return binary.BigEndian.Uint32(f.head[8:]) }
