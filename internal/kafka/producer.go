package kafka

import (
	"context"
	"fmt"
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

// NewHotProducer returns a Producer whose batches are as those of transactions: for
// what is written while the hot path waits.
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
		return acks.result()
	case <-ctx.Done():
		return fmt.Errorf("publishing %d records: %w", len(rs), ctx.Err())
	}
}

// Close gives up what is unacknowledged and disconnects.
func (p *Producer) Close() { p.client.Close() }

// acks collects the acknowledgements of one set of records.
type acks struct {
	sent []kgo.Record // of one allocation: they end together
	mu   sync.Mutex
	left int
	err  error
	done chan struct{} // closed when none is left
}

// produce hands the records to the client, in order. It blocks only while the
// client's buffer is full, and no longer than ctx.
func produce(ctx context.Context, client *kgo.Client, rs []stream.Record) *acks {
	a := &acks{sent: make([]kgo.Record, len(rs)), left: len(rs), done: make(chan struct{})}
	if len(rs) == 0 {
		close(a.done)
		return a
	}
	ack := a.ack // one for all
	for i := range rs {
		toClient(&rs[i], &a.sent[i])
		client.Produce(ctx, &a.sent[i], ack)
	}
	return a
}

func (a *acks) ack(r *kgo.Record, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil && a.err == nil {
		a.err = fmt.Errorf("publishing to %q: %w", r.Topic, known(err))
	}
	if a.left--; a.left == 0 {
		close(a.done)
	}
}

// result returns the first error. Call it after done.
func (a *acks) result() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// place sets partition, offset and timestamp of the records that were handed to
// produce. Call it after done, when there was no error.
func (a *acks) place(rs []stream.Record) {
	for i := range rs {
		rs[i].Partition, rs[i].Offset, rs[i].Timestamp = a.sent[i].Partition, a.sent[i].Offset, a.sent[i].Timestamp
	}
}
