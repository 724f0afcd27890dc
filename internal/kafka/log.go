package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Log reads topics outside any group. It implements stream.Log and may be used
// in parallel.
type Log struct {
	client *kgo.Client
	admin  *kadm.Client
}

var _ stream.Log = (*Log)(nil)

// NewLog returns a Log; it connects at the first read. Close it.
func NewLog(c Config) (*Log, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(commonOptions(c)...)
	if err != nil {
		return nil, fmt.Errorf("making a log reader: %w", err)
	}
	return &Log{client: client, admin: kadm.NewClient(client)}, nil
}

// Close disconnects; reads that run end with an error.
func (l *Log) Close() { l.client.Close() }

// Describe returns the id and the number of partitions of a topic, or
// ErrUnknownTopic.
func (l *Log) Describe(ctx context.Context, topic string) (stream.TopicID, int32, error) {
	topics, err := l.admin.ListTopicsWithInternal(ctx, topic)
	if err != nil {
		return stream.TopicID{}, 0, fmt.Errorf("describing topic %q: %w", topic, known(err))
	}
	t, ok := topics[topic]
	if !ok {
		return stream.TopicID{}, 0, fmt.Errorf("describing topic %q: %w", topic, ErrUnknownTopic)
	}
	if t.Err != nil {
		return stream.TopicID{}, 0, fmt.Errorf("describing topic %q: %w", topic, known(t.Err))
	}
	return stream.TopicID(t.ID), int32(len(t.Partitions)), nil
}

// Bounds returns the first retained offset and the high watermark.
func (l *Log) Bounds(ctx context.Context, tp stream.TopicPartition) (first, end int64, err error) {
	all, err := listBounds(ctx, l.admin, tp.Topic)
	if err != nil {
		return 0, 0, err
	}
	b, ok := all[tp]
	if !ok {
		return 0, 0, fmt.Errorf("listing offsets of %s/%d: %w", tp.Topic, tp.Partition, ErrUnknownTopic)
	}
	return b.first, b.end, nil
}

// ReadCommitted implements stream.Log. Records handed to each may be kept.
func (l *Log) ReadCommitted(ctx context.Context, tp stream.TopicPartition, from int64, each func(stream.Record) error) (int64, error) {
	first, end, err := l.Bounds(ctx, tp)
	if err != nil {
		return 0, err
	}
	err = l.read(ctx, tp, max(from, first), end, each)
	return end, err
}

// read calls each with the committed records of [from,end). It returns when
// everything below end is decided: markers of an open transaction land one by
// one, so a read that stops at the last stable offset may stop short.
func (l *Log) read(ctx context.Context, tp stream.TopicPartition, from, end int64, each func(stream.Record) error) error {
	f := newFetcher(l.client, tp)
	for next := from; next < end; {
		out, err := f.fetch(ctx, next, 100*time.Millisecond)
		if errors.Is(err, kerr.OffsetOutOfRange) {
			// Retention passed us by. What is gone is gone; read what is left.
			first, _, berr := l.Bounds(ctx, tp)
			if berr != nil || first <= next {
				return errors.Join(err, berr)
			}
			next = first
			continue
		}
		if err != nil {
			return err
		}
		for _, r := range out.records {
			if r.Offset >= end {
				return nil
			}
			if err := each(fromClient(r, f.id)); err != nil {
				return err
			}
		}
		if out.empty && out.stable >= end {
			// Nothing is stored between next and the end: compaction may leave
			// such a hole.
			return nil
		}
		next = out.next
	}
	return nil
}

// Reread returns how the committed records of a partition are read again.
func (l *Log) Reread(tp stream.TopicPartition) stream.Reread {
	return func(ctx context.Context, first, last int64, each func(stream.Record) error) error {
		_, end, err := l.Bounds(ctx, tp)
		if err != nil {
			return err
		}
		return l.read(ctx, tp, first, min(last+1, end), each)
	}
}
