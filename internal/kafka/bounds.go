package kafka

import (
	"context"
	"fmt"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kadm"
)

// bounds are the edges of one partition's log.
type bounds struct {
	first  int64 // first retained offset
	stable int64 // last stable offset
	end    int64 // high watermark
}

// listBounds asks for the edges of every partition of the topics. stable is
// asked for before end, so that stable ≤ end holds in the answer.
func listBounds(ctx context.Context, admin *kadm.Client, topics ...string) (map[stream.TopicPartition]bounds, error) {
	all, err := listBoundsWhereKnown(ctx, admin, topics...)
	if err != nil {
		return nil, err
	}
	return all, nil
}

// listBoundsWhereKnown is listBounds of the partitions that can be asked; the
// error says what of the others is the matter.
func listBoundsWhereKnown(ctx context.Context, admin *kadm.Client, topics ...string) (map[stream.TopicPartition]bounds, error) {
	all := make(map[stream.TopicPartition]bounds)
	answers := make(map[stream.TopicPartition]int)
	questions := []struct {
		list func(context.Context, ...string) (kadm.ListedOffsets, error)
		set  func(*bounds, int64)
	}{
		{admin.ListStartOffsets, func(b *bounds, o int64) { b.first = o }},
		{admin.ListCommittedOffsets, func(b *bounds, o int64) { b.stable = o }},
		{admin.ListEndOffsets, func(b *bounds, o int64) { b.end = o }},
	}
	var failed error
	for _, ask := range questions {
		listed, err := ask.list(ctx, topics...)
		if err == nil {
			err = listed.Error()
		}
		if err != nil && failed == nil {
			failed = fmt.Errorf("listing offsets of %q: %w", topics, known(err))
		}
		listed.Each(func(o kadm.ListedOffset) {
			if o.Err != nil {
				return
			}
			tp := stream.TopicPartition{Topic: o.Topic, Partition: o.Partition}
			b := all[tp]
			ask.set(&b, o.Offset)
			all[tp] = b
			answers[tp]++
		})
	}
	for tp, n := range answers {
		if n < len(questions) {
			delete(all, tp)
		}
	}
	return all, failed
}
