package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pricelake/pricelake/internal/stream"
)

// TestTxnWhoseClientHasEnded: a client that is ended because its last transaction
// hangs, or with the process, does not hold up who publishes, though it says nothing
// of the records that it could not send.
func TestTxnWhoseClientHasEnded(t *testing.T) {
	t.Parallel()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "out"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	away := fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotLeaderForPartition, Count: -1})
	ctx, end := context.WithCancel(t.Context())
	cfg := DefaultConfig()
	cfg.Brokers = fake.ListenAddrs()
	x, err := NewTxn(cfg, "gone", func(o *txnOptions) { o.ctx = ctx })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Close)
	if err := x.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	published := make(chan error, 1)
	go func() { published <- x.Publish(t.Context(), stream.Record{Topic: "out", Value: []byte("a")}) }()
	for away.Hits() == 0 {
		time.Sleep(time.Millisecond)
	}
	end()
	began := time.Now()
	if err := <-published; err == nil {
		t.Error("it was published")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	if x.sound() {
		t.Error("it goes on with a client that has ended")
	}
}
