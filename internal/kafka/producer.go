package kafka

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Producer appends records outside of transactions: idempotent, acknowledged
// by all in-sync replicas. It implements stream.Publisher and may be used in
// parallel.
type Producer struct{ client *kgo.Client }

var _ stream.Publisher = (*Producer)(nil)

// NewProducer returns a Producer; it connects at the first Publish. Close it.
func NewProducer(c Config) (*Producer, error) {
	// zstd: what goes through here is mostly answers of APIs, which shrink to
	// a tenth, and the broker would recompress responses.v1 otherwise.
	return newProducer(c, kgo.ZstdCompression())
}

// NewHotProducer returns a Producer whose batches are as those of transactions:
// what a topic of the hot path is filled with to be measured.
func NewHotProducer(c Config) (*Producer, error) { return newProducer(c, hotCompression()) }

func newProducer(c Config, compression kgo.CompressionCodec) (*Producer, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	opts := append(commonOptions(c), writerOptions(c, compression)...)
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("making a producer: %w", err)
	}
	return &Producer{client: client}, nil
}

// Publish appends the records and returns when every one is acknowledged. When
// ctx ends first it returns at once: records already sent may still arrive. A
// record that can never fit gives ErrTooLarge.
func (p *Producer) Publish(ctx context.Context, rs ...stream.Record) error {
	acks := produce(ctx, p.client, rs)
	select {
	case <-acks.done:
		_, err := acks.result()
		return err
	case <-ctx.Done():
		return fmt.Errorf("publishing %d records: %w", len(rs), ctx.Err())
	}
}

// Close gives up what is unacknowledged and disconnects.
func (p *Producer) Close() { p.client.Close() }

// acks collects the acknowledgements of one set of records.
type acks struct {
	mu        sync.Mutex
	published []stream.Record
	left      int
	err       error
	done      chan struct{} // closed when none is left
}

// produce hands the records to the client, in order. It blocks only while the
// client's buffer is full, and no longer than ctx.
func produce(ctx context.Context, client *kgo.Client, rs []stream.Record) *acks {
	a := &acks{published: slices.Clone(rs), left: len(rs), done: make(chan struct{})}
	if len(rs) == 0 {
		close(a.done)
		return a
	}
	// One allocation for all of them: they end together.
	sent := make([]kgo.Record, len(rs))
	for i := range rs {
		toClient(&rs[i], &sent[i])
		client.Produce(ctx, &sent[i], func(r *kgo.Record, err error) { a.ack(i, r, err) })
	}
	return a
}

func (a *acks) ack(i int, r *kgo.Record, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil && a.err == nil {
		a.err = fmt.Errorf("publishing to %q: %w", r.Topic, known(err))
	}
	if err == nil {
		a.published[i].Partition, a.published[i].Offset = r.Partition, r.Offset
		a.published[i].Timestamp = r.Timestamp
	}
	if a.left--; a.left == 0 {
		close(a.done)
	}
}

// result returns the records with partition and offset set. Call it after done.
func (a *acks) result() ([]stream.Record, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.published, a.err
}
