package kafka_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/servers"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// These tests wait for sessions and rebalances far more than they work.
	if err := flag.Set("test.parallel", "12"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// cluster is what the tests need of a broker. The fake is nil on a real one.
type cluster struct {
	brokers []string
	fake    *kfake.Cluster
	gather  int          // kafka.Flush.Gather of range loops
	taken   atomic.Int64 // records that sinks of range loops gathered

	once   sync.Once
	reader *kafka.Log
	asker  *kafka.Admin
}

// TestBroker runs the conformance suite against the broker the product embeds
// and against Apache Kafka: the brokers of PRICELAKE_TEST_BROKERS if that is set,
// else one of its own.
func TestBroker(t *testing.T) {
	t.Run("kfake", func(t *testing.T) { conform(t, newFake) })
	t.Run("Apache Kafka", func(t *testing.T) {
		brokers := os.Getenv("PRICELAKE_TEST_BROKERS")
		if brokers == "" {
			if testing.Short() {
				t.Skip("starts a broker: not with -short")
			}
			k := servers.StartKafka(t, servers.KafkaConfig{})
			t.Logf("Apache Kafka %s", k.Version())
			brokers = k.Addr()
		}
		conform(t, func(*testing.T) *cluster { return &cluster{brokers: strings.Split(brokers, ",")} })
	})
}

func newFake(t *testing.T) *cluster {
	t.Helper()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	return &cluster{brokers: fake.ListenAddrs(), fake: fake}
}

// gathering runs a test with sinks that are handed records as they come.
func gathering(test func(*testing.T, *cluster)) func(*testing.T, *cluster) {
	return func(t *testing.T, c *cluster) {
		c.gather = 1
		test(t, c)
		if c.taken.Load() == 0 {
			t.Error("nothing was gathered")
		}
	}
}

// conform is the suite: what the loops promise, on any broker.
func conform(t *testing.T, start func(*testing.T) *cluster) {
	for name, test := range map[string]func(*testing.T, *cluster){
		"apply topics":                                 testApplyTopics,
		"apply topics refuses partition counts":        testApplyTopicsRefuses,
		"publish":                                      testPublish,
		"publish too large":                            testPublishTooLarge,
		"publish to an unknown topic":                  testPublishUnknownTopic,
		"read committed":                               testReadCommitted,
		"read committed waits":                         testReadCommittedWaits,
		"read committed many":                          testReadCommittedLarge,
		"tail":                                         testTail,
		"transact with a failing stage":                testTransactFailingStage,
		"transact with one failing partition":          testTransactOnePartitionFails,
		"transact while members come and go":           testTransactMembersComeAndGo,
		"transact under faults":                        testTransactFaults,
		"transact when an answer is lost":              testTransactLostAnswer,
		"transact takes over":                          testTransactTakesOver,
		"transact opens slowly":                        testTransactSlowOpen,
		"transact with large records":                  testTransactBytes,
		"transact to the very end":                     testTransactLagReadsZero,
		"transact opens a stage anew":                  testTransactReopen,
		"transact with nothing to publish":             testTransactNothing,
		"transact after a zombie":                      testTransactZombie,
		"transact when its input is made anew":         testTransactRecreated,
		"transact when its output is made anew":        testTransactOutputRecreated,
		"range after a zombie":                         testRangeZombie,
		"range with failing writes":                    testRangeFailingWrites,
		"range while members come and go":              testRangeMembersComeAndGo,
		"range claims":                                 testRangeClaim,
		"range when a commit is fenced":                testRangeFencedCommit,
		"range waits at a revoke":                      testRangeRevokeWaits,
		"range waits at a stop":                        testRangeStopWaits,
		"range under back-pressure":                    testRangeBackPressure,
		"range with a topic apart":                     testRangeApart,
		"range to the very end":                        testRangeIdle,
		"range over a gap":                             testRangeGap,
		"range stands still":                           testRangeStandsStill,
		"range settles once":                           testRangeSettlesOnce,
		"gathered range with a zombie":                 gathering(testRangeZombie),
		"gathered range with failing writes":           gathering(testRangeFailingWrites),
		"gathered range with members that come and go": gathering(testRangeMembersComeAndGo),
		"gathered range with claims":                   gathering(testRangeClaim),
		"gathered range with a wait at a revoke":       gathering(testRangeRevokeWaits),
		"gathered range with a wait at a stop":         gathering(testRangeStopWaits),
		"gathered range with an end":                   gathering(testRangeIdle),
		"gathered range with a gap":                    gathering(testRangeGap),
		"gathered range with one settlement":           gathering(testRangeSettlesOnce),
		"gathered range with a backlog":                gathering(testRangeBacklog),
		"gathered range with aborted transactions":     gathering(testRangeBacklogAborted),
		"quarantine of a topic made again":             testQuarantineTopicRecreated,
		"quarantine of a log cut short":                testQuarantineTruncated,
		"window":                                       testWindow,
		"window commits the lowest unfinished":         testWindowLowest,
		"window drains":                                testWindowDrain,
		"window while members come and go":             testWindowMembers,
		"window notes what is finished":                testWindowNotes,
		"window keeps the notes of others":             testWindowNotesLast,
		"window under faults":                          testWindowFaults,
		"window that fails at each step":               testWindowFails,
		"window when an answer is lost":                testWindowLostAnswer,
		"window with too large a result":               testWindowTooLarge,
		"window holds results":                         testWindowHolds,
		"window after a zombie":                        testWindowZombie,
		"gate":                                         testGate,
		"owner":                                        testOwner,
		"owner whose work fails":                       testOwnerFails,
		"lag by age":                                   testLagAge,
		"lag in transactions":                          testLagTransactions,
		"lag and retention":                            testLagRetention,
		"lag by append time":                           testLagAppendTime,
		"lag and members":                              testLagMembers,
		"lag follows":                                  testLagFollows,
		"lag reads little":                             testLagReadsLittle,
		"lag of a cluster that is away":                testLagAway,
		"lag names":                                    testLagNames,
		"lag without a topic":                          testLagMissingTopic,
		"lag without a partition":                      testLagLostPartition,
		"admin":                                        testAdmin,
		"sources":                                      testSources,
		"txn":                                          testTxn,
		"txn under faults":                             testTxnFaults,
		"txn after a zombie":                           testTxnZombie,
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			test(t, start(t))
		})
	}
}

