package kafka_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/servers"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// TestHanging makes transactions hang, and has them ended: as decided, and by
// whoever comes next.
func TestHanging(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a broker: not with -short")
	}
	// Brokers that verify would refuse the record of which the coordinator does
	// not know.
	k := servers.StartKafka(t, servers.KafkaConfig{Properties: map[string]string{"transaction.partition.verification.enable": "false"}})
	c := &cluster{brokers: []string{k.Addr()}}
	c.log(t) // for all of it
	t.Run("successors", func(t *testing.T) {
		for name, outcome := range map[string]kgo.TransactionEndTry{"committed": kgo.TryCommit, "aborted": kgo.TryAbort} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				t.Run("own", func(t *testing.T) { t.Parallel(); c.ownHangs(t, name, outcome) })
				t.Run("session", func(t *testing.T) { t.Parallel(); c.sessionHangs(t, name, outcome) })
				t.Run("other session", func(t *testing.T) { t.Parallel(); c.anotherHangs(t, name, outcome) })
				t.Run("window", func(t *testing.T) { t.Parallel(); c.windowHangs(t, name, outcome) })
				t.Run("other window", func(t *testing.T) { t.Parallel(); c.anotherWindowHangs(t, name, outcome) })
				t.Run("not the first partition", func(t *testing.T) { t.Parallel(); c.notFirst(t, name, outcome) })
			})
		}
	})
	t.Run("new connection", func(t *testing.T) { c.connectionHangs(t, k) })
}

// left is what there is to read once the transaction that hangs is ended.
func left(outcome string) []string {
	if outcome == "committed" {
		return []string{"hung", "next"}
	}
	return []string{"next"}
}

func (c *cluster) ownHangs(t *testing.T, outcome string, end kgo.TransactionEndTry) {
	id, out := c.name(t), c.topic(t, 1)
	c.hang(t, id, out, end)
	cfg, reg := c.config(t), prometheus.NewRegistry()
	cfg.Registerer = reg
	x, err := kafka.NewTxn(cfg, id, kafka.WithOutputs(out))
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if err := x.Publish(t.Context(), stream.Record{Topic: out, Value: []byte("next")}); err != nil {
		t.Fatal(err)
	}
	c.ended(t, reg, out, outcome)
}

func (c *cluster) sessionHangs(t *testing.T, outcome string, end kgo.TransactionEndTry) {
	id, out := c.name(t), c.topic(t, 1)
	c.hang(t, id+"-0", out, end)
	c.ended(t, c.passOn(t, c.config(t), c.name(t), c.topic(t, 1), id, "", out), out, outcome)
}

func (c *cluster) anotherHangs(t *testing.T, outcome string, end kgo.TransactionEndTry) {
	family, out := c.name(t)+"-", c.topic(t, 1)
	c.hang(t, family+"gone-0", out, end)
	c.ended(t, c.passOn(t, c.config(t), c.name(t), c.topic(t, 1), family+"here", family, out), out, outcome)
}

func (c *cluster) windowHangs(t *testing.T, outcome string, end kgo.TransactionEndTry) {
	id, out := c.name(t), c.topic(t, 1)
	c.hang(t, id, out, end)
	c.ended(t, c.windowOn(t, id, "", out), out, outcome)
}

func (c *cluster) anotherWindowHangs(t *testing.T, outcome string, end kgo.TransactionEndTry) {
	family, out := c.name(t)+"-", c.topic(t, 1)
	c.hang(t, family+"gone", out, end)
	c.ended(t, c.windowOn(t, family+"here", family, out), out, outcome)
}

// windowOn runs a window that publishes one record.
func (c *cluster) windowOn(t *testing.T, id, family, out string) *prometheus.Registry {
	in, reg := c.topic(t, 1), prometheus.NewRegistry()
	c.fillValues(t, in, "next")
	w := c.window(t, c.name(t), in)
	w.Config.Registerer, w.TransactionalID, w.Family, w.Outputs = reg, id, family, []string{out}
	start(t, func(ctx context.Context) error {
		return w.Run(ctx, func(_ context.Context, r stream.Record) (stream.Result, error) {
			return stream.Result{Records: []stream.Record{{Topic: out, Value: r.Value}}}, nil
		})
	})
	return reg
}

// notFirst: of two processes of a role, the one that owns the first partition
// ends what a third has left.
func (c *cluster) notFirst(t *testing.T, outcome string, end kgo.TransactionEndTry) {
	family, group, in, out := c.name(t)+"-", c.name(t), c.topic(t, 2), c.topic(t, 1)
	regs := make([]*prometheus.Registry, 2)
	for i := range regs {
		regs[i] = c.passOn(t, c.config(t), group, in, fmt.Sprint(family, i), family, out)
	}
	owns := func(i, p int) bool {
		_, ok := gauge(t, regs[i], "pricelake_kafka_lag_records", map[string]string{"group": group, "topic": in, "partition": fmt.Sprint(p)})
		return ok
	}
	eventually(t, "each to own a partition", func() bool { return owns(0, 0) != owns(0, 1) && owns(1, 0) != owns(1, 1) && owns(0, 0) != owns(1, 0) })
	c.hang(t, family+"gone-0", out, end)
	mended := func(i int) float64 {
		n, _ := gauge(t, regs[i], "pricelake_kafka_hanging_transactions_total", map[string]string{"outcome": outcome})
		return n
	}
	eventually(t, "the end of what hangs", func() bool { return mended(0)+mended(1) > 0 })
	for i := range regs {
		if (mended(i) > 0) != owns(i, 0) {
			t.Errorf("process %d ended %v transactions; it owns the first partition: %v", i, mended(i), owns(i, 0))
		}
	}
}

