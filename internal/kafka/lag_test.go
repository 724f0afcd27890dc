package kafka_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
)

// watched is a group and a topic of one partition, watched from outside.
type watched struct {
	*cluster
	t            *testing.T
	topic, group string
	reg          *prometheus.Registry
}

func watch(t *testing.T, c *cluster, config map[string]string) *watched {
	t.Helper()
	w := &watched{cluster: c, t: t, topic: c.name(t), group: c.name(t), reg: prometheus.NewRegistry()}
	_, err := kafka.ApplyTopics(t.Context(), c.config(t), []kafka.Topic{{Name: w.topic, Partitions: 1, ReplicationFactor: 1, Config: config}})
	if err != nil {
		t.Fatal(err)
	}
	lag := kafka.Lag{Config: c.config(t), Groups: []kafka.WatchedGroup{{Group: w.group, Topics: []string{w.topic}}}}
	lag.Config.Registerer = w.reg
	start(t, lag.Run)
	return w
}

func (w *watched) value(name string, labels ...string) (float64, bool) {
	w.t.Helper()
	of := map[string]string{"group": w.group, "topic": w.topic, "partition": "0"}
	for k := range of {
		if len(labels) > 0 && !strings.Contains(strings.Join(labels, " "), k) {
			delete(of, k)
		}
	}
	return gauge(w.t, w.reg, name, of)
}

// becomes waits for a figure that stays what it is.
func (w *watched) becomes(name string, want float64, labels ...string) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("%s to be %v", name, want), func() bool {
		got, ok := w.value(name, labels...)
		return ok && got == want
	})
}

// looked waits for a look that began after now.
func (w *watched) looked() {
	w.t.Helper()
	now := float64(time.Now().UnixMicro()) / 1e6
	eventually(w.t, "a look", func() bool {
		at, _ := gauge(w.t, w.reg, "pricelake_monitor_last_look_timestamp_seconds", map[string]string{})
		return at > now
	})
}

// ages wants the next look to find the age of a record from time first, and
// scrapes after it to be as exact as the clock.
func (w *watched) ages(first time.Time) {
	w.t.Helper()
	w.looked()
	w.agesAs("pricelake_event_age_seconds", first)
}

func (w *watched) agesAs(name string, first time.Time, labels ...string) {
	w.t.Helper()
	for range 10 {
		least := time.Since(first).Seconds()
		got, ok := w.value(name, labels...)
		most := time.Since(first).Seconds()
		const clock = 0.005
		if !ok || got < least-clock || got > most+clock {
			w.t.Fatalf("%s is %.3f, %v, want %.3f to %.3f", name, got, ok, least, most)
		}
		time.Sleep(10 * time.Millisecond) // it must go on growing
	}
}

// stamp returns the timestamp of the first committed record from an offset on.
func (w *watched) stamp(from int64) (stamp time.Time) {
	w.t.Helper()
	_, err := w.log(w.t).ReadCommitted(w.t.Context(), stream.TopicPartition{Topic: w.topic}, from, func(r stream.Record) error {
		if stamp.IsZero() {
			stamp = r.Timestamp
		}
		return nil
	})
	if err != nil || stamp.IsZero() {
		w.t.Fatalf("no record from offset %d on: %v", from, err)
	}
	return stamp
}

// at publishes a record with a timestamp of that age.
func (w *watched) at(age time.Duration) time.Time {
	w.t.Helper()
	stamp := time.Now().Add(-age).Truncate(time.Millisecond)
	r := &kgo.Record{Topic: w.topic, Value: []byte("x"), Timestamp: stamp}
	if err := w.client(w.t).ProduceSync(w.t.Context(), r).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	return stamp
}

func (w *watched) commits(offset int64) {
	w.t.Helper()
	offsets := kadm.Offsets{}
	offsets.AddOffset(w.topic, 0, offset, -1)
	if err := kadm.NewClient(w.client(w.t)).CommitAllOffsets(w.t.Context(), w.group, offsets); err != nil {
		w.t.Fatal(err)
	}
}

// testLagAge: the age is that of the first record the group has not processed,
// whether the group never ran, is dead or goes on.
func testLagAge(t *testing.T, c *cluster) {
	w := watch(t, c, nil)
	w.becomes("pricelake_event_age_seconds", 0)
	first, second := w.at(90*time.Second), w.at(30*time.Second)
	w.ages(first)
	w.becomes("pricelake_event_lag_records", 2)
	w.commits(1)
	w.ages(second)
	w.becomes("pricelake_event_lag_records", 1)
	w.commits(2)
	w.becomes("pricelake_event_age_seconds", 0)
	w.becomes("pricelake_event_lag_records", 0)
	w.ages(w.at(0)) // a new one behind a group that had read everything
}

