package kafka

import (
	"testing"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestWindowStaysWithinItsNote: a request that a commit could not note is not
// begun, however few records lie between: transaction markers take offsets too.
func TestWindowStaysWithinItsNote(t *testing.T) {
	room := func(offset int64, window ...*request) bool {
		a := testMember(1, 64<<20).owned[stream.TopicPartition{Topic: "t"}]
		a.queue.push([]*kgo.Record{{Topic: "t", Offset: offset}}, stream.TopicID{})
		w := &windowWorker{assignment: a, span: 1024, settler: &settler{}, window: window}
		return w.room()
	}
	lowest := &request{record: stream.Record{Offset: 100}}
	if !room(100+finishedOffsets-1, lowest) {
		t.Error("the farthest offset that a commit can note may not be begun")
	}
	if room(100+finishedOffsets, lowest) {
		t.Error("an offset that a commit cannot note may be begun")
	}
	if !room(1 << 40) {
		t.Error("nothing is unfinished, and nothing may be begun")
	}
}
