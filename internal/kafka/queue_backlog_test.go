package kafka

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// answer is what a broker has of one batch of the leader's epoch.
func answer(first int64, epoch int32) *kmsg.FetchResponseTopicPartition {
	records := appendRecord(nil, rand.New(rand.NewPCG(1, 1)), 0)
	h := kmsg.RecordBatch{FirstOffset: first, Magic: 2, NumRecords: 1, PartitionLeaderEpoch: epoch, Records: records}
	return &kmsg.FetchResponseTopicPartition{RecordBatches: sealed(h), LastStableOffset: 1000}
}

// TestQueueKnowsTheEpoch: who goes on behind a backlog is told the epoch of what was
// read last, whoever read it: with another one a log that was cut short looks whole, or
// a whole one cut short (KIP-320).
func TestQueueKnowsTheEpoch(t *testing.T) {
	q, b := newQueue(100, func() int { return 1 << 20 }, 5), testBatches()
	at := func(offset int64, epoch int32) {
		t.Helper()
		if got := q.position(); got != (kgo.EpochOffset{Offset: offset, Epoch: epoch}) {
			t.Fatalf("the position is %+v, want %d of epoch %d", got, offset, epoch)
		}
	}
	refill := func(p *kmsg.FetchResponseTopicPartition) {
		t.Helper()
		if err := q.refill(p, b); err != nil {
			t.Fatal(err)
		}
	}
	at(5, -1)
	q.push([]*kgo.Record{{Offset: 5, LeaderEpoch: 3}, {Offset: 6, LeaderEpoch: 4}}, stream.TopicID{})
	at(7, 4)
	q.end = 1000
	if !q.detach(10) {
		t.Fatal("no backlog")
	}
	refill(&kmsg.FetchResponseTopicPartition{LastStableOffset: 1000})
	at(7, 4)
	refill(answer(7, 5))
	at(8, 5)
	q.attach()
	q.push([]*kgo.Record{{Offset: 8, LeaderEpoch: 6}}, stream.TopicID{})
	q.detach(10)
	refill(&kmsg.FetchResponseTopicPartition{LastStableOffset: 1000})
	at(9, 6)
}

// TestBacklogGivesMemoryBack: the room of a backlog goes to the others when what was
// read into it is written, also where the rest of it was too few to be gathered.
func TestBacklogGivesMemoryBack(t *testing.T) {
	q := newQueue(100, func() int { return 1 << 20 }, 0)
	w := &rangeWorker{assignment: &assignment{queue: q}, flush: Flush{Rows: 10, Bytes: 1 << 20}, backlog: &backlog{}}
	w.backlog.batches = batches{rooms: new(sync.Pool)}
	p := answer(0, 1)
	h := kmsg.RecordBatch{}
	if err := h.UnsafeReadFrom(p.RecordBatches); err != nil {
		t.Fatal(err)
	}
	h.Attributes, h.Records = 3, frame(rand.New(rand.NewPCG(1, 1)), h.Records)
	p.RecordBatches = sealed(h)
	q.detached = true
	if err := q.refill(p, &w.backlog.batches); err != nil {
		t.Fatal(err)
	}
	c := w.cutQueue(nil)
	if c.records != 1 || w.backlog.batches.room == nil {
		t.Fatalf("%d records, want one, in memory of the backlog", c.records)
	}
	if c.done(); w.backlog.batches.room != nil {
		t.Error("the memory stays with a partition that has no backlog")
	}
}
