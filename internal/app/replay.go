package app

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/producers/poller"
	"github.com/pricelake/pricelake/schemas"
)

// replayID is the transactional id of replays of the lake's letters: two of them
// exclude each other.
const replayID = "pricelake-dlq-replay"

// replayLake sends the original records of letters that the lake wrote to their
// topics and partitions again, each once for ever. Nobody behind these topics
// drops repeats, so the record of a replay is its own note: it carries the
// letter's id. Under one transactional id an earlier replay is ended first, then
// what has been replayed is read from the topics, and the rest is published in one
// transaction: a replay that is killed has sent all or nothing, and the next one
// sees which.
func (a *App) replayLake(ctx context.Context, letters []schemas.DeadLetter, dryRun bool) ([]Replayed, error) {
	if len(letters) == 0 {
		return nil, nil
	}
	txn, err := kafka.NewTxn(a.kafkaConfig("replay"), replayID, kafka.WithTxnPoints(kafka.TxnPoints{Produced: failpoint.ReplayProduced}))
	if err != nil {
		return nil, err
	}
	defer txn.Close()
	if !dryRun {
		if err := txn.Open(ctx); err != nil {
			return nil, fmt.Errorf("beginning the replay: %w", err)
		}
	}
	sent, err := a.replayedBefore(ctx, letters)
	if err != nil {
		return nil, err
	}
	var replayed []Replayed
	var records []stream.Record
	for i := range letters {
		d := &letters[i]
		again := Replayed{DeadLetterID: d.DeadLetterID, Topic: d.OriginTopic, Key: string(d.Key), Already: sent[d.DeadLetterID.String()]}
		replayed = append(replayed, again)
		if again.Already {
			continue
		}
		r := original(d)
		r.Partition = d.OriginPartition // the partition of its topic is not always that of its key
		records = append(records, r)
	}
	if dryRun || len(records) == 0 {
		return replayed, nil
	}
	err = txn.Publish(ctx, records...)
	switch {
	case errors.Is(err, kafka.ErrOutcomeUnknown):
		return nil, fmt.Errorf("sending %d records again: %w; run the same again: it finds out, and sends nothing twice", len(records), err)
	case err != nil:
		return nil, fmt.Errorf("sending %d records again: %w; nothing was sent", len(records), err)
	}
	return replayed, nil
}

// replayedBefore returns the ids of letters whose records have been sent again,
// from the topics they came from. A replay lies behind what it repeats.
func (a *App) replayedBefore(ctx context.Context, letters []schemas.DeadLetter) (map[string]bool, error) {
	log, err := a.kafkaLog()
	if err != nil {
		return nil, err
	}
	from := map[stream.TopicPartition]int64{}
	for i := range letters {
		d := &letters[i]
		tp := stream.TopicPartition{Topic: d.OriginTopic, Partition: d.OriginPartition}
		first, ok := from[tp]
		if !ok {
			first = math.MaxInt64
		}
		id, _, err := log.Describe(ctx, tp.Topic)
		if err != nil {
			return nil, err
		}
		from[tp] = min(first, d.OriginOffset)
		if schemas.ID(id) != d.OriginTopicID {
			from[tp] = 0 // offsets of a topic that is no more say nothing
		}
	}
	sent := map[string]bool{}
	for tp, first := range from {
		_, err := log.ReadCommitted(ctx, tp, first, func(r stream.Record) error {
			if of := r.Header(poller.HeaderReplayOf); of != nil {
				sent[string(of)] = true
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("looking for earlier replays in %s[%d]: %w", tp.Topic, tp.Partition, err)
		}
	}
	return sent, nil
}
