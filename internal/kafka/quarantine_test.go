package kafka_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
)

// reasons keeps what a loop says of partitions that stand still.
type reasons struct {
	mu  sync.Mutex
	why map[stream.TopicPartition]error
}

func (r *reasons) note(tp stream.TopicPartition, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.why == nil {
		r.why = map[stream.TopicPartition]error{}
	}
	r.why[tp] = why
}

func (r *reasons) of(tp stream.TopicPartition) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.why[tp]
}

// stands waits until the partition stands still with a gap, says so in every
// place, and nothing of it is handed over.
func (c *cluster) stands(t *testing.T, r kafka.Range, group, in, because string, first, last int64) *loop {
	t.Helper()
	said := new(reasons)
	reg := prometheus.NewRegistry()
	r.Stopped, r.Config.Registerer = said.note, reg
	l := c.newLake()
	run := start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	tp := stream.TopicPartition{Topic: in}
	eventually(t, "the partition to stand still", func() bool { return said.of(tp) != nil })
	var q *stream.QuarantineError
	if !errors.As(said.of(tp), &q) || q.First != first || q.Last != last || !strings.Contains(q.Reason, because) {
		t.Errorf("it stands still because of %v, want %q about %d-%d", said.of(tp), because, first, last)
	}
	eventually(t, "the reason beside the offset", func() bool {
		positions, err := c.admin(t).Positions(t.Context(), group, in)
		return err == nil && strings.Contains(positions[0].Stopped, because)
	})
	if v, _ := gauge(t, reg, "pricelake_kafka_quarantined_partitions", map[string]string{"group": group, "topic": in, "partition": "0"}); v != 1 {
		t.Errorf("the metric says %v, want 1", v)
	}
	if n := l.count(0); n > 0 {
		t.Errorf("%d records were handed over", n)
	}
	return run
}

// release lets the partition go on from an offset and wants n records of it.
func (c *cluster) release(t *testing.T, r kafka.Range, group, in string, next int64, n int) {
	t.Helper()
	if err := c.admin(t).Release(t.Context(), group, stream.TopicPartition{Topic: in}, next); err != nil {
		t.Fatal(err)
	}
	l := c.newLake()
	start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	eventually(t, "the partition to go on", func() bool { return l.count(0) == n })
}

// testQuarantineTopicRecreated: a topic that was deleted and created again under
// its name has other records at the same offsets.
func testQuarantineTopicRecreated(t *testing.T, c *cluster) {
	in, group := c.topic(t, 1), c.name(t)
	l := c.newLake()
	r := c.rangeLoop(t, group, in)
	c.number(t, in, 1, 0, 20)
	before := start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	eventually(t, "the first topic", func() bool { return c.committed(t, group, in)[0] == 20 })
	before.stop(t)
	kept := c.committed(t, group, in)[0]
	metadata := c.rawMetadata(t, group, in)
	admin := kadm.NewClient(c.client(t))
	if _, err := admin.DeleteTopics(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the topic to be made again", func() bool {
		_, err := kafka.ApplyTopics(t.Context(), c.config(t), []kafka.Topic{{Name: in, Partitions: 1, ReplicationFactor: 1}})
		return err == nil
	})
	c.number(t, in, 1, 0, 30)
	// Some brokers forget the offsets of a topic with it; a restored backup, or a
	// broker that does not, has them still.
	if c.fake == nil {
		eventually(t, "the offsets of the topic to be forgotten", func() bool { return c.committed(t, group, in)[0] < 0 })
	}
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: in, At: kept, LeaderEpoch: -1, Metadata: metadata})
	if err := admin.CommitAllOffsets(t.Context(), group, offsets); err != nil {
		t.Fatal(err)
	}
	run := c.stands(t, r, group, in, "deleted and created again", 0, 19)
	run.stop(t)
	run = c.stands(t, r, group, in, "deleted and created again", 0, 19) // it is found again
	if err := c.admin(t).Release(t.Context(), group, stream.TopicPartition{Topic: in}, 0); !errors.Is(err, kafka.ErrGroupInUse) {
		t.Errorf("released under a member that works: %v", err)
	}
	run.stop(t)
	c.release(t, r, group, in, 0, 30)
}

func (c *cluster) rawMetadata(t *testing.T, group, topic string) string {
	t.Helper()
	positions, err := c.admin(t).Positions(t.Context(), group, topic)
	if err != nil {
		t.Fatal(err)
	}
	return positions[0].Metadata
}

// testQuarantineTruncated: a log that ends below the position has lost records;
// that it grows beyond again does not bring them back.
func testQuarantineTruncated(t *testing.T, c *cluster) {
	in, group := c.topic(t, 1), c.name(t)
	c.number(t, in, 1, 0, 10)
	if err := c.admin(t).Release(t.Context(), group, stream.TopicPartition{Topic: in}, 25); err != nil {
		t.Fatal(err)
	}
	r := c.rangeLoop(t, group, in)
	c.stands(t, r, group, in, "the log ends at 10", 10, 24).stop(t)
	c.number(t, in, 1, 10, 30)
	c.stands(t, r, group, in, "the log ends at 10", 10, 24).stop(t)
	c.release(t, r, group, in, 0, 40)
}

// testRangeSettlesOnce: an intent settles the batch before, so a batch costs one
// commit; a loop that stops settles the last one plainly, and the next owner has
// nothing to read again.
func testRangeSettlesOnce(t *testing.T, c *cluster) {
	const n = 400
	in, group := c.topic(t, 1), c.name(t)
	c.number(t, in, 1, 0, n)
	l := c.newLake()
	l.intent = func(b stream.Batch) string { return "intent" }
	r := c.rangeLoop(t, group, in)
	r.Topics[in] = kafka.Flush{Rows: 10, Interval: time.Hour, Gather: c.gather} // only full batches, no idle commits
	reg := prometheus.NewRegistry()
	r.Config.Registerer = reg
	run := start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	eventually(t, "all to be written", func() bool { return l.count(0) == n })
	run.stop(t)
	if at, note := c.committed(t, group, in)[0], c.metadata(t, group, in); at != n || note != "" {
		t.Errorf("committed %d with %q, want %d plainly", at, note, n)
	}
	if v, _ := gauge(t, reg, "pricelake_kafka_commits_total", map[string]string{"group": group}); v > n/10+2 {
		t.Errorf("%v commits of %d batches", v, n/10)
	}
	start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	eventually(t, "the next claim", func() bool { return len(l.claimed()) == 2 })
	if claim := l.claimed()[1]; claim.Committed != n || claim.Metadata != "" {
		t.Errorf("the next claim is at %d with %q", claim.Committed, claim.Metadata)
	}
}
