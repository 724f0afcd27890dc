package kafka_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
)

// TestRangeResumesAtOnce: a partition that was full goes on as soon as there is
// room, although the broker is just being asked for those that have nothing. How long
// a write takes here is seen where there are none of those.
func TestRangeResumesAtOnce(t *testing.T) {
	t.Parallel()
	alone, beside := betweenWrites(t, false), betweenWrites(t, true)
	// Of a busy machine not each is quick; of a member that waits none is.
	if quick, most := beside[len(beside)/4], alone[len(alone)/4]+250*time.Millisecond; quick > most {
		t.Errorf("between the writes of a partition that was full lie %v, where there is no other %v", beside, alone)
	}
}

// betweenWrites is how long it took from one write of a partition with a backlog to the
// next, in order; there may be one that is idle beside it.
func betweenWrites(t *testing.T, idle bool) []time.Duration {
	t.Helper()
	c := newFake(t)
	heavy, group := c.topic(t, 1), c.name(t)
	topics := map[string]kafka.Flush{heavy: {}}
	if idle {
		topics[c.topic(t, 1)] = kafka.Flush{}
	}
	const n = 100_000
	c.number(t, heavy, 1, 0, n)
	l := c.newLake()
	var began []time.Time // of the writes
	l.hold = func(context.Context, stream.Batch) {
		began = append(began, time.Now())
		time.Sleep(20 * time.Millisecond) // by then the idle one is waited for
	}
	// Less than a poll brings: the partition is full after each.
	r := kafka.Range{Config: c.config(t), Group: group, BufferBytes: 1 << 20, Topics: topics}
	start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	eventually(t, "the last row", func() bool { return l.count(0) == n })
	if len(began) < 8 {
		t.Fatalf("%d writes: the partition was hardly ever full", len(began))
	}
	gaps := make([]time.Duration, len(began)-1)
	for i := range gaps {
		gaps[i] = began[i+1].Sub(began[i])
	}
	slices.Sort(gaps)
	return gaps
}

// TestRangeSettlesTheFirstAtOnce: who looks at the committed offset sees a partition
// move as soon as its new owner has written, not only with the owner's second range.
func TestRangeSettlesTheFirstAtOnce(t *testing.T) {
	t.Parallel()
	c := newFake(t)
	in, group := c.topic(t, 1), c.name(t)
	c.number(t, in, 1, 0, 20)
	l := c.newLake()
	l.intent = func(stream.Batch) string { return "intent" }
	l.hold = func(ctx context.Context, b stream.Batch) {
		if b.Records[0].Offset > 0 {
			<-ctx.Done()
		}
	}
	r := c.rangeLoop(t, group, in)
	r.Config.DrainTimeout = 100 * time.Millisecond
	r.Topics[in] = kafka.Flush{Rows: 10}
	start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	eventually(t, "the first range to be committed", func() bool { return c.committed(t, group, in)[0] == 10 })
}

// TestRangeOpensWhatMakesTheLoadFirst: the partitions of a topic that is apart do not
// wait for those of others to be opened, and a few of those that take their time hold
// nobody up for long.
func TestRangeOpensWhatMakesTheLoadFirst(t *testing.T) {
	t.Parallel()
	c := newFake(t)
	heavy, other, group := c.topic(t, 1), c.topic(t, 6), c.name(t)
	began := make(chan time.Time, 7)
	open := func(ctx context.Context, claim stream.Claim) (stream.RangeSink, error) {
		began <- time.Now()
		if claim.Topic == other {
			<-ctx.Done() // it waits for somebody who is frozen
			return nil, ctx.Err()
		}
		return sinkFunc(func(stream.Batch) {}), nil
	}
	r := kafka.Range{Config: c.config(t), Group: group, Topics: map[string]kafka.Flush{heavy: {Apart: true}, other: {}}}
	r.Config.DrainTimeout = 100 * time.Millisecond
	start(t, func(ctx context.Context) error { return r.Run(ctx, open) })
	var at []time.Time
	for range 7 {
		at = append(at, <-began)
	}
	slices.SortFunc(at, time.Time.Compare)
	// The heavy one and two others at once; the rest after their patience.
	if last := at[6].Sub(at[0]); last < 250*time.Millisecond {
		t.Errorf("all began within %s: nobody waited for a turn", last)
	}
	if late := at[3].Sub(at[0]); late < 200*time.Millisecond {
		t.Errorf("the fourth began after %s", late)
	}
}
