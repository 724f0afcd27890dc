package kafka_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// echo is a handler that brings two records for each, to two topics.
func echo(one, two string) stream.WindowHandler {
	return func(_ context.Context, r stream.Record) (stream.Result, error) {
		v := fmt.Appendf(nil, "%d/%d", r.Partition, r.Offset)
		return stream.Result{Records: []stream.Record{{Topic: one, Value: v}, {Topic: two, Value: v}}}, nil
	}
}

// committedResults counts how often a handler was told that what a record brought
// is committed.
type committedResults struct {
	mu    sync.Mutex
	times map[string]int
}

func (c *committedResults) of(handle stream.WindowHandler) stream.WindowHandler {
	return func(ctx context.Context, r stream.Record) (stream.Result, error) {
		result, err := handle(ctx, r)
		result.Committed = func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.times == nil {
				c.times = make(map[string]int)
			}
			c.times[fmt.Sprintf("%d/%d", r.Partition, r.Offset)]++
		}
		return result, err
	}
}

// once fails unless the handler was told of least records or more, of each once.
func (c *committedResults) once(t *testing.T, least int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.times) < least {
		t.Errorf("the handler was told of %d commits, want %d", len(c.times), least)
	}
	for v, times := range c.times {
		if times != 1 {
			t.Errorf("the handler was told %d times that the result of %s is committed, want once", times, v)
		}
	}
}

// resultsOnce fails unless topics have one result of each of n records of partitions,
// and nothing else.
func (c *cluster) resultsOnce(t *testing.T, partitions int32, n int, topics ...string) {
	t.Helper()
	for _, topic := range topics {
		values := c.values(t, topic)
		if want := int(partitions) * n; len(values) != want {
			t.Errorf("%s: results of %d records, want %d", topic, len(values), want)
		}
		for v, times := range values {
			if times != 1 {
				t.Errorf("%s: the result of %s is there %d times, want once", topic, v, times)
			}
		}
	}
}

// testWindowFaults: what brokers answer when they are in trouble.
func testWindowFaults(t *testing.T, c *cluster) {
	if c.fake == nil {
		t.Skip("a real broker cannot be told to fail")
	}
	f := func(name string, fault kfake.Fault) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newFake(t)
			in, one, two, group := c.topic(t, 2), c.topic(t, 1), c.topic(t, 1), c.name(t)
			c.number(t, in, 2, 0, 100)
			w := c.window(t, group, in)
			var told committedResults
			start(t, func(ctx context.Context) error { return w.Run(ctx, told.of(echo(one, two))) })
			eventually(t, "a first commit", func() bool { return c.committed(t, group, in)[0] > 0 })
			handle := c.fake.Fault(fault)
			c.number(t, in, 2, 100, 100)
			eventually(t, "everything to be committed", func() bool {
				at := c.committed(t, group, in)
				return at[0] == 200 && at[1] == 200
			})
			c.resultsOnce(t, 2, 200, one, two)
			told.once(t, 0) // who loses a partition is not told
			if handle.Hits() == 0 {
				t.Error("the fault was never hit: the test shows nothing")
			}
		})
	}
	key := func(k kmsg.Key) []kmsg.Key { return []kmsg.Key{k} }
	f("EndTxn_unknown_server_error", kfake.Fault{Keys: key(kmsg.EndTxn), Err: kerr.UnknownServerError, Count: 2})
	f("EndTxn_fenced", kfake.Fault{Keys: key(kmsg.EndTxn), Err: kerr.ProducerFenced})
	f("EndTxn_not_coordinator", kfake.Fault{Keys: key(kmsg.EndTxn), Err: kerr.NotCoordinator, Count: 3})
	f("EndTxn_invalid_epoch", kfake.Fault{Keys: key(kmsg.EndTxn), Err: kerr.InvalidProducerEpoch})
	f("TxnOffsetCommit_illegal_generation", kfake.Fault{Keys: key(kmsg.TxnOffsetCommit), Err: kerr.IllegalGeneration, Count: 2})
	f("TxnOffsetCommit_unknown_member", kfake.Fault{Keys: key(kmsg.TxnOffsetCommit), Err: kerr.UnknownMemberID, Count: 2})
	f("TxnOffsetCommit_not_coordinator", kfake.Fault{Keys: key(kmsg.TxnOffsetCommit), Err: kerr.NotCoordinator, Count: 2})
	f("TxnOffsetCommit_fenced", kfake.Fault{Keys: key(kmsg.TxnOffsetCommit), Err: kerr.ProducerFenced})
	f("Produce_fenced", kfake.Fault{Keys: key(kmsg.Produce), Err: kerr.ProducerFenced, When: transactional})
	f("Produce_not_leader", kfake.Fault{Keys: key(kmsg.Produce), Err: kerr.NotLeaderForPartition, Count: 3, When: transactional})
	f("Heartbeat_unknown_member", kfake.Fault{Keys: key(kmsg.Heartbeat), Err: kerr.UnknownMemberID})
	f("Heartbeat_illegal_generation", kfake.Fault{Keys: key(kmsg.Heartbeat), Err: kerr.IllegalGeneration, Count: 2})
}

