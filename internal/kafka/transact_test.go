package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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

// copier is a stage with the deduplicator's needs: it has state per partition
// that must always equal what is durable in its output partition, so it notices
// every batch that is handled twice, left out, or handled by two owners.
type copier struct {
	out string
	log *kafka.Log
	// fail, if set, may make Handle fail.
	fail func(b stream.Batch) error
	// overlaps: a partition may have two stages, of which one is a zombie's.
	overlaps bool

	mu     sync.Mutex
	open   map[int32]bool
	opens  atomic.Int64
	faults atomic.Int64
	wrong  []string
}

func newCopier(t *testing.T, c *cluster, partitions int32) *copier {
	return &copier{out: c.topic(t, partitions), log: c.log(t), open: make(map[int32]bool)}
}

func (c *copier) complain(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

// Open rebuilds the state of one partition: the number of records in its output.
func (c *copier) Open(ctx context.Context, tp stream.TopicPartition) (stream.Stage, error) {
	c.opens.Add(1)
	c.mu.Lock()
	twice := c.open[tp.Partition]
	c.open[tp.Partition] = true
	c.mu.Unlock()
	if twice && !c.overlaps {
		c.complain("partition %d has two stages", tp.Partition)
	}
	s := &copierStage{copier: c, partition: tp.Partition, last: -1}
	_, err := c.log.ReadCommitted(ctx, stream.TopicPartition{Topic: c.out, Partition: tp.Partition}, 0, func(stream.Record) error {
		s.durable++
		return nil
	})
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

type copierStage struct {
	*copier
	partition int32
	durable   int   // records in the output partition
	last      int64 // offset of the last one written by this stage
}

func (s *copierStage) Handle(_ context.Context, b stream.Batch) (stream.Output, error) {
	if b.Partition != s.partition {
		s.complain("stage of partition %d got a batch of %d", s.partition, b.Partition)
	}
	if s.fail != nil {
		if err := s.fail(b); err != nil {
			s.faults.Add(1)
			return stream.Output{}, err
		}
	}
	var out stream.Output
	for i, r := range b.Records {
		// Inputs are numbered per partition: the state says which is next.
		if want := fmt.Sprint(s.durable + i); string(r.Value) != want {
			s.complain("partition %d: got %q where %q is next", s.partition, r.Value, want)
		}
		out.Records = append(out.Records, stream.Record{Topic: s.out, Partition: b.Partition, Value: r.Value})
	}
	out.Committed = func(_ context.Context, published []stream.Record) error {
		for i, r := range published {
			if r.Offset <= s.last || string(r.Value) != fmt.Sprint(s.durable+i) {
				s.complain("partition %d: committed %q at offset %d", s.partition, r.Value, r.Offset)
			}
			s.last = r.Offset
		}
		s.durable += len(published)
		return nil
	}
	return out, nil
}

func (s *copierStage) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[s.partition] = false
	return nil
}

// number publishes n records to each partition, numbered from `from`.
func (c *cluster) number(t *testing.T, topic string, partitions int32, from, n int) {
	t.Helper()
	var rs []stream.Record
	for i := range n {
		for p := range partitions {
			rs = append(rs, stream.Record{Topic: topic, Partition: p, Value: fmt.Append(nil, from+i)})
		}
	}
	if err := c.producer(t).Publish(t.Context(), rs...); err != nil {
		t.Fatal(err)
	}
}

// verify waits until n records a partition are copied and committed, and checks
// that each is there exactly once, in order.
func (c *copier) verify(t *testing.T, cl *cluster, group, in string, partitions int32, n int) {
	t.Helper()
	eventually(t, "every partition to be committed", func() bool {
		got := cl.committed(t, group, in)
		for p := range partitions {
			if got[p] < int64(n) {
				return false
			}
		}
		return true
	})
	got := cl.all(t, c.out)
	for p := range partitions {
		if len(got[p]) != n {
			t.Errorf("partition %d has %d records, want %d", p, len(got[p]), n)
		}
		for i, v := range got[p] {
			if v != fmt.Sprint(i) {
				t.Fatalf("partition %d: record %d is %q: lost, doubled or out of order", p, i, v)
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.wrong {
		t.Error(w)
	}
}

func (c *cluster) transact(t *testing.T, group, in string, sessions int) kafka.Transact {
	return kafka.Transact{
		Config: c.config(t), Group: group, Topics: []string{in},
		TransactionalID: c.name(t), Sessions: sessions, MaxRecords: 50,
	}
}

func testTransactFailingStage(t *testing.T, c *cluster) {
	in, group := c.topic(t, 3), c.name(t)
	stage := newCopier(t, c, 3)
	stage.fail = func(stream.Batch) error {
		if rand.N(5) == 0 {
			return errors.New("injected")
		}
		return nil
	}
	c.number(t, in, 3, 0, 500)
	tr := c.transact(t, group, in, 2)
	l := start(t, func(ctx context.Context) error { return tr.Run(ctx, stage.Open) })
	stage.verify(t, c, group, in, 3, 500)
	l.stop(t)
	if stage.faults.Load() == 0 {
		t.Error("no fault was injected: the test shows nothing")
	}
	if n := stage.opens.Load(); n > 6 {
		t.Errorf("stages were opened %d times: a failing Handle keeps its stage", n)
	}
}

// testTransactOnePartitionFails: a partition whose batches fail must not hold
// up the others of its session.
func testTransactOnePartitionFails(t *testing.T, c *cluster) {
	in, group := c.topic(t, 2), c.name(t)
	stage := newCopier(t, c, 2)
	var healed atomic.Bool
	stage.fail = func(b stream.Batch) error {
		if b.Partition == 0 && !healed.Load() {
			return errors.New("injected")
		}
		return nil
	}
	c.number(t, in, 2, 0, 300)
	tr := c.transact(t, group, in, 1)
	start(t, func(ctx context.Context) error { return tr.Run(ctx, stage.Open) })
	eventually(t, "the healthy partition to go on", func() bool { return c.committed(t, group, in)[1] == 300 })
	if at := c.committed(t, group, in)[0]; at > 0 {
		t.Errorf("the failing partition is committed up to %d, want nothing", at)
	}
	healed.Store(true)
	stage.verify(t, c, group, in, 2, 300)
}

// testTransactMembersComeAndGo: exactly once while members join, leave and are
// killed during the load.
func testTransactMembersComeAndGo(t *testing.T, c *cluster) {
	const partitions, n = 4, 1500
	in, group := c.topic(t, partitions), c.name(t)
	stage := newCopier(t, c, partitions)
	run := func() *loop {
		tr := c.transact(t, group, in, 1)
		return start(t, func(ctx context.Context) error { return tr.Run(ctx, stage.Open) })
	}
	c.number(t, in, partitions, 0, n/3)
	first := run()
	eventually(t, "the first member to work", func() bool { return c.committed(t, group, in)[0] > 0 })
	second := run()
	c.number(t, in, partitions, n/3, n/3)
	eventually(t, "both to work", func() bool { return c.members(t, group) == 2 })
	first.stop(t)
	c.number(t, in, partitions, 2*n/3, n/3)
	third := run()
	stage.verify(t, c, group, in, partitions, n)
	second.stop(t)
	third.stop(t)
	eventually(t, "the group to be empty", func() bool { return c.members(t, group) == 0 })
}

// testTransactFaults: what brokers answer when they are in trouble.
func testTransactFaults(t *testing.T, c *cluster) {
	if c.fake == nil {
		t.Skip("a real broker cannot be told to fail")
	}
	f := func(name string, fault kfake.Fault) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newFake(t)
			in, group := c.topic(t, 2), c.name(t)
			stage := newCopier(t, c, 2)
			c.number(t, in, 2, 0, 200)
			tr := c.transact(t, group, in, 1)
			start(t, func(ctx context.Context) error { return tr.Run(ctx, stage.Open) })
			eventually(t, "a first commit", func() bool { return c.committed(t, group, in)[0] > 0 })
			handle := c.fake.Fault(fault)
			c.number(t, in, 2, 200, 200)
			stage.verify(t, c, group, in, 2, 400)
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
	f("Produce_fenced", kfake.Fault{Keys: key(kmsg.Produce), Err: kerr.ProducerFenced, When: transactional})
	f("Produce_not_leader", kfake.Fault{Keys: key(kmsg.Produce), Err: kerr.NotLeaderForPartition, Count: 3, When: transactional})
	f("EndTxn_coordinator_loading", kfake.Fault{Keys: key(kmsg.EndTxn), Err: kerr.CoordinatorLoadInProgress, Count: 2})
	f("Heartbeat_unknown_member", kfake.Fault{Keys: key(kmsg.Heartbeat), Err: kerr.UnknownMemberID})
	f("Heartbeat_illegal_generation", kfake.Fault{Keys: key(kmsg.Heartbeat), Err: kerr.IllegalGeneration, Count: 2})
	f("Fetch_offset_out_of_range", kfake.Fault{Keys: key(kmsg.Fetch), Err: kerr.OffsetOutOfRange})
}

func transactional(r kmsg.Request) bool {
	p, ok := r.(*kmsg.ProduceRequest)
	return ok && p.TransactionID != nil
}

// testTransactLostAnswer: the broker commits a transaction, and the answer says
// that it does not know, or the connection breaks before there is one. The client
// takes that for an abort; taking its word would handle the records twice.
func testTransactLostAnswer(t *testing.T, c *cluster) {
	if c.fake == nil {
		t.Skip("a real broker cannot be told to fail")
	}
	t.Run("unknown", func(t *testing.T) { loseAnswers(t, newFake(t), false) })
	t.Run("cut", func(t *testing.T) { loseAnswers(t, newFake(t), true) })
}

func loseAnswers(t *testing.T, c *cluster, cut bool) {
	in, group := c.topic(t, 1), c.name(t)
	stage := newCopier(t, c, 1)
	c.number(t, in, 1, 0, 100)
	lost := c.loseCommits(t, cut)
	tr := c.transact(t, group, in, 1)
	start(t, func(ctx context.Context) error { return tr.Run(ctx, stage.Open) })
	stage.verify(t, c, group, in, 1, 100)
	if lost.Load() == 0 {
		t.Error("no answer was lost: the test shows nothing")
	}
}

// loseCommits has the broker carry out the first two commits and then lose the
// answer: it says that it does not know, or cuts the connection. It returns how
// many answers were lost so far.
func (c *cluster) loseCommits(t *testing.T, cut bool) *atomic.Int64 {
	forward := c.client(t)
	lost := new(atomic.Int64)
	// forwarding tells the test's own request from those that it forwards.
	var forwarding atomic.Bool
	c.fake.ControlKey(int16(kmsg.EndTxn), func(req kmsg.Request) (kmsg.Response, error, bool) {
		end := req.(*kmsg.EndTxnRequest)
		if !end.Commit || end.TransactionalID == "" || lost.Load() >= 2 || forwarding.Load() {
			return nil, nil, false
		}
		c.fake.KeepControl()
		lost.Add(1)
		again := *end
		var err error
		forwarding.Store(true)
		c.fake.SleepControl(func() { err = applyEndTxn(forward, &again) })
		forwarding.Store(false)
		if err != nil {
			t.Errorf("forwarding a commit: %v", err)
		}
		if cut {
			return nil, errors.New("cut"), true
		}
		resp := req.ResponseKind().(*kmsg.EndTxnResponse)
		resp.ErrorCode = kerr.UnknownServerError.Code
		return resp, nil, true
	})
	return lost
}

func applyEndTxn(client *kgo.Client, req *kmsg.EndTxnRequest) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

// testTransactTakesOver: a process that starts again under its id does not wait
// for the transaction timeout of what it left open when it was killed.
func testTransactTakesOver(t *testing.T, c *cluster) {
	in, group := c.topic(t, 1), c.name(t)
	stage := newCopier(t, c, 1)
	c.number(t, in, 1, 0, 10)
	tr := c.transact(t, group, in, 1)
	tr.Config.TransactionTimeout, tr.Config.SessionTimeout, tr.Config.RebalanceTimeout = time.Minute, time.Minute, time.Minute
	// What a kill between the offsets and the end leaves: an open transaction
	// with a commit of the group pending in it.
	c.leaveOpen(t, tr.TransactionalID+"-0", group, in, stage.out)
	begun := time.Now()
	start(t, func(ctx context.Context) error { return tr.Run(ctx, stage.Open) })
	stage.verify(t, c, group, in, 1, 10)
	if took := time.Since(begun); took > tr.Config.TransactionTimeout/2 {
		t.Errorf("took %v, so it waited for a timeout", took)
	}
}

func (c *cluster) leaveOpen(t *testing.T, txnID, group, in, out string) {
	t.Helper()
	s, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(c.brokers...), kgo.TransactionalID(txnID),
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(in), kgo.TransactionTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	for s.PollFetches(t.Context()).NumRecords() == 0 {
		if t.Context().Err() != nil {
			t.Fatal("nothing to poll")
		}
	}
	if err := s.Begin(); err != nil {
		t.Fatal(err)
	}
	if err := s.ProduceSync(t.Context(), &kgo.Record{Topic: out, Value: []byte("torn")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	id, epoch, err := s.Client().ProducerID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = txnID, id, epoch, group
	if resp, err := add.RequestWith(t.Context(), s.Client()); err != nil || resp.ErrorCode != 0 {
		t.Fatal(err, kerr.ErrorForCode(resp.ErrorCode))
	}
	member, generation := s.Client().GroupMetadata()
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.ProducerID, commit.ProducerEpoch = txnID, id, epoch
	commit.Group, commit.MemberID, commit.Generation = group, member, generation
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Offset = 7
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic = in
	topic.TopicID, _, err = c.log(t).Describe(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	topic.Partitions = append(topic.Partitions, p)
	commit.Topics = append(commit.Topics, topic)
	resp, err := commit.RequestWith(t.Context(), s.Client())
	if err != nil || resp.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatal(err, resp)
	}
	s.Close() // leaves the group and the transaction open
}

func testTransactSlowOpen(t *testing.T, c *cluster) {
	in, group := c.topic(t, 2), c.name(t)
	stage := newCopier(t, c, 2)
	c.number(t, in, 2, 0, 100)
	release := make(chan struct{})
	tr := c.transact(t, group, in, 1)
	var failed atomic.Bool
	start(t, func(ctx context.Context) error {
		return tr.Run(ctx, func(ctx context.Context, tp stream.TopicPartition) (stream.Stage, error) {
			if tp.Partition == 0 {
				if failed.CompareAndSwap(false, true) {
					return nil, errors.New("injected")
				}
				select {
				case <-release:
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
			return stage.Open(ctx, tp)
		})
	})
	eventually(t, "the open partition to go on", func() bool { return c.committed(t, group, in)[1] == 100 })
	if at := c.committed(t, group, in)[0]; at > 0 {
		t.Errorf("partition 0 is committed up to %d before its stage was open", at)
	}
	close(release)
	stage.verify(t, c, group, in, 2, 100)
}

// testTransactLagReadsZero: input that ends in markers is committed over them.
func testTransactLagReadsZero(t *testing.T, c *cluster) {
	in, group := c.topic(t, 1), c.name(t)
	stage := newCopier(t, c, 1)
	tr := c.transact(t, group, in, 1)
	reg := prometheus.NewRegistry()
	tr.Config.Registerer = reg
	start(t, func(ctx context.Context) error { return tr.Run(ctx, stage.Open) })
	c.transaction(t, in, kgo.TryCommit, "0", "1")
	c.transaction(t, in, kgo.TryAbort, "never")
	eventually(t, "the markers to be committed", func() bool { return c.committed(t, group, in)[0] == 5 })
	labels := map[string]string{"group": group, "topic": in, "partition": "0"}
	for _, name := range []string{"pricelake_kafka_unsettled_age_seconds", "pricelake_kafka_lag_records", "pricelake_kafka_in_flight_records"} {
		eventually(t, name+" to be 0", func() bool { v, ok := gauge(t, reg, name, labels); return ok && v == 0 })
	}
	if v, _ := gauge(t, reg, "pricelake_kafka_records_total", map[string]string{"group": group, "topic": in}); v != 2 {
		t.Errorf("counted %v records, want the 2 committed ones", v)
	}
}

// testTransactNothing: batches that nothing comes of are settled once too, however
// closely their transactions follow each other.
func testTransactNothing(t *testing.T, c *cluster) {
	const n = 100
	in, group := c.topic(t, 1), c.name(t)
	c.number(t, in, 1, 0, n)
	var handled atomic.Int64
	l := kafka.Transact{Config: c.config(t), Group: group, Topics: []string{in}, TransactionalID: group, MaxRecords: 1, Linger: time.Microsecond}
	start(t, func(ctx context.Context) error {
		return l.Run(ctx, func(context.Context, stream.TopicPartition) (stream.Stage, error) {
			return stream.StageFunc(func(_ context.Context, b stream.Batch) (stream.Output, error) {
				handled.Add(int64(len(b.Records)))
				return stream.Output{}, nil
			}), nil
		})
	})
	eventually(t, "everything to be committed", func() bool { return c.committed(t, group, in)[0] >= n })
	if got := handled.Load(); got != n {
		t.Errorf("%d records were handled, want each of the %d once: nobody came or went", got, n)
	}
}
