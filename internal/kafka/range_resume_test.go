package kafka_test

import (
	"context"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
)

// TestRangeResumesAtOnce: a partition that was full goes on as soon as there is
// room, although the broker is just being asked for those that have nothing.
func TestRangeResumesAtOnce(t *testing.T) {
	t.Parallel()
	c := newFake(t)
	heavy, idle, group := c.topic(t, 1), c.topic(t, 1), c.name(t)
	const n = 100_000
	c.number(t, heavy, 1, 0, n)
	l := newLake()
	full := 0
	l.hold = func(context.Context, stream.Batch) {
		full++
		time.Sleep(20 * time.Millisecond) // by then the idle one is waited for
	}
	// Less than a poll brings: the partition is full after each.
	r := kafka.Range{Config: c.config(t), Group: group, BufferBytes: 1 << 20,
		Topics: map[string]kafka.Flush{heavy: {}, idle: {}}}
	start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	eventually(t, "the first rows", func() bool { return l.count(0) > 0 })
	began := time.Now()
	eventually(t, "the last row", func() bool { return l.count(0) == n })
	took := time.Since(began)
	t.Logf("%d writes in %v", full, took.Round(time.Millisecond))
	if each := took / time.Duration(full); full < 8 || each > 250*time.Millisecond {
		t.Errorf("%d writes of a partition that was full took %v each, want at most 250ms", full, each)
	}
}
