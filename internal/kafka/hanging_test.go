package kafka

import (
	"context"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// TestUndecidedOffsets: an account that may not look into the offsets' topic sees
// that others have some undecided, which they always have when there is work. Only
// those that stay so are of a transaction that hangs.
func TestUndecidedOffsets(t *testing.T) {
	t.Parallel()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "in", "elsewhere"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	asked := make(chan struct{}, 100)
	fake.ControlKey(kmsg.OffsetFetch.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		select {
		case asked <- struct{}{}:
		default:
		}
		return nil, nil, false
	})
	cfg := DefaultConfig()
	cfg.Brokers = fake.ListenAddrs()
	m := &mender{cfg: cfg, group: "g", topics: []string{"in"}}
	if err := m.connect(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.close)
	leaveUndecided(t, cfg)() // now there is the group
	type answer struct {
		hang bool
		err  error
	}
	end := leaveUndecided(t, cfg)
	found := make(chan answer, 1)
	go func() {
		hang, err := m.offsetsHang(t.Context())
		found <- answer{hang, err}
	}()
	for range 3 {
		select {
		case <-asked:
		case a := <-found:
			t.Fatalf("it has not waited: %v, %v", a.hang, a.err)
		}
	}
	end()
	if a := <-found; a.err != nil || a.hang {
		t.Errorf("others had offsets undecided for a moment: %v, %v", a.hang, a.err)
	}

	defer leaveUndecided(t, cfg)()
	if hang, err := m.offsetsHang(t.Context()); err != nil || !hang {
		t.Errorf("offsets stay undecided: %v, %v", hang, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), undecidedFor/4)
	defer cancel()
	if hang, err := m.offsetsHang(ctx); hang || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without the time to find out: %v, %v", hang, err)
	}
}

// leaveUndecided puts an offset of group g into a transaction, and returns how to
// commit it.
func leaveUndecided(t *testing.T, cfg Config) (end func()) {
	t.Helper()
	id := "others"
	byName := kversion.Stable() // later versions want the id of the topic
	byName.SetMaxKeyVersion(int16(kmsg.TxnOffsetCommit), 5)
	client, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...), kgo.TransactionalID(id), kgo.MaxVersions(byName))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(client.BeginTransaction())
	must(client.ProduceSync(t.Context(), &kgo.Record{Topic: "elsewhere", Value: []byte("v")}).FirstErr())
	producer, epoch, err := client.ProducerID(t.Context())
	must(err)
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = id, producer, epoch, "g"
	added, err := add.RequestWith(t.Context(), client)
	must(err)
	must(kerr.ErrorForCode(added.ErrorCode))
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Offset, p.LeaderEpoch = 0, -1
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic, topic.Partitions = "in", append(topic.Partitions, p)
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.ProducerID, commit.ProducerEpoch, commit.Group, commit.Generation = id, producer, epoch, "g", -1
	commit.Topics = append(commit.Topics, topic)
	committed, err := commit.RequestWith(t.Context(), client)
	must(err)
	must(kerr.ErrorForCode(committed.Topics[0].Partitions[0].ErrorCode))
	return func() {
		t.Helper()
		must(client.EndTransaction(context.WithoutCancel(t.Context()), kgo.TryCommit))
	}
}