// config returns a Config with timeouts that fit a test.
func (c *cluster) config(t *testing.T) kafka.Config {
	cfg := kafka.DefaultConfig()
	cfg.Brokers = c.brokers
	// Short, because a third of it passes until a member hears of a rebalance;
	// long, because a busy machine must not look like a dead member.
	cfg.SessionTimeout = 5 * time.Second
	cfg.TransactionTimeout = 5 * time.Second
	cfg.RebalanceTimeout = 9 * time.Second
	cfg.DrainTimeout = 2 * time.Second
	cfg.Logger = slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return cfg
}

// testWriter shows log lines of a failing test.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// name returns a name for a topic, a group or a transactional id that no other
// test uses, nor the same test of a run before on a real broker.
func (c *cluster) name(t *testing.T) string {
	return fmt.Sprintf("t%d.%d.%s", os.Getpid(), serial.Add(1), strings.NewReplacer("/", ".", "#", ".").Replace(t.Name()))
}

// topic makes a topic of the test's own and returns its name.
func (c *cluster) topic(t *testing.T, partitions int32) string {
	t.Helper()
	name := c.name(t)
	_, err := kafka.ApplyTopics(t.Context(), c.config(t), []kafka.Topic{{Name: name, Partitions: partitions, ReplicationFactor: 1}})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

var serial atomic.Int64 // names topics and groups apart on a real broker

// log and admin are made once a cluster: tests poll through them.
func (c *cluster) log(t *testing.T) *kafka.Log {
	t.Helper()
	c.once.Do(func() { c.connect(t) })
	return c.reader
}

func (c *cluster) admin(t *testing.T) *kafka.Admin {
	t.Helper()
	c.once.Do(func() { c.connect(t) })
	return c.asker
}

func (c *cluster) connect(t *testing.T) {
	t.Helper()
	var err error
	if c.reader, err = kafka.NewLog(c.config(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.reader.Close)
	if c.asker, err = kafka.NewAdmin(c.config(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.asker.Close)
}

func (c *cluster) producer(t *testing.T) *kafka.Producer {
	t.Helper()
	p, err := kafka.NewProducer(c.config(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// deleteRecords does what retention does: records below offset are gone.
func (c *cluster) deleteRecords(t *testing.T, topic string, offset int64) {
	t.Helper()
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, offset, -1)
	if _, err := kadm.NewClient(c.client(t)).DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
}

// fillValues publishes values to partition 0.
func (c *cluster) fillValues(t *testing.T, topic string, values ...string) {
	t.Helper()
	for _, v := range values {
		if err := c.producer(t).Publish(t.Context(), stream.Record{Topic: topic, Value: []byte(v)}); err != nil {
			t.Fatal(err)
		}
	}
}

// client returns a plain client, for what the package itself must not do.
func (c *cluster) client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(c.brokers...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// fill publishes n records "0", "1", … round-robin over the partitions.
func (c *cluster) fill(t *testing.T, topic string, partitions int32, from, n int) {
	t.Helper()
	p, err := kafka.NewProducer(c.config(t))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	rs := make([]stream.Record, n)
	for i := range rs {
		rs[i] = stream.Record{Topic: topic, Partition: int32(i) % partitions, Value: fmt.Append(nil, from+i)}
	}
	if err := p.Publish(t.Context(), rs...); err != nil {
		t.Fatal(err)
	}
}

// all returns the committed values of a topic, by partition in order.
func (c *cluster) all(t *testing.T, topic string) map[int32][]string {
	t.Helper()
	l := c.log(t)
	_, partitions, err := l.Describe(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[int32][]string)
	for p := range partitions {
		_, err := l.ReadCommitted(t.Context(), stream.TopicPartition{Topic: topic, Partition: p}, 0, func(r stream.Record) error {
			values[p] = append(values[p], string(r.Value))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return values
}

// committed returns the offsets of a group, -1 where there is none.
func (c *cluster) committed(t *testing.T, group, topic string) map[int32]int64 {
	t.Helper()
	positions, err := c.admin(t).Positions(t.Context(), group, topic)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[int32]int64)
	for _, p := range positions {
		got[p.Partition] = p.Committed
	}
	return got
}

// members counts the members of a group.
func (c *cluster) members(t *testing.T, group string) int {
	t.Helper()
	g, err := c.admin(t).Group(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	return len(g.Members)
}

// loop runs a blocking Run until stop is called or the test ends.
type loop struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error
	once   sync.Once
}

func start(t *testing.T, run func(ctx context.Context) error) *loop {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &loop{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		l.err = run(ctx)
	}()
	t.Cleanup(func() { l.stop(t) })
	return l
}

// stop ends the loop and fails the test if it does not end cleanly.
func (l *loop) stop(t *testing.T) {
	t.Helper()
	l.once.Do(func() {
		l.cancel()
		select {
		case <-l.done:
			if l.err != nil {
				t.Errorf("Run returned %v after its context ended, want nil", l.err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("Run did not return within 20s of its context's end")
		}
	})
}

// eventually waits until ok holds: milliseconds mostly, but tests share machines.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute for %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
