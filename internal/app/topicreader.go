package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/pricelake/pricelake/internal/stream"
)

// topicReader reads a small topic to its end, again and again. It notices when the
// topic was deleted and created anew: offsets of the one before say nothing of it.
// It may be used in parallel; the readers take turns.
type topicReader struct {
	open  func() (stream.Log, error)
	topic string

	mu   sync.Mutex
	id   stream.TopicID
	next []int64 // by partition; nil before anything was read
}

// appended is what a topic has got since somebody looked at it last.
type appended struct {
	// whole: records are all there is, and what was known before is void.
	whole      bool
	partitions int
	records    []stream.Record
}

// errRecreated says that a topic was replaced while it was read.
var errRecreated = errors.New("the topic was deleted and created again meanwhile")

// read hands what was appended since the last call to apply, if anything was. When
// apply fails, the same comes again.
func (t *topicReader) read(ctx context.Context, apply func(appended) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	log, err := t.open()
	if err != nil {
		return err
	}
	id, partitions, err := log.Describe(ctx, t.topic)
	if err != nil {
		return fmt.Errorf("describing %q: %w", t.topic, err)
	}
	news := appended{partitions: int(partitions), whole: id != t.id || int(partitions) != len(t.next)}
	next := slices.Clone(t.next)
	if news.whole {
		next = make([]int64, partitions)
	}
	for p := range next {
		if err := readAppended(ctx, log, id, stream.TopicPartition{Topic: t.topic, Partition: int32(p)}, &next[p], &news); err != nil {
			return err
		}
	}
	if news.whole || len(news.records) > 0 {
		if err := apply(news); err != nil {
			return err
		}
	}
	t.id, t.next = id, next
	return nil
}

// readAppended adds a partition's records from next on to news, and moves next
// behind them.
func readAppended(ctx context.Context, log stream.Log, id stream.TopicID, tp stream.TopicPartition, next *int64, news *appended) error {
	_, end, err := log.Bounds(ctx, tp)
	if err != nil {
		return fmt.Errorf("reading the end of %s[%d]: %w", tp.Topic, tp.Partition, err)
	}
	if end <= *next {
		return nil
	}
	after, err := log.ReadCommitted(ctx, tp, *next, func(r stream.Record) error {
		if r.TopicID != id {
			return errRecreated
		}
		news.records = append(news.records, r)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading %s[%d]: %w", tp.Topic, tp.Partition, err)
	}
	*next = after
	return nil
}
