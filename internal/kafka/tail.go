package kafka

import (
	"context"
	"fmt"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Tail calls each with every committed record of the topic, from the first
// retained one or from now on, until ctx ends or each returns an error. Records
// of one partition come in order, calls one at a time. It returns nil when ctx
// ended it.
func Tail(ctx context.Context, c Config, topic string, fromStart bool, each func(stream.Record) error) error {
	l, err := NewLog(c)
	if err != nil {
		return err
	}
	defer l.Close()
	if _, _, err := l.Describe(ctx, topic); err != nil {
		return err
	}
	start := kgo.NewOffset().AtEnd()
	if fromStart {
		start = kgo.NewOffset().AtStart()
	}
	client, err := kgo.NewClient(append(commonOptions(c),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeStartOffset(start),
		// What retention took while nobody looked is not worth an error here.
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxBytes(fetchMaxBytes),
	)...)
	if err != nil {
		return fmt.Errorf("making a reader of %q: %w", topic, err)
	}
	defer client.Close()
	for {
		fetches := client.PollRecords(ctx, pollRecords)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("reading %q: %w", topic, known(err))
		}
		for _, fetch := range fetches {
			for _, t := range fetch.Topics {
				for _, r := range t.Records() {
					if err := each(fromClient(r, stream.TopicID(t.TopicID))); err != nil {
						return err
					}
				}
			}
		}
	}
}
