//go:build !noembed && unix

package embed

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// frame is a request with a body of n bytes behind its correlation id.
func frame(key kmsg.Key, correlation uint32, n int) []byte {
	f := binary.BigEndian.AppendUint32(nil, uint32(8+n))
	f = binary.BigEndian.AppendUint16(f, uint16(key.Int16()))
	f = binary.BigEndian.AppendUint16(f, 4)
	f = binary.BigEndian.AppendUint32(f, correlation)
	return append(f, bytes.Repeat([]byte{0, 11}, n)[:n]...)
}

func response(correlation uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{0, 0, 0, 4}, correlation)
}

// lingering returns a connection whose client has sent what is given and gone,
// and what its reader ends with.
func lingering(t *testing.T, sent []byte, cut int) (conn *lingeringConn, ended chan error) {
	t.Helper()
	return lingeringFor(t, sent, cut, sent)
}

// lingeringFor is lingering with a reader that is to get something else. The reader
// has what was sent by then: nothing is answered before it was read.
func lingeringFor(t *testing.T, sent []byte, cut int, want []byte) (conn *lingeringConn, ended chan error) {
	t.Helper()
	client, server := net.Pipe()
	conn, ended = newLingeringConn(server, longestLinger), make(chan error, 1)
	t.Cleanup(func() { conn.Close() })
	read := make(chan struct{})
	go func() {
		got := make([]byte, len(sent))
		_, err := io.ReadFull(conn, got)
		close(read)
		rest, restErr := io.ReadAll(conn)
		got, err = append(got, rest...), errors.Join(err, restErr)
		if !bytes.Equal(got, want) {
			err = errors.Join(err, fmt.Errorf("the reader got %q, want %q", got, want))
		}
		ended <- err
	}()
	for part := range slices.Chunk(sent, cut) {
		if _, err := client.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	client.Close()
	<-read
	return conn, ended
}

func join(change func(*kmsg.JoinGroupRequest)) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID = "lake", "one"
	req.SetVersion(9)
	change(req)
	return req
}

func TestMemberLeavesBeforeTheEnd(t *testing.T) {
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.MemberID = "lake", "one"
	leave := kmsg.NewPtrLeaveGroupRequest()
	member := kmsg.NewLeaveGroupRequestMember()
	member.MemberID = "one"
	leave.Group, leave.Members = "lake", append(leave.Members, member)
	leave.SetVersion(3)
	plain := kmsg.NewRequestFormatter()
	goodbye := plain.AppendRequest(nil, leave, 0)
	instance := "a"
	for name, c := range map[string]struct {
		req  kmsg.Request
		want []byte
	}{
		"join":       {join(func(*kmsg.JoinGroupRequest) {}), goodbye},
		"old join":   {join(func(r *kmsg.JoinGroupRequest) { r.SetVersion(4) }), goodbye},
		"sync":       {sync, goodbye},
		"first join": {join(func(r *kmsg.JoinGroupRequest) { r.MemberID = "" }), nil},
		"static":     {join(func(r *kmsg.JoinGroupRequest) { r.InstanceID = &instance }), nil},
	} {
		t.Run(name, func(t *testing.T) {
			sent := kmsg.NewRequestFormatter(kmsg.FormatterClientID("role")).AppendRequest(nil, c.req, 7)
			conn, ended := lingeringFor(t, sent, 3, append(slices.Clone(sent), c.want...))
			wantNoEnd(t, ended)
			if _, err := conn.Write(response(7)); err != nil {
				t.Error(err)
			}
			wantEnd(t, ended)
		})
	}
}

func wantEnd(t *testing.T, ended chan error) {
	t.Helper()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the reader does not end")
	}
}

func wantNoEnd(t *testing.T, ended chan error) {
	t.Helper()
	select {
	case err := <-ended:
		t.Fatalf("the reader ended before the answer: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
}

func TestConnEndsWithItsClient(t *testing.T) {
	join := frame(kmsg.JoinGroup, 7, 30)
	for name, sent := range map[string][]byte{
		"nothing":        nil,
		"another":        frame(kmsg.Heartbeat, 7, 30),
		"half a join":    join[:len(join)-1],
		"half its head":  join[:7],
		"too short":      {0, 0, 0, 2, 0, 11},
		"empty":          {0, 0, 0, 0, 0, 0, 0, 0},
		"one in another": frame(kmsg.Produce, 7, 1000),
	} {
		t.Run(name, func(t *testing.T) {
			_, ended := lingering(t, sent, 5)
			wantEnd(t, ended)
		})
	}
}

func TestConnOutlivesItsClientUntilTheAnswer(t *testing.T) {
	before := slices.Concat(frame(kmsg.Metadata, 5, 3), frame(kmsg.Heartbeat, 6, 0))
	for name, sent := range map[string][]byte{
		"join":           slices.Concat(before, frame(kmsg.JoinGroup, 7, 30)),
		"sync":           slices.Concat(before, frame(kmsg.SyncGroup, 7, 30)),
		"one read ahead": slices.Concat(frame(kmsg.JoinGroup, 7, 30), frame(kmsg.Heartbeat, 8, 9)),
	} {
		for _, cut := range []int{1, 7, len(sent)} {
			t.Run(name, func(t *testing.T) {
				conn, ended := lingering(t, sent, cut)
				wantNoEnd(t, ended)
				if _, err := conn.Write(response(6)); err != nil {
					t.Error(err)
				}
				wantNoEnd(t, ended)
				if n, err := conn.Write(response(7)); n != 8 || err != nil {
					t.Errorf("wrote %d, %v to a client that is gone", n, err)
				}
				wantEnd(t, ended)
			})
		}
	}
}

func TestAnsweredConnEndsWithItsClient(t *testing.T) {
	client, server := net.Pipe()
	conn := newLingeringConn(server, longestLinger)
	defer conn.Close()
	join := frame(kmsg.JoinGroup, 7, 30)
	go client.Write(join)
	if _, err := io.ReadFull(conn, make([]byte, len(join))); err != nil {
		t.Fatal(err)
	}
	go io.ReadFull(client, make([]byte, 8))
	if _, err := conn.Write(response(7)); err != nil {
		t.Fatal(err)
	}
	client.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, conn)
		ended <- err
	}()
	wantEnd(t, ended)
}

func TestCloseEndsALingeringConn(t *testing.T) {
	conn, ended := lingering(t, frame(kmsg.JoinGroup, 7, 30), 100)
	wantNoEnd(t, ended)
	conn.Close()
	wantEnd(t, ended)
}

// A request that nobody answers holds a connection for a bounded time only.
func TestConnLingersForAWhile(t *testing.T) {
	client, server := net.Pipe()
	conn := newLingeringConn(server, 50*time.Millisecond)
	defer conn.Close()
	began := time.Now()
	go func() {
		_, _ = client.Write(frame(kmsg.JoinGroup, 1, 20))
		client.Close()
	}()
	if _, err := io.ReadAll(conn); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 50*time.Millisecond || took > 10*time.Second {
		t.Errorf("the reader was told after %v, want 50ms", took)
	}
}