// connectionHangs: a client that lives on, whose last transaction turns out to
// hang after the broker was restarted, goes on long before its session times out.
func (c *cluster) connectionHangs(t *testing.T, k *servers.Kafka) {
	const session = 30 * time.Second
	id, group, in, out := c.name(t), c.name(t), c.topic(t, 1), c.topic(t, 1)
	cfg := c.config(t)
	cfg.SessionTimeout = session
	reg := c.passOn(t, cfg, group, in, id, "", out)
	eventually(t, "the first record", func() bool { return len(c.all(t, out)[0]) == 1 })
	c.leaveHanging(t, id+"-0", out)
	k.Stop()
	k.Start()
	began := time.Now()
	c.fillValues(t, in, "after")
	eventually(t, "the next record", func() bool { return slices.Contains(c.all(t, out)[0], "after") })
	if took := time.Since(began); took > session/2 {
		t.Errorf("went on after %v, with a session timeout of %v", took, session)
	}
	if got, want := c.all(t, out)[0], []string{"next", "hung", "after"}; !slices.Equal(got, want) {
		t.Errorf("there is %q, want %q", got, want)
	}
	if n, _ := gauge(t, reg, "pricelake_kafka_hanging_transactions_total", map[string]string{"outcome": "committed"}); n != 1 {
		t.Errorf("ended %v transactions, want 1", n)
	}
}

// passOn runs a stage that passes records on, the first of which is there.
func (c *cluster) passOn(t *testing.T, cfg kafka.Config, group, in, id, family, out string) *prometheus.Registry {
	c.fillValues(t, in, "next")
	tr := c.transact(t, group, in, 1)
	reg := prometheus.NewRegistry()
	tr.Config, tr.TransactionalID, tr.Family, tr.Outputs = cfg, id, family, []string{out}
	tr.Config.Registerer = reg
	start(t, func(ctx context.Context) error {
		return tr.Run(ctx, func(context.Context, stream.TopicPartition) (stream.Stage, error) {
			return stream.StageFunc(func(_ context.Context, b stream.Batch) (stream.Output, error) {
				var o stream.Output
				for _, r := range b.Records {
					o.Records = append(o.Records, stream.Record{Topic: out, Value: r.Value})
				}
				return o, nil
			}), nil
		})
	})
	return reg
}

// ended checks what can be read, and that it was counted once.
func (c *cluster) ended(t *testing.T, reg *prometheus.Registry, topic, outcome string) {
	t.Helper()
	var got []string
	eventually(t, "the end of what hangs", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		got = nil
		_, err := c.log(t).ReadCommitted(ctx, stream.TopicPartition{Topic: topic}, 0, func(r stream.Record) error {
			got = append(got, string(r.Value))
			return nil
		})
		return err == nil && slices.Contains(got, "next")
	})
	if !slices.Equal(got, left(outcome)) {
		t.Errorf("there is %q, want %q: the transaction was %s", got, left(outcome), outcome)
	}
	counted := func() float64 {
		n, _ := gauge(t, reg, "pricelake_kafka_hanging_transactions_total", map[string]string{"outcome": outcome})
		return n
	}
	eventually(t, "it to be counted", func() bool { return counted() > 0 })
	if n := counted(); n != 1 {
		t.Errorf("counted %v transactions, want 1", n)
	}
}

// hang ends a transaction, and leaves a record open in topic that its coordinator
// does not know of: as if a marker had been left out.
func (c *cluster) hang(t *testing.T, id, topic string, end kgo.TransactionEndTry) {
	t.Helper()
	ctx := t.Context()
	client := c.client(t, kgo.TransactionalID(id))
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: c.topic(t, 1), Value: []byte("elsewhere")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := client.EndTransaction(ctx, end); err != nil {
		t.Fatal(err)
	}
	c.leaveHanging(t, id, topic)
}

// leaveHanging waits for the end of the last transaction, and leaves a record
// open that it seems to consist of.
func (c *cluster) leaveHanging(t *testing.T, id, topic string) {
	t.Helper()
	ctx := t.Context()
	admin := kadm.NewClient(c.client(t))
	var now kadm.DescribedTransaction
	eventually(t, "the transaction to be complete", func() bool {
		described, err := admin.DescribeTransactions(ctx, id)
		now = described[id]
		return err == nil && (now.State == "CompleteCommit" || now.State == "CompleteAbort")
	})
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = transactionalBatch(now.ProducerID, now.ProducerEpoch, "hung")
	one := kmsg.NewProduceRequestTopic()
	one.Topic, one.Partitions = topic, append(one.Partitions, part)
	req := kmsg.NewPtrProduceRequest()
	req.TransactionID, req.Acks, req.TimeoutMillis, req.Topics = &id, -1, 5000, append(req.Topics, one)
	// Later versions would add the partition to a transaction.
	old := kversion.Stable()
	old.SetMaxKeyVersion(int16(kmsg.Produce), 11)
	resp, err := req.RequestWith(ctx, c.client(t, kgo.MaxVersions(old)))
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode); err != nil {
		t.Fatal(err)
	}
}

// transactionalBatch is one record as brokers store it.
func transactionalBatch(producer int64, epoch int16, value string) []byte {
	record := kmsg.Record{Value: []byte(value)}
	record.Length = int32(len(record.AppendTo(nil)) - 1)
	now := time.Now().UnixMilli()
	batch := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: 0x10, FirstTimestamp: now, MaxTimestamp: now,
		ProducerID: producer, ProducerEpoch: epoch, NumRecords: 1, Records: record.AppendTo(nil),
	}
	batch.Length = int32(len(batch.AppendTo(nil)) - 12)
	b := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}
