package kafka_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
)

// gate is a switch of the tests.
type gate struct {
	mu      sync.Mutex
	paused  bool
	changed chan struct{}
}

func newGate(paused bool) *gate { return &gate{paused: paused, changed: make(chan struct{})} }

func (g *gate) Paused() (bool, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.paused, g.changed
}

func (g *gate) set(paused bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.paused = paused
	close(g.changed)
	g.changed = make(chan struct{})
}

// testGate: each loop starts behind a closed gate as a member that takes nothing,
// goes on when it opens, and finishes what it has in hand when it closes.
func testGate(t *testing.T, c *cluster) {
	c.log(t) // the loops below share it
	for name, run := range map[string]func(ctx context.Context, g kafka.Gate, group, in string, seen func(n int)) error{
		"range": func(ctx context.Context, g kafka.Gate, group, in string, seen func(int)) error {
			r := kafka.Range{Config: c.config(t), Group: group, Gate: g, Topics: map[string]kafka.Flush{in: {Rows: 10, Interval: time.Millisecond}}}
			return r.Run(ctx, func(context.Context, stream.Claim) (stream.RangeSink, error) {
				return sinkFunc(func(b stream.Batch) { seen(len(b.Records)) }), nil
			})
		},
		"transact": func(ctx context.Context, g kafka.Gate, group, in string, seen func(int)) error {
			l := kafka.Transact{Config: c.config(t), Group: group, Topics: []string{in}, TransactionalID: group, MaxRecords: 10, Gate: g}
			return l.Run(ctx, func(context.Context, stream.TopicPartition) (stream.Stage, error) {
				return stream.StageFunc(func(_ context.Context, b stream.Batch) (stream.Output, error) {
					seen(len(b.Records))
					return stream.Output{}, nil
				}), nil
			})
		},
		"window": func(ctx context.Context, g kafka.Gate, group, in string, seen func(int)) error {
			w := c.window(t, group, in)
			w.Gate = g
			return w.Run(ctx, func(context.Context, stream.Record) (stream.Result, error) { seen(1); return stream.Result{}, nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, group := c.topic(t, 1), c.name(t)
			c.number(t, in, 1, 0, 100)
			g := newGate(true)
			var taken atomic.Int64
			start(t, func(ctx context.Context) error {
				return run(ctx, g, group, in, func(n int) { taken.Add(int64(n)) })
			})
			eventually(t, "the member to join", func() bool { return c.members(t, group) == 1 })
			time.Sleep(300 * time.Millisecond) // as long as a loop without a gate takes for all of it
			if n := taken.Load(); n != 0 {
				t.Fatalf("%d records were taken behind a closed gate", n)
			}
			g.set(false)
			// The commit may lie behind the markers of a transaction.
			eventually(t, "everything to be committed", func() bool { return c.committed(t, group, in)[0] >= 100 })
			g.set(true)
			if name == "transact" { // it looks at its gate between two polls
				time.Sleep(1500 * time.Millisecond)
			}
			before := taken.Load()
			c.number(t, in, 1, 100, 50)
			time.Sleep(300 * time.Millisecond)
			if n := taken.Load(); n != before {
				t.Errorf("%d records were taken after the gate had closed", n-before)
			}
			g.set(false)
			eventually(t, "the rest to be committed", func() bool { return c.committed(t, group, in)[0] >= 150 })
			if n := taken.Load(); n != 150 {
				t.Errorf("%d records were taken, want each of the 150 once", n)
			}
		})
	}
}

// sinkFunc is a sink that only counts.
type sinkFunc func(stream.Batch)

func (f sinkFunc) Write(_ context.Context, b stream.Batch, _ stream.Intend) error { f(b); return nil }
func (f sinkFunc) Close() error                                                   { return nil }