// testLagTransactions: markers and aborted records are nothing to process, and
// neither is what has not been committed yet.
func testLagTransactions(t *testing.T, c *cluster) {
	w := watch(t, c, nil)
	for range 20 {
		c.transaction(t, w.topic, kgo.TryAbort, "never", "never")
	}
	w.becomes("pricelake_event_lag_records", 0)
	w.becomes("pricelake_event_age_seconds", 0)
	c.transaction(t, w.topic, kgo.TryCommit, "a")
	w.ages(w.stamp(0))
	w.commits(61) // the record is at 60, its marker at 61
	w.becomes("pricelake_event_age_seconds", 0)
	w.becomes("pricelake_event_lag_records", 0)

	client := w.client(t, kgo.TransactionalID(c.name(t)))
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	began := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: w.topic, Value: []byte("open"), Timestamp: began}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	behind := w.at(50 * time.Second)
	w.looked()
	w.looked() // it takes two to be worth reading
	w.looked()
	w.agesAs("pricelake_open_transaction_seconds", began, "topic", "partition")
	if age, _ := w.value("pricelake_event_age_seconds"); age != 0 {
		t.Errorf("age is %v while nothing can be read", age)
	}
	w.becomes("pricelake_event_lag_records", 3) // the marker at 61, and two records
	if err := client.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	w.becomes("pricelake_open_transaction_seconds", 0, "topic", "partition") // brokers may answer before the marker is in the log
	w.ages(behind)
}

// testLagRetention: how long the oldest record will be kept, and what has gone
// before the group came to it.
func testLagRetention(t *testing.T, c *cluster) {
	w := watch(t, c, map[string]string{"retention.ms": "3600000", "cleanup.policy": "delete"})
	w.becomes("pricelake_topic_retention_seconds", 3600, "topic")
	w.becomes("pricelake_time_to_truncation_seconds", 3600)
	w.at(2 * time.Hour)
	w.becomes("pricelake_time_to_truncation_seconds", 0)
	w.commits(1)
	w.at(30 * time.Minute)
	eventually(t, "half an hour to be left", func() bool {
		left, _ := w.value("pricelake_time_to_truncation_seconds")
		return math.Abs(left-1800) < 60
	})
	third := w.at(time.Minute)
	w.deleteRecords(t, w.topic, 2)
	w.becomes("pricelake_event_expired_records", 1)
	w.ages(third)
}

// testLagAppendTime: where brokers stamp the records, theirs is the time.
func testLagAppendTime(t *testing.T, c *cluster) {
	if c.fake != nil {
		t.Skip("the fake leaves the time to the client, whatever the topic says")
	}
	w := watch(t, c, map[string]string{"message.timestamp.type": "LogAppendTime"})
	w.at(time.Hour)
	if stamp := w.stamp(0); time.Since(stamp) > 50*time.Minute {
		t.Fatal("the broker did not stamp the record")
	} else {
		w.ages(stamp)
	}
}

// testLagMembers: who works for a group, and what nobody works on.
func testLagMembers(t *testing.T, c *cluster) {
	w := watch(t, c, nil)
	w.becomes("pricelake_group_members", 0, "group")
	w.becomes("pricelake_group_unowned_partitions", 1, "group", "topic")
	owner := kafka.Owner{Config: c.config(t), Group: w.group, Topic: w.topic}
	start(t, func(ctx context.Context) error {
		return owner.Run(ctx, func(ctx context.Context, _ int32) error { <-ctx.Done(); return nil })
	})
	w.becomes("pricelake_group_members", 1, "group")
	w.becomes("pricelake_group_unowned_partitions", 0, "group", "topic")
}

// testLagFollows: while a group works, each look finds where it is.
func testLagFollows(t *testing.T, c *cluster) {
	w := watch(t, c, nil)
	stamps := make([]time.Time, 12)
	for i := range stamps {
		stamps[i] = w.at(time.Duration(100-5*i) * time.Second)
	}
	for i, stamp := range stamps {
		w.commits(int64(i))
		w.ages(stamp)
	}
}

