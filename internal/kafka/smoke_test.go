package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
)

func testApplyTopics(t *testing.T, c *cluster) {
	profile := kafka.Embedded()
	topics := kafka.Topics(profile)
	changes, err := kafka.ApplyTopics(t.Context(), c.config(t), topics)
	if err != nil {
		t.Fatal(err)
	}
	if len(changes) != len(topics) {
		t.Errorf("first run made %d changes, want %d: %v", len(changes), len(topics), changes)
	}
	changes, err = kafka.ApplyTopics(t.Context(), c.config(t), topics)
	if err != nil || len(changes) != 0 {
		t.Errorf("second run: %v, %v; want no change", changes, err)
	}
}

func testApplyTopicsRefuses(t *testing.T, c *cluster) {
	name := c.topic(t, 2)
	_, err := kafka.ApplyTopics(t.Context(), c.config(t), []kafka.Topic{{Name: name, Partitions: 3, ReplicationFactor: 1}})
	if !errors.Is(err, kafka.ErrPartitionCount) {
		t.Errorf("got %v, want ErrPartitionCount", err)
	}
}

func testPublish(t *testing.T, c *cluster)            {}
func testPublishTooLarge(t *testing.T, c *cluster)    {}
func testReadCommitted(t *testing.T, c *cluster)      {}
func testReadCommittedWaits(t *testing.T, c *cluster) {}
func testTail(t *testing.T, c *cluster)               {}
func testOwner(t *testing.T, c *cluster)              {}
func testTxn(t *testing.T, c *cluster)                {}

func testTransact(t *testing.T, c *cluster) {
	in, out := c.topic(t, 3), c.topic(t, 3)
	c.fill(t, in, 3, 0, 3000)
	tr := kafka.Transact{Config: c.config(t), Group: "g", Topics: []string{in}, TransactionalID: t.Name(), Sessions: 2}
	l := start(t, func(ctx context.Context) error {
		return tr.Run(ctx, func(context.Context, stream.TopicPartition) (stream.Stage, error) {
			return stream.StageFunc(func(_ context.Context, b stream.Batch) (stream.Output, error) {
				var o stream.Output
				for _, r := range b.Records {
					o.Records = append(o.Records, stream.Record{Topic: out, Partition: r.Partition, Value: r.Value})
				}
				return o, nil
			}), nil
		})
	})
	eventually(t, "all copied", func() bool {
		n := 0
		for _, v := range c.all(t, out) {
			n += len(v)
		}
		return n >= 3000
	})
	l.stop(t)
	if got := c.committed(t, "g", in); got[0] != 1000 || got[1] != 1000 || got[2] != 1000 {
		t.Errorf("committed %v", got)
	}
}

type memorySink struct {
	mu   sync.Mutex
	rows []string
}

func (s *memorySink) Write(_ context.Context, b stream.Batch, intend stream.Intend) error {
	if err := intend(context.Background(), fmt.Sprint(len(b.Records))); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range b.Records {
		s.rows = append(s.rows, string(r.Value))
	}
	return nil
}
func (s *memorySink) Close() error { return nil }

func testRange(t *testing.T, c *cluster) {
	in := c.topic(t, 3)
	c.fill(t, in, 3, 0, 3000)
	sink := &memorySink{}
	r := kafka.Range{Config: c.config(t), Group: "r", Topics: map[string]kafka.Flush{in: kafka.DefaultFlush()}}
	l := start(t, func(ctx context.Context) error {
		return r.Run(ctx, func(context.Context, stream.Claim) (stream.RangeSink, error) { return sink, nil })
	})
	eventually(t, "all written", func() bool {
		got := c.committed(t, "r", in)
		return got[0]+got[1]+got[2] == 3000
	})
	l.stop(t)
	slices.Sort(sink.rows)
	if n := len(slices.Compact(sink.rows)); n != 3000 {
		t.Errorf("%d rows", n)
	}
}

func testWindow(t *testing.T, c *cluster) {
	in, out := c.topic(t, 3), c.topic(t, 3)
	c.fill(t, in, 3, 0, 300)
	w := kafka.Window{Config: c.config(t), Group: "w", Topic: in}
	l := start(t, func(ctx context.Context) error {
		return w.Run(ctx, func(_ context.Context, r stream.Record) ([]stream.Record, error) {
			return []stream.Record{{Topic: out, Partition: stream.AnyPartition, Value: r.Value}}, nil
		})
	})
	eventually(t, "all done", func() bool {
		got := c.committed(t, "w", in)
		return got[0]+got[1]+got[2] == 300
	})
	l.stop(t)
}
