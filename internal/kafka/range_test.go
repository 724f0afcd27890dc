package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// lake is a table that remembers where each row came from, as the real one.
// A claim looks up what is already there, so rows are never doubled.
type lake struct {
	// fail, if set, may make a write fail: before it wrote, or after.
	fail func(b stream.Batch) (before, after error)
	// hold, if set, blocks a write until it returns.
	hold func(ctx context.Context, b stream.Batch)
	// intent, if set, is committed before each write.
	intent func(b stream.Batch) string

	taken *atomic.Int64 // records that were gathered

	mu      sync.Mutex
	rows    map[int32]map[int64]string
	claims  []stream.Claim
	writes  []int // rows of each
	open    map[int32]bool
	wrong   []string
	refused atomic.Int64 // intents
}

func (c *cluster) newLake() *lake {
	return &lake{taken: &c.taken, rows: make(map[int32]map[int64]string), open: make(map[int32]bool)}
}

func (l *lake) Open(_ context.Context, c stream.Claim) (stream.RangeSink, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[c.Partition] {
		l.wrong = append(l.wrong, fmt.Sprintf("partition %d has two sinks", c.Partition))
	}
	l.open[c.Partition] = true
	l.claims = append(l.claims, c)
	if l.rows[c.Partition] == nil {
		l.rows[c.Partition] = make(map[int64]string)
	}
	return &lakeSink{lake: l, partition: c.Partition, next: c.Committed}, nil
}

type lakeSink struct {
	*lake
	partition int32
	next      int64
	retry     []stream.Record
	gathered  stream.Batch
}

// Gather implements stream.Gatherer.
func (s *lakeSink) Gather(_ context.Context, b stream.Batch) (taken, bytes int) {
	s.taken.Add(int64(len(b.Records)))
	s.gathered.Topic, s.gathered.TopicID, s.gathered.Partition = b.Topic, b.TopicID, b.Partition
	for i := range b.Records { // their memory is somebody else's then
		s.gathered.Records = append(s.gathered.Records, b.Records[i].Clone())
	}
	return len(b.Records), 100 * len(s.gathered.Records)
}

// WriteGathered implements stream.Gatherer.
func (s *lakeSink) WriteGathered(ctx context.Context, intend stream.Intend) error {
	err := s.Write(ctx, s.gathered, intend)
	if err == nil {
		s.gathered = stream.Batch{}
	}
	return err
}

func (s *lakeSink) Write(ctx context.Context, b stream.Batch, intend stream.Intend) error {
	if s.hold != nil {
		s.hold(ctx, b)
	}
	if s.retry != nil && !slices.EqualFunc(s.retry, b.Records, func(x, y stream.Record) bool { return x.Offset == y.Offset }) {
		s.complain("partition %d: another batch came after a failed write", s.partition)
	}
	s.retry = b.Records
	if s.intent != nil {
		if err := intend(ctx, b.Records[0].Offset, s.intent(b)); err != nil {
			s.refused.Add(1)
			return err
		}
	}
	var after error
	if s.fail != nil {
		var before error
		if before, after = s.fail(b); before != nil {
			return before
		}
	}
	s.mu.Lock()
	for _, r := range b.Records {
		if r.Offset < s.next {
			s.wrong = append(s.wrong, fmt.Sprintf("partition %d: offset %d came after %d", s.partition, r.Offset, s.next))
		}
		s.rows[s.partition][r.Offset] = string(r.Value)
	}
	s.writes = append(s.writes, len(b.Records))
	s.mu.Unlock()
	if after != nil {
		return after
	}
	s.retry, s.next = nil, b.Records[len(b.Records)-1].Offset+1
	return nil
}

func (s *lakeSink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[s.partition] = false
	return nil
}

func (l *lake) complain(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

func (l *lake) count(partition int32) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.rows[partition])
}

func (l *lake) claimed() []stream.Claim {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.claims)
}