// testLagReadsLittle: as long as nothing moves, nothing is read; and a long row
// of what cannot be processed is read once.
func testLagReadsLittle(t *testing.T, c *cluster) {
	if c.fake == nil {
		t.Skip("a real broker does not count its fetches")
	}
	var fetches atomic.Int64
	c.fake.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		fetches.Add(1)
		return nil, nil, false
	})
	w := watch(t, c, nil)
	for range 30 {
		c.transaction(t, w.topic, kgo.TryAbort, "never")
	}
	first := w.at(time.Minute)
	w.ages(first)
	before := fetches.Load()
	if before > 60 {
		t.Errorf("%d fetches to find one record", before)
	}
	for range 3 {
		w.looked()
	}
	if n := fetches.Load() - before; n != 0 {
		t.Errorf("%d fetches while nothing moved", n)
	}
}

// testLagAway: a cluster that is away is waited for, its last known ages go on,
// and nothing is said any more once that is too long ago.
func testLagAway(t *testing.T, c *cluster) {
	if c.fake == nil {
		t.Skip("a real broker is not to be stopped by this test")
	}
	w := watch(t, c, nil)
	first := w.at(time.Minute)
	w.ages(first)
	c.fake.Close()
	eventually(t, "a look that fails", func() bool {
		n, _ := gauge(t, w.reg, "pricelake_monitor_failures_total", map[string]string{})
		return n > 0
	})
	w.agesAs("pricelake_event_age_seconds", first)
}

// testLagNames: the figures are named as Prometheus wants it.
func testLagNames(t *testing.T, c *cluster) {
	w := watch(t, c, map[string]string{"retention.ms": "3600000", "cleanup.policy": "delete"})
	w.becomes("pricelake_group_members", 0, "group")
	w.becomes("pricelake_event_age_seconds", 0)
	families, err := w.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if len(families) != 10 {
		t.Errorf("%d metrics, want 10", len(families))
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// testLagMissingTopic: a topic that is not there is said, and does not hide the
// others.
func testLagMissingTopic(t *testing.T, c *cluster) {
	reg := prometheus.NewRegistry()
	there, group := c.topic(t, 1), c.name(t)
	lag := kafka.Lag{Config: c.config(t), Groups: []kafka.WatchedGroup{{Group: group, Topics: []string{there, c.name(t)}}}}
	lag.Config.Registerer = reg
	var looked atomic.Bool
	lag.Looked = func() { looked.Store(true) }
	start(t, lag.Run)
	c.fillValues(t, there, "a")
	eventually(t, "the age of the topic that is there", func() bool {
		age, ok := gauge(t, reg, "pricelake_event_age_seconds", map[string]string{"group": group, "topic": there, "partition": "0"})
		return ok && age > 0
	})
	if looked.Load() {
		t.Error("a look without one of the topics counts as a whole one")
	}
}

// testLagLostPartition: a partition that cannot be asked hides neither who works
// for its group nor how long others are kept.
func testLagLostPartition(t *testing.T, c *cluster) {
	if c.fake == nil {
		t.Skip("a real broker loses no disk for this test")
	}
	there, lost, group := c.topic(t, 1), c.topic(t, 1), c.name(t)
	c.fake.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		req := r.(*kmsg.ListOffsetsRequest)
		resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, asked := range req.Topics {
			topic := kmsg.NewListOffsetsResponseTopic()
			topic.Topic = asked.Topic
			for _, p := range asked.Partitions {
				partition := kmsg.NewListOffsetsResponseTopicPartition()
				partition.Partition = p.Partition
				partition.Offset = 0
				if asked.Topic == lost {
					partition.ErrorCode = kerr.KafkaStorageError.Code
				}
				topic.Partitions = append(topic.Partitions, partition)
			}
			resp.Topics = append(resp.Topics, topic)
		}
		return resp, nil, true
	})
	reg := prometheus.NewRegistry()
	lag := kafka.Lag{Config: c.config(t), Groups: []kafka.WatchedGroup{{Group: group, Topics: []string{there, lost}}}}
	lag.Config.Registerer = reg
	start(t, lag.Run)
	for name, of := range map[string]map[string]string{
		"pricelake_event_age_seconds":       {"group": group, "topic": there, "partition": "0"},
		"pricelake_group_members":           {"group": group},
		"pricelake_topic_retention_seconds": {"topic": there},
	} {
		eventually(t, name, func() bool {
			_, ok := gauge(t, reg, name, of)
			return ok
		})
	}
}