// testWindowFails: a transaction may fail between any two of its steps, and also
// after its end, when it happened all the same.
func testWindowFails(t *testing.T, c *cluster) {
	in, one, two, group := c.topic(t, 2), c.topic(t, 1), c.topic(t, 1), c.name(t)
	c.number(t, in, 2, 0, 200)
	w := c.window(t, group, in)
	points, err := failpoint.Parse("poller.taken=error@5*5; poller.produced=error@3*2; poller.offsets.added=error@2*2; poller.committed=error@2*3; poller.revoked=error")
	if err != nil {
		t.Fatal(err)
	}
	w.Config.Failpoints = points
	var told committedResults
	r := start(t, func(ctx context.Context) error { return w.Run(ctx, told.of(echo(one, two))) })
	eventually(t, "everything to be committed", func() bool {
		at := c.committed(t, group, in)
		return at[0] == 200 && at[1] == 200
	})
	r.stop(t)
	c.resultsOnce(t, 2, 200, one, two)
	told.once(t, 400)
}

// testWindowLostAnswer: the broker commits a transaction and the answer says that
// it does not know. The position tells that it happened.
func testWindowLostAnswer(t *testing.T, c *cluster) {
	if c.fake == nil {
		t.Skip("a real broker cannot be told to fail")
	}
	in, one, two, group := c.topic(t, 1), c.topic(t, 1), c.topic(t, 1), c.name(t)
	c.number(t, in, 1, 0, 100)
	lost := c.loseCommits(t, false)
	w := c.window(t, group, in)
	start(t, func(ctx context.Context) error { return w.Run(ctx, echo(one, two)) })
	eventually(t, "everything to be committed", func() bool { return c.committed(t, group, in)[0] == 100 })
	c.resultsOnce(t, 1, 100, one, two)
	if lost.Load() == 0 {
		t.Error("no answer was lost: the test shows nothing")
	}
}

// testWindowNotesLast: what the first owner noted is not forgotten when the second
// commits before it has come to it.
func testWindowNotesLast(t *testing.T, c *cluster) {
	in, one, two, group := c.topic(t, 1), c.topic(t, 1), c.topic(t, 1), c.name(t)
	c.number(t, in, 1, 0, 40)
	quick := echo(one, two)
	only := func(may func(offset int64) bool) stream.WindowHandler {
		return func(ctx context.Context, r stream.Record) (stream.Result, error) {
			if !may(r.Offset) {
				<-ctx.Done()
				return stream.Result{}, ctx.Err()
			}
			return quick(ctx, r)
		}
	}
	run := func(inFlight, want int, handle stream.WindowHandler) {
		t.Helper()
		w := c.window(t, group, in)
		w.InFlight = inFlight
		r := start(t, func(ctx context.Context) error { return w.Run(ctx, handle) })
		eventually(t, "the results", func() bool { return len(c.values(t, one)) == want })
		r.stop(t)
	}
	run(64, 20, only(func(o int64) bool { return o >= 20 }))
	run(4, 21, only(func(o int64) bool { return o == 1 })) // has not come to 20 when it commits
	run(64, 40, quick)
	c.resultsOnce(t, 1, 40, one, two)
}