// verify checks that nothing was lost, and that no offset was ever committed
// whose row is missing.
func (l *lake) verify(t *testing.T, c *cluster, group, in string, partitions int32, n int) {
	t.Helper()
	eventually(t, "every partition to be committed", func() bool {
		got := c.committed(t, group, in)
		done := true
		for p := range partitions {
			// Read before counting: rows may be ahead of commits, never behind.
			if rows := l.count(p); int64(rows) < got[p] {
				t.Fatalf("partition %d is committed up to %d with %d rows in the lake", p, got[p], rows)
			}
			done = done && got[p] == int64(n)
		}
		return done
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range partitions {
		if len(l.rows[p]) != n {
			t.Errorf("partition %d has %d rows, want %d", p, len(l.rows[p]), n)
		}
	}
	for _, w := range l.wrong {
		t.Error(w)
	}
}

func (c *cluster) rangeLoop(t *testing.T, group, in string) kafka.Range {
	return kafka.Range{
		Config: c.config(t), Group: group,
		Topics: map[string]kafka.Flush{in: {Rows: 40, Interval: 20 * time.Millisecond, Linger: 2 * time.Millisecond, Gather: c.gather}},
		// Fast enough not to be what limits a test.
		MaxWritesPerSecond: 1000,
	}
}

func testRangeFailingWrites(t *testing.T, c *cluster) {
	in, group := c.topic(t, 3), c.name(t)
	l := c.newLake()
	l.intent = func(b stream.Batch) string { return fmt.Sprint(b.Records[0].Offset) }
	var writes, before, after atomic.Int64
	l.fail = func(stream.Batch) (error, error) {
		switch writes.Add(1) % 6 {
		case 0:
			before.Add(1)
			return errors.New("injected before"), nil
		case 1:
			after.Add(1)
			return nil, errors.New("injected after")
		}
		return nil, nil
	}
	r := c.rangeLoop(t, group, in)
	run := start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	c.number(t, in, 3, 0, 400)
	l.verify(t, c, group, in, 3, 400)
	run.stop(t)
	if before.Load() == 0 || after.Load() == 0 {
		t.Error("no fault was injected: the test shows nothing")
	}
	if n := len(l.claimed()); n != 3 {
		t.Errorf("%d claims, want one for each partition: a failed write keeps its sink", n)
	}
}

func testRangeMembersComeAndGo(t *testing.T, c *cluster) {
	const partitions, n = 4, 900
	in, group := c.topic(t, partitions), c.name(t)
	l := c.newLake()
	l.hold = func(ctx context.Context, _ stream.Batch) { time.Sleep(rand.N(3 * time.Millisecond)) }
	run := func() *loop {
		r := c.rangeLoop(t, group, in)
		return start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	}
	c.number(t, in, partitions, 0, n/3)
	first := run()
	eventually(t, "the first member to work", func() bool { return l.count(0) > 0 })
	second := run()
	c.number(t, in, partitions, n/3, n/3)
	eventually(t, "both to work", func() bool { return c.members(t, group) == 2 })
	first.stop(t)
	c.number(t, in, partitions, 2*n/3, n/3)
	third := run()
	l.verify(t, c, group, in, partitions, n)
	second.stop(t)
	third.stop(t)
}

// testRangeClaim: a claim says where the group is, with the metadata committed
// there; without a commit it is the first retained offset.
func testRangeClaim(t *testing.T, c *cluster) {
	in, group := c.topic(t, 1), c.name(t)
	c.number(t, in, 1, 0, 20)
	c.deleteRecords(t, in, 5)
	l := c.newLake()
	l.intent = func(b stream.Batch) string {
		return fmt.Sprintf("intent %d-%d", b.Records[0].Offset, b.Records[len(b.Records)-1].Offset)
	}
	l.fail = func(stream.Batch) (error, error) { return errors.New("injected"), nil }
	r := c.rangeLoop(t, group, in)
	first := start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	eventually(t, "the intent to be committed", func() bool { return c.metadata(t, group, in) == "intent 5-19" })
	if at := c.committed(t, group, in)[0]; at != 5 {
		t.Errorf("an intent committed offset %d, want 5: it does not move the position", at)
	}
	first.stop(t)

	l.fail = nil
	l.intent = nil
	start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	eventually(t, "the second claim", func() bool { return len(l.claimed()) == 2 })
	claims := l.claimed()
	id, _, err := c.log(t).Describe(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"", "intent 5-19"} {
		if claims[i].Committed != 5 || claims[i].Metadata != want || claims[i].TopicID != id {
			t.Errorf("claim %d is at %d with %q of topic %x, want 5 with %q of %x", i, claims[i].Committed, claims[i].Metadata, claims[i].TopicID, want, id)
		}
	}
	again, err := claims[1].Reread.All(t.Context(), 7, 9)
	if err != nil || len(again) != 3 || again[0].Offset != 7 || string(again[2].Value) != "9" {
		t.Errorf("rereading [7,9]: %v, %v", again, err)
	}
	eventually(t, "the rest to be committed", func() bool {
		return c.committed(t, group, in)[0] == 20 && c.metadata(t, group, in) == ""
	})
}

func (c *cluster) metadata(t *testing.T, group, topic string) string {
	t.Helper()
	positions, err := c.admin(t).Positions(t.Context(), group, topic)
	if err != nil {
		t.Fatal(err)
	}
	// After the version and the topic's id, what the sink noted.
	words := strings.SplitN(positions[0].Metadata, " ", 3)
	if len(words) < 3 {
		return ""
	}
	return words[2]
}

// testRangeFencedCommit: a commit that the group refuses has no error but in
// the partition. It must be noticed, and everything claimed anew when the group
// does not know the member; a member that is only behind by a generation keeps
// what it has and commits again.
func testRangeFencedCommit(t *testing.T, c *cluster) {
	if c.fake == nil {
		t.Skip("a real broker cannot be told to fail")
	}
	f := func(code *kerr.Error, claims, restarts int) {
		t.Run(code.Message, func(t *testing.T) {
			t.Parallel()
			c := newFake(t)
			in, group := c.topic(t, 2), c.name(t)
			l := c.newLake()
			r := c.rangeLoop(t, group, in)
			reg := prometheus.NewRegistry()
			r.Config.Registerer = reg
			start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
			c.number(t, in, 2, 0, 50)
			l.verify(t, c, group, in, 2, 50)
			c.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: code})
			c.number(t, in, 2, 50, 50)
			l.verify(t, c, group, in, 2, 100)
			if n := len(l.claimed()); n != claims {
				t.Errorf("%d claims, want %d", n, claims)
			}
			if v, _ := gauge(t, reg, "pricelake_kafka_member_restarts_total", map[string]string{"group": group, "reason": "fenced"}); int(v) != restarts {
				t.Errorf("%v restarts counted, want %d", v, restarts)
			}
		})
	}
	f(kerr.UnknownMemberID, 4, 1)
	f(kerr.IllegalGeneration, 2, 0)
	f(kerr.RebalanceInProgress, 2, 0)
}

