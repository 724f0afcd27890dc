//go:build !noembed && unix

package embed

import (
	"bytes"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// FuzzRequestFrames reads what a client may send, whole and in pieces: both are the
// same requests, and none of it does harm.
func FuzzRequestFrames(f *testing.F) {
	f.Add(frame(kmsg.JoinGroup, 1, 20), uint8(3))
	f.Add(slices.Concat(frame(kmsg.Heartbeat, 1, 0), frame(kmsg.SyncGroup, 2, 5), []byte{0, 0}), uint8(1))
	f.Add(kmsg.NewRequestFormatter().AppendRequest(nil, join(func(r *kmsg.JoinGroupRequest) { r.MemberID = "two" }), 7), uint8(5))
	f.Fuzz(func(t *testing.T, sent []byte, cut uint8) {
		whole, pieces := newLingeringConn(nil, 0), newLingeringConn(nil, 0)
		whole.note(sent)
		for part := range slices.Chunk(sent, 1+int(cut)) {
			pieces.note(part)
		}
		a, b := whole.waiting, pieces.waiting
		if (a == nil) != (b == nil) || a != nil && (a.correlation != b.correlation || !bytes.Equal(a.leave, b.leave)) || whole.frames.between() != pieces.frames.between() {
			t.Errorf("%x is %+v, in pieces of %d %+v", sent, a, 1+int(cut), b)
		}
	})
}
