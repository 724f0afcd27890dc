package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
)

func (c *cluster) window(t *testing.T, group, in string) kafka.Window {
	return kafka.Window{
		Config: c.config(t), Group: group, Topic: in, TransactionalID: c.name(t), InFlight: 16, Span: 64, CommitInterval: 10 * time.Millisecond,
	}
}

// testWindow: what every record brings is published once, out of order and in spite
// of failures, and no commit passes a record whose result is not published.
func testWindow(t *testing.T, c *cluster) {
	const n = 300
	in, out, group := c.topic(t, 2), c.topic(t, 1), c.name(t)
	c.number(t, in, 2, 0, n)
	var inFlight, most, failures atomic.Int64
	w := c.window(t, group, in)
	start(t, func(ctx context.Context) error {
		return w.Run(ctx, func(ctx context.Context, r stream.Record) (stream.Result, error) {
			if now := inFlight.Add(1); now > most.Load() {
				most.Store(now)
			}
			defer inFlight.Add(-1)
			time.Sleep(rand.N(5 * time.Millisecond))
			if rand.N(20) == 0 {
				failures.Add(1)
				return stream.Result{}, errors.New("injected")
			}
			return stream.Result{Records: []stream.Record{{Topic: out, Partition: 0, Value: fmt.Appendf(nil, "%d/%d", r.Partition, r.Offset)}}}, nil
		})
	})
	eventually(t, "everything to be committed", func() bool {
		// The commit is read first: what it covers must be published by then.
		committed := c.committed(t, group, in)
		published := c.values(t, out)
		for p, next := range committed {
			for o := range next {
				if key := fmt.Sprintf("%d/%d", p, o); published[key] == 0 {
					t.Fatalf("committed up to %d of partition %d, but %s is not published", next, p, key)
				}
			}
		}
		return committed[0] == n && committed[1] == n
	})
	for key, times := range c.values(t, out) {
		if times != 1 {
			t.Errorf("%s was published %d times, want once: nobody was killed", key, times)
		}
	}
	if m := most.Load(); m < 2 || m > 16 {
		t.Errorf("at most %d records were worked on at once, want 2 to 16", m)
	}
	if failures.Load() == 0 {
		t.Error("no failure was injected: the test shows nothing")
	}
}

// values counts the values of a topic's partition 0.
func (c *cluster) values(t *testing.T, topic string) map[string]int {
	t.Helper()
	values := make(map[string]int)
	for _, v := range c.all(t, topic)[0] {
		values[v]++
	}
	return values
}

// testWindowLowest: one record that takes long holds the commit, not the work;
// the work is bounded by the span.
func testWindowLowest(t *testing.T, c *cluster) {
	in, group := c.topic(t, 1), c.name(t)
	c.number(t, in, 1, 0, 200)
	release := make(chan struct{})
	var mu sync.Mutex
	var highest int64
	w := c.window(t, group, in)
	start(t, func(ctx context.Context) error {
		return w.Run(ctx, func(ctx context.Context, r stream.Record) (stream.Result, error) {
			mu.Lock()
			highest = max(highest, r.Offset)
			mu.Unlock()
			if r.Offset == 10 {
				select {
				case <-release:
				case <-ctx.Done():
					return stream.Result{}, ctx.Err()
				}
			}
			return stream.Result{}, nil
		})
	})
	reached := func() int64 { mu.Lock(); defer mu.Unlock(); return highest }
	eventually(t, "the window to be full", func() bool { return reached() == 10+64-1 && c.committed(t, group, in)[0] == 10 })
	time.Sleep(100 * time.Millisecond)
	if at, h := c.committed(t, group, in)[0], reached(); at != 10 || h != 73 {
		t.Errorf("committed up to %d and reached %d, want 10 and 73", at, h)
	}
	close(release)
	eventually(t, "everything to be committed", func() bool { return c.committed(t, group, in)[0] == 200 })
}

