package kafka_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// backlogFetches counts the fetches that do not wait, which are those of backlogs. Those
// that answer says to fail do.
func (c *cluster) backlogFetches(answer func(n int64) *kerr.Error) *atomic.Int64 {
	n := new(atomic.Int64)
	c.fake.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		fetch := req.(*kmsg.FetchRequest)
		if fetch.MaxWaitMillis > 0 {
			return nil, nil, false
		}
		code := answer(n.Add(1))
		if code == nil {
			return nil, nil, false
		}
		resp := fetch.ResponseKind().(*kmsg.FetchResponse)
		for _, t := range fetch.Topics {
			out := kmsg.NewFetchResponseTopic()
			out.Topic, out.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				part := kmsg.NewFetchResponseTopicPartition()
				part.Partition, part.ErrorCode = p.Partition, code.Code
				out.Partitions = append(out.Partitions, part)
			}
			resp.Topics = append(resp.Topics, out)
		}
		return resp, nil, true
	})
	return n
}

// numberLong is number with values that are long, begin with the number and cannot be
// compressed, so that a fetch brings a part of them only.
func (c *cluster) numberLong(t *testing.T, p *kafka.Producer, topic string, partitions int32, from, n int) {
	t.Helper()
	random := rand.NewChaCha8([32]byte{})
	rest := make([]byte, 2000)
	for partition := range partitions {
		rs := make([]stream.Record, n)
		for i := range rs {
			_, _ = random.Read(rest)
			rs[i] = stream.Record{Topic: topic, Partition: partition, Value: fmt.Appendf(nil, "%d %x", from+i, rest)}
		}
		if err := p.Publish(t.Context(), rs...); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *cluster) hotProducer(t *testing.T) *kafka.Producer {
	t.Helper()
	p, err := kafka.NewHotProducer(c.config(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// numbered checks that each row has the value of its offset.
func (l *lake) numbered(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for p, rows := range l.rows {
		for offset, value := range rows {
			if got, rest, _ := strings.Cut(value, " "); got != fmt.Sprint(offset) || len(rest) != 4000 {
				t.Fatalf("partition %d: the row of offset %d has %.20q of %d bytes", p, offset, value, len(value))
			}
		}
	}
}

// testRangeBacklog: a backlog is fetched past the client while members come and go, and
// the client goes on behind it.
func testRangeBacklog(t *testing.T, c *cluster) {
	const partitions, backlog, more = 3, 2_000, 50
	in, group, p := c.topic(t, partitions), c.name(t), c.hotProducer(t)
	c.numberLong(t, p, in, partitions, 0, backlog)
	l := c.newLake()
	l.hold = func(context.Context, stream.Batch) { time.Sleep(rand.N(5 * time.Millisecond)) }
	run := func() *loop {
		r := c.rangeLoop(t, group, in)
		return start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	}
	first := run()
	eventually(t, "the first member to work", func() bool { return l.count(0) > 200 })
	second := run()
	eventually(t, "both to work", func() bool { return c.members(t, group) == 2 })
	first.stop(t)
	l.verify(t, c, group, in, partitions, backlog)
	c.numberLong(t, p, in, partitions, backlog, more)
	l.verify(t, c, group, in, partitions, backlog+more)
	second.stop(t)
	l.numbered(t)
}

// testRangeBacklogAborted: what was never committed is in no row.
func testRangeBacklogAborted(t *testing.T, c *cluster) {
	in, group, p := c.topic(t, 1), c.name(t), c.hotProducer(t)
	c.numberLong(t, p, in, 1, 0, 500)
	want := 500
	for i := range 20 {
		c.transaction(t, in, kgo.TryAbort, strings.Repeat("never", 40_000), "never")
		c.transaction(t, in, kgo.TryCommit, fmt.Sprint("committed ", i))
		want++
	}
	c.numberLong(t, p, in, 1, 0, 500)
	want += 500
	l := c.newLake()
	r := c.rangeLoop(t, group, in)
	run := start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	eventually(t, "all that is committed", func() bool { return l.count(0) >= want })
	run.stop(t)
	l.mu.Lock()
	defer l.mu.Unlock()
	for offset, value := range l.rows[0] {
		if strings.HasPrefix(value, "never") {
			t.Errorf("the row of offset %d was never committed", offset)
		}
	}
	if got := len(l.rows[0]); got != want || len(l.wrong) > 0 {
		t.Errorf("%d rows, want %d; %v", got, want, l.wrong)
	}
}

// TestRangeBacklogFetches: whatever a fetch of a backlog may say, the client goes on, and
// the backlog is fetched past it where it can be.
func TestRangeBacklogFetches(t *testing.T) {
	const partitions, backlog, more = 3, 1_500, 50
	at := func(at int64, code *kerr.Error) func(int64) *kerr.Error {
		return func(n int64) *kerr.Error {
			if n == at {
				return code
			}
			return nil
		}
	}
	for name, c := range map[string]struct {
		answer func(int64) *kerr.Error
		slow   bool // the codec is one that only the client reads
		least  int64
	}{
		"well":              {answer: at(0, nil), least: partitions * backlog * 2000 / (1 << 20)},
		"the leader moves":  {answer: at(3, kerr.NotLeaderForPartition), least: 3},
		"a later leader":    {answer: at(2, kerr.FencedLeaderEpoch), least: 2},
		"the log is gone":   {answer: at(2, kerr.OffsetOutOfRange), least: 2},
		"from the first on": {answer: func(int64) *kerr.Error { return kerr.UnknownServerError }, least: 1},
		"another codec":     {answer: at(0, nil), slow: true, least: 1},
	} {
		t.Run(name, func(t *testing.T) {
			cl := newFake(t)
			cl.gather = 1
			in, group, p := cl.topic(t, partitions), cl.name(t), cl.hotProducer(t)
			if c.slow {
				p = cl.producer(t)
			}
			fetches := cl.backlogFetches(c.answer)
			cl.numberLong(t, p, in, partitions, 0, backlog)
			l := cl.newLake()
			r := cl.rangeLoop(t, group, in)
			run := start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
			l.verify(t, cl, group, in, partitions, backlog)
			if n := fetches.Load(); n < c.least {
				t.Errorf("%d fetches past the client, want %d at least", n, c.least)
			}
			cl.numberLong(t, p, in, partitions, backlog, more)
			l.verify(t, cl, group, in, partitions, backlog+more)
			run.stop(t)
			l.numbered(t)
		})
	}
}