// testRangeRevokeWaits: a partition does not change hands while a write of it is
// under way, and a write that outlasts the patience is not committed.
func testRangeRevokeWaits(t *testing.T, c *cluster) {
	in, group := c.topic(t, 2), c.name(t)
	var writing, stuck atomic.Int32
	release := make(chan struct{})
	l := c.newLake()
	l.hold = func(ctx context.Context, b stream.Batch) {
		writing.Add(1)
		defer writing.Add(-1)
		stuck.Add(1)
		select {
		case <-release:
		case <-ctx.Done():
		}
	}
	r := c.rangeLoop(t, group, in)
	r.Config.DrainTimeout = 6 * time.Second
	first := start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	c.number(t, in, 2, 0, 10)
	eventually(t, "both partitions to be written", func() bool { return stuck.Load() == 2 })
	other := c.newLake()
	other.hold = func(context.Context, stream.Batch) {
		if n := writing.Load(); n > 1 {
			other.complain("%d writes of the first member are still under way", n)
		}
	}
	start(t, func(ctx context.Context) error { return r.Run(ctx, other.Open) })
	time.Sleep(300 * time.Millisecond) // within the patience of the first member
	if n := len(other.claimed()); n > 0 {
		t.Errorf("the second member claimed %d partitions while the first writes", n)
	}
	close(release)
	eventually(t, "the second member to own one", func() bool { return len(other.claimed()) == 1 })
	eventually(t, "everything to be committed", func() bool {
		got := c.committed(t, group, in)
		return got[0] == 10 && got[1] == 10
	})
	first.stop(t)
	if n := other.count(0) + other.count(1); n > 0 {
		t.Errorf("the second member wrote %d rows again, want none: the first finished its writes", n)
	}
	for _, w := range other.wrong {
		t.Error(w)
	}
}