// testWindowDrain: what is in flight when the process is told to stop is
// finished, published and committed; after a restart only the rest comes.
func testWindowDrain(t *testing.T, c *cluster) {
	in, out, group := c.topic(t, 1), c.topic(t, 1), c.name(t)
	c.number(t, in, 1, 0, 40)
	var begun atomic.Int64
	w := c.window(t, group, in)
	handle := func(ctx context.Context, r stream.Record) (stream.Result, error) {
		begun.Add(1)
		<-ctx.Done()                      // told to stop
		time.Sleep(20 * time.Millisecond) // as an HTTP call that takes a moment more
		return stream.Result{Records: []stream.Record{{Topic: out, Value: []byte(strconv.FormatInt(r.Offset, 10))}}}, nil
	}
	first := start(t, func(ctx context.Context) error { return w.Run(ctx, handle) })
	eventually(t, "the slots to be taken", func() bool { return begun.Load() == 16 })
	first.stop(t)
	if at := c.committed(t, group, in)[0]; at != 16 {
		t.Errorf("committed up to %d, want the 16 that were in flight", at)
	}
	quick := func(_ context.Context, r stream.Record) (stream.Result, error) {
		return stream.Result{Records: []stream.Record{{Topic: out, Value: []byte(strconv.FormatInt(r.Offset, 10))}}}, nil
	}
	start(t, func(ctx context.Context) error { return w.Run(ctx, quick) })
	eventually(t, "everything to be committed", func() bool { return c.committed(t, group, in)[0] == 40 })
	for v, times := range c.values(t, out) {
		if times != 1 {
			t.Errorf("%s was published %d times, want once", v, times)
		}
	}
}

// testWindowMembers: a second member takes over partitions; what the first has
// in flight is finished before.
func testWindowMembers(t *testing.T, c *cluster) {
	const n = 100
	in, out, group := c.topic(t, 4), c.topic(t, 1), c.name(t)
	handle := func(_ context.Context, r stream.Record) (stream.Result, error) {
		time.Sleep(rand.N(4 * time.Millisecond))
		return stream.Result{Records: []stream.Record{{Topic: out, Value: fmt.Appendf(nil, "%d/%d", r.Partition, r.Offset)}}}, nil
	}
	w := c.window(t, group, in)
	c.number(t, in, 4, 0, n)
	first := start(t, func(ctx context.Context) error { return w.Run(ctx, handle) })
	eventually(t, "the first member to work", func() bool { return c.committed(t, group, in)[0] > 0 })
	w.TransactionalID = c.name(t)
	start(t, func(ctx context.Context) error { return w.Run(ctx, handle) })
	eventually(t, "both to be members", func() bool { return c.members(t, group) == 2 })
	first.stop(t)
	eventually(t, "everything to be committed", func() bool {
		got := c.committed(t, group, in)
		return got[0] == n && got[1] == n && got[2] == n && got[3] == n
	})
	values := c.values(t, out)
	if len(values) != 4*n {
		t.Errorf("%d results, want %d", len(values), 4*n)
	}
	for v, times := range values {
		if times != 1 {
			t.Errorf("%s was published %d times, want once", v, times)
		}
	}
}

// testWindowNotes: what is finished above an unfinished record is not done again
// by the next owner, although the commit lies below it.
func testWindowNotes(t *testing.T, c *cluster) {
	in, out, group := c.topic(t, 1), c.topic(t, 1), c.name(t)
	c.number(t, in, 1, 0, 40)
	result := func(r stream.Record) []stream.Record {
		return []stream.Record{{Topic: out, Value: []byte(strconv.FormatInt(r.Offset, 10))}}
	}
	w := c.window(t, group, in)
	first := start(t, func(ctx context.Context) error {
		return w.Run(ctx, func(ctx context.Context, r stream.Record) (stream.Result, error) {
			if r.Offset%10 == 3 { // given up when told to stop
				<-ctx.Done()
				return stream.Result{}, ctx.Err()
			}
			return stream.Result{Records: result(r)}, nil
		})
	})
	eventually(t, "all but four to be published", func() bool { return len(c.values(t, out)) == 36 })
	first.stop(t)
	if at := c.committed(t, group, in)[0]; at != 3 {
		t.Errorf("committed up to %d, want 3, the lowest unfinished", at)
	}
	start(t, func(ctx context.Context) error {
		return w.Run(ctx, func(_ context.Context, r stream.Record) (stream.Result, error) {
			return stream.Result{Records: result(r)}, nil
		})
	})
	eventually(t, "everything to be committed", func() bool { return c.committed(t, group, in)[0] == 40 })
	values := c.values(t, out)
	for v, times := range values {
		if times != 1 {
			t.Errorf("%s was published %d times, want once", v, times)
		}
	}
	if len(values) != 40 {
		t.Errorf("%d records were published, want 40", len(values))
	}
}
