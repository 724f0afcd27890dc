package app

import (
	"errors"
	"testing"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/producers/scheduler"
	"github.com/pricelake/pricelake/schemas"
)

// Whoever owned a shard before, in whichever process, cannot ask for anything any
// more once another one has taken it over. Owners of other shards are left alone.
func TestSchedulerFencesTheOneBefore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.startBroker()
	r.applyTopics()
	own := func(instance string, shard int32) fencedPublisher {
		t.Helper()
		r.config.Instance = instance
		txn, err := r.app("").shardTxn(shard)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(txn.Close)
		if err := txn.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		return fencedPublisher{txn}
	}
	request := stream.Record{Topic: schemas.TopicRequests, Partition: -1, Key: []byte("call"), Value: []byte("request")}
	one, other := own("one", 0), own("one", 1)
	if err := errors.Join(one.Publish(t.Context(), request), other.Publish(t.Context(), request)); err != nil {
		t.Fatal(err)
	}
	two := own("two", 0)
	if err := one.Publish(t.Context(), request); !errors.Is(err, scheduler.ErrFenced) || !errors.Is(err, kafka.ErrFenced) {
		t.Errorf("the owner before published: %v, want ErrFenced", err)
	}
	if err := errors.Join(two.Publish(t.Context(), request), other.Publish(t.Context(), request)); err != nil {
		t.Error(err)
	}
}