// testRangeStopWaits: a member that was told to stop finishes what it has in hand
// before its partitions go to one that joins meanwhile.
func testRangeStopWaits(t *testing.T, c *cluster) {
	in, group := c.topic(t, 2), c.name(t)
	var stuck atomic.Int32
	release := make(chan struct{})
	l := c.newLake()
	l.hold = func(ctx context.Context, _ stream.Batch) {
		stuck.Add(1)
		select {
		case <-release:
		case <-ctx.Done():
		}
	}
	r := c.rangeLoop(t, group, in)
	r.Config.DrainTimeout = 6 * time.Second
	first := start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	c.number(t, in, 2, 0, 10)
	eventually(t, "both partitions to be written", func() bool { return stuck.Load() == 2 })
	first.cancel()
	other := c.newLake()
	start(t, func(ctx context.Context) error { return r.Run(ctx, other.Open) })
	time.Sleep(1500 * time.Millisecond) // the group has balanced twice by then
	if n := len(other.claimed()); n > 0 {
		t.Errorf("the second member claimed %d partitions while the first writes", n)
	}
	close(release)
	first.stop(t)
	eventually(t, "the second member to own both", func() bool { return len(other.claimed()) == 2 })
	for _, claim := range other.claimed() {
		if claim.Committed != 10 {
			t.Errorf("partition %d was claimed at offset %d, want 10: the first member finished its write", claim.Partition, claim.Committed)
		}
	}
	if n := other.count(0) + other.count(1); n > 0 {
		t.Errorf("the second member wrote %d rows again", n)
	}
}