// testWindowTooLarge: a result that its topic does not take holds up its record,
// not those of others, and is not asked for again and again.
func testWindowTooLarge(t *testing.T, c *cluster) {
	in, out, group := c.topic(t, 1), c.topic(t, 1), c.name(t)
	c.number(t, in, 1, 0, 20)
	var calls atomic.Int64
	w := c.window(t, group, in)
	start(t, func(ctx context.Context) error {
		return w.Run(ctx, func(_ context.Context, r stream.Record) (stream.Result, error) {
			value := fmt.Appendf(nil, "%d/%d", r.Partition, r.Offset)
			if r.Offset == 3 {
				calls.Add(1)
				value = make([]byte, 2<<20)
			}
			return stream.Result{Records: []stream.Record{{Topic: out, Value: value}}}, nil
		})
	})
	eventually(t, "the others", func() bool { return len(c.values(t, out)) == 19 && c.committed(t, group, in)[0] == 3 })
	time.Sleep(500 * time.Millisecond)
	if n := calls.Load(); n != 1 {
		t.Errorf("the record was handled %d times, want once", n)
	}
}

// testWindowHolds: while nothing can be committed, results are kept, and from a
// bound on nothing new is begun.
func testWindowHolds(t *testing.T, c *cluster) {
	if c.fake == nil {
		t.Skip("a real broker cannot be told to fail")
	}
	in, out, group := c.topic(t, 1), c.topic(t, 1), c.name(t)
	c.number(t, in, 1, 0, 150)
	fault := c.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.IllegalGeneration, Count: -1})
	var begun, ended atomic.Int64
	w := c.window(t, group, in)
	w.InFlight, w.Span = 1000, 1000
	start(t, func(ctx context.Context) error {
		return w.Run(ctx, func(_ context.Context, r stream.Record) (stream.Result, error) {
			begun.Add(1)
			defer ended.Add(1)
			return stream.Result{Records: []stream.Record{{Topic: out, Key: fmt.Appendf(nil, "%d", r.Offset), Value: make([]byte, 512<<10)}}}, nil
		})
	})
	eventually(t, "the bound to be reached", func() bool { return begun.Load() > 128 && begun.Load() == ended.Load() })
	time.Sleep(200 * time.Millisecond)
	reached := begun.Load()
	c.number(t, in, 1, 150, 50)
	time.Sleep(500 * time.Millisecond)
	if n := begun.Load(); n != reached {
		t.Errorf("%d more records were begun while more than 64 MiB of results wait", n-reached)
	}
	fault.Remove()
	eventually(t, "everything to be committed", func() bool { return c.committed(t, group, in)[0] == 200 })
}

// testWindowZombie: a member that the group has given up while it worked, or in
// the middle of a transaction, commits nothing any more.
func testWindowZombie(t *testing.T, c *cluster) {
	if c.fake == nil {
		t.Skip("a real broker cannot be told to lose heartbeats")
	}
	f := func(name, points string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newFake(t)
			in, one, two, group := c.topic(t, 1), c.topic(t, 1), c.topic(t, 1), c.name(t)
			zombie, successor := c.zombie(t)
			set, err := failpoint.Parse(points)
			if err != nil {
				t.Fatal(err)
			}
			zombie.Failpoints = set
			release := make(chan struct{})
			var began sync.Once
			working := make(chan struct{})
			handle := echo(one, two)
			w := c.window(t, group, in)
			w.Config = zombie
			first := start(t, func(ctx context.Context) error {
				return w.Run(ctx, func(ctx context.Context, r stream.Record) (stream.Result, error) {
					began.Do(func() { close(working) })
					if points == "" {
						<-release // frozen: it does not notice the end of its context
					}
					return handle(ctx, r)
				})
			})
			c.number(t, in, 1, 0, 10)
			<-working
			heal := c.silence("zombie")
			w.Config, w.TransactionalID = successor, c.name(t)
			second := start(t, func(ctx context.Context) error { return w.Run(ctx, handle) })
			c.number(t, in, 1, 10, 10)
			eventually(t, "the successor to be done", func() bool { return c.committed(t, group, in)[0] == 20 })
			close(release)
			eventually(t, "the zombie to join anew", func() bool { return c.members(t, group) == 2 })
			heal()
			second.stop(t)
			c.number(t, in, 1, 20, 10)
			eventually(t, "the former zombie to go on", func() bool { return c.committed(t, group, in)[0] == 30 })
			first.stop(t)
			c.resultsOnce(t, 1, 30, one, two)
		})
	}
	f("working", "")
	f("produced", "poller.produced=delay:6s")
	f("offsets added", "poller.offsets.added=delay:6s")
}