// testRangeBackPressure: a partition whose sink is slow is paused; the memory it
// takes is bounded, and the others go on.
func testRangeBackPressure(t *testing.T, c *cluster) {
	const n, size = 120, 512 << 10
	in, group := c.topic(t, 2), c.name(t)
	release := make(chan struct{})
	l := c.newLake()
	l.hold = func(ctx context.Context, b stream.Batch) {
		if b.Partition == 0 {
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
	}
	r := c.rangeLoop(t, group, in)
	r.Topics[in] = kafka.Flush{Rows: 10, Interval: 10 * time.Millisecond}
	r.BufferBytes = 32 << 20
	reg := prometheus.NewRegistry()
	r.Config.Registerer = reg
	value := make([]byte, size) // that does not compress
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(value)
	producer := c.producer(t)
	for range n {
		rs := []stream.Record{{Topic: in, Partition: 0, Value: value}, {Topic: in, Partition: 1, Value: value}}
		if err := producer.Publish(t.Context(), rs...); err != nil {
			t.Fatal(err)
		}
	}
	start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	eventually(t, "the quick partition to be done", func() bool { return c.committed(t, group, in)[1] == n })
	eventually(t, "the slow one to be paused", func() bool {
		v, _ := gauge(t, reg, "pricelake_kafka_partition_pauses_total", map[string]string{"group": group, "topic": in})
		return v > 0
	})
	slow := map[string]string{"group": group, "topic": in, "partition": "0"}
	if held, ok := gauge(t, reg, "pricelake_kafka_in_flight_records", slow); !ok || held == 0 || held > 32*2+20 {
		t.Errorf("the slow partition holds %v records of half a MiB, want some but no more than about 32 MiB", held)
	}
	if age, _ := gauge(t, reg, "pricelake_kafka_unsettled_age_seconds", slow); age <= 0 {
		t.Errorf("the age of the slow partition's oldest record is %v, want more than 0", age)
	}
	close(release)
	l.verify(t, c, group, in, 2, n)
}

// testRangeIdle: behind the last record there may be markers and aborted
// records; an idle group is committed over them, so that its lag reads 0.
func testRangeIdle(t *testing.T, c *cluster) {
	in, group := c.topic(t, 1), c.name(t)
	l := c.newLake()
	r := c.rangeLoop(t, group, in)
	start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	c.transaction(t, in, kgo.TryCommit, "0", "1")
	c.transaction(t, in, kgo.TryAbort, "never", "never")
	eventually(t, "the markers to be committed", func() bool { return c.committed(t, group, in)[0] == 6 })
	if n := l.count(0); n != 2 {
		t.Errorf("%d rows, want the 2 committed ones", n)
	}
}

// testRangeGap: what retention deleted unread is counted, and the rest is read.
func testRangeGap(t *testing.T, c *cluster) {
	in, group := c.topic(t, 1), c.name(t)
	l := c.newLake()
	r := c.rangeLoop(t, group, in)
	c.number(t, in, 1, 0, 10)
	first := start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	eventually(t, "the first ones", func() bool { return c.committed(t, group, in)[0] == 10 })
	first.stop(t)
	c.number(t, in, 1, 10, 20)
	c.deleteRecords(t, in, 25)
	reg := prometheus.NewRegistry()
	r.Config.Registerer = reg
	start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	eventually(t, "the rest", func() bool { return c.committed(t, group, in)[0] == 30 })
	if n := l.count(0); n != 15 {
		t.Errorf("%d rows, want 10 and the 5 that are left", n)
	}
	if v, _ := gauge(t, reg, "pricelake_kafka_records_expired_total", map[string]string{"group": group, "topic": in}); v != 15 {
		t.Errorf("%v lost records are counted, want 15", v)
	}
}

func TestRangeRefusesAnIntentThatIsTooLong(t *testing.T) {
	t.Parallel()
	c := newFake(t)
	in, group := c.topic(t, 1), c.name(t)
	c.number(t, in, 1, 0, 1)
	l := c.newLake()
	l.intent = func(stream.Batch) string { return string(make([]byte, 1025)) }
	r := c.rangeLoop(t, group, in)
	start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	eventually(t, "the refusal", func() bool { return l.refused.Load() > 1 })
	if at := c.committed(t, group, in)[0]; at > 0 {
		t.Errorf("committed up to %d", at)
	}
}

// testRangeApart: the partitions of a topic that is apart are spread evenly over
// the processes, however those of other topics lie.
func testRangeApart(t *testing.T, c *cluster) {
	heavy, group := c.topic(t, 4), c.name(t)
	topics := map[string]kafka.Flush{heavy: {Interval: time.Millisecond, Apart: true}}
	for _, partitions := range []int32{1, 3, 4} {
		topics[c.topic(t, partitions)] = kafka.Flush{Interval: time.Millisecond}
	}
	var owned [3]atomic.Int64
	for i := range owned {
		r := kafka.Range{Config: c.config(t), Group: group, Topics: topics}
		start(t, func(ctx context.Context) error {
			return r.Run(ctx, func(_ context.Context, claim stream.Claim) (stream.RangeSink, error) {
				if claim.Topic != heavy {
					return sinkFunc(func(stream.Batch) {}), nil
				}
				owned[i].Add(1)
				return closingSink{sinkFunc(func(stream.Batch) {}), func() { owned[i].Add(-1) }}, nil
			})
		})
	}
	eventually(t, "the partitions to be spread", func() bool {
		most, least := int64(0), int64(4)
		for i := range owned {
			most, least = max(most, owned[i].Load()), min(least, owned[i].Load())
		}
		return most == 2 && least == 1 && c.members(t, group) == 3
	})
}

type closingSink struct {
	sinkFunc
	close func()
}

func (s closingSink) Close() error { s.close(); return nil }
