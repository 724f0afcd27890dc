package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/producers/poller"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
	"github.com/pricelake/pricelake/sinks/lake"
)

// maxDeadLetters bounds what a listing keeps in memory.
const maxDeadLetters = 10_000

// DeadLetterFilter says which dead letters to list.
type DeadLetterFilter struct {
	Role   string
	CallID string
	// Dropped lists those that somebody has dropped, and no others. Without it
	// they are left out.
	Dropped bool
	Limit   int
}

func (f DeadLetterFilter) matches(d *schemas.DeadLetter) bool {
	return (f.Role == "" || f.Role == d.Role) && (f.CallID == "" || f.CallID == d.CallID)
}

// DeadLetters returns the newest dead letters that the filter leaves, the
// newest first. It reads the topic: what it lists is there even when the lake
// is not.
func (a *App) DeadLetters(ctx context.Context, f DeadLetterFilter) ([]ListedLetter, error) {
	limit := f.Limit
	if limit <= 0 || limit > maxDeadLetters {
		limit = maxDeadLetters
	}
	marks, err := a.deadLetterMarks(ctx)
	if err != nil {
		return nil, err
	}
	var letters []ListedLetter
	err = a.eachDeadLetter(ctx, func(d schemas.DeadLetter) error {
		l := ListedLetter{DeadLetter: d, Mark: marks[d.DeadLetterID]}
		if !f.matches(&d) || l.dropped() != f.Dropped {
			return nil
		}
		letters = append(letters, l)
		if len(letters) >= 2*limit {
			letters = newest(letters, limit)
		}
		return nil
	})
	return newest(letters, limit), err
}

func newest(letters []ListedLetter, limit int) []ListedLetter {
	slices.SortStableFunc(letters, func(x, y ListedLetter) int { return y.FailedAt.Compare(x.FailedAt) })
	return letters[:min(limit, len(letters))]
}

// eachDeadLetter reads the whole topic. The same letter may be stored twice (by a
// role that was killed before it had noted it): the id is the same then, and the
// first counts. One that cannot be read is somebody else's; the others are listed.
func (a *App) eachDeadLetter(ctx context.Context, each func(schemas.DeadLetter) error) error {
	log, err := a.kafkaLog()
	if err != nil {
		return err
	}
	dec, err := codec[schemas.DeadLetter](ctx, a, schemas.TopicDeadLetters)
	if err != nil {
		return err
	}
	_, partitions, err := log.Describe(ctx, schemas.TopicDeadLetters)
	if err != nil {
		return fmt.Errorf("describing %q: %w", schemas.TopicDeadLetters, err)
	}
	seen := map[schemas.ID]struct{}{}
	for p := range partitions {
		tp := stream.TopicPartition{Topic: schemas.TopicDeadLetters, Partition: p}
		_, err := log.ReadCommitted(ctx, tp, 0, func(r stream.Record) error {
			var d schemas.DeadLetter
			err := dec.Decode(ctx, r.Value, &d)
			if errors.Is(err, avro.ErrBadRecord) {
				a.log.WarnContext(ctx, "a record among the dead letters cannot be read and is passed over", "partition", p, "offset", r.Offset, "err", err)
				return nil
			}
			if err != nil {
				return fmt.Errorf("decoding the dead letter at offset %d: %w", r.Offset, err)
			}
			if _, again := seen[d.DeadLetterID]; again {
				return nil
			}
			seen[d.DeadLetterID] = struct{}{}
			return each(d)
		})
		if err != nil {
			return fmt.Errorf("reading %s[%d]: %w", tp.Topic, p, err)
		}
	}
	return nil
}

// ShownDeadLetter is a dead letter with its original value decoded.
type ShownDeadLetter struct {
	ListedLetter
	Original json.RawMessage `json:"original"`
}

var errFound = errors.New("found")

// DeadLetter returns one dead letter.
func (a *App) DeadLetter(ctx context.Context, id schemas.ID) (*ShownDeadLetter, error) {
	marks, err := a.deadLetterMarks(ctx)
	if err != nil {
		return nil, err
	}
	var shown *ShownDeadLetter
	err = a.eachDeadLetter(ctx, func(d schemas.DeadLetter) error {
		if d.DeadLetterID != id {
			return nil
		}
		shown = &ShownDeadLetter{ListedLetter: ListedLetter{DeadLetter: d, Mark: marks[id]}, Original: a.decodeJSON(ctx, d.Value)}
		return errFound
	})
	if shown != nil {
		return shown, nil
	}
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("no dead letter %s; list them with `pricelake dlq ls`", id)
}

// Replayed is one record sent again.
type Replayed struct {
	DeadLetterID schemas.ID `json:"dead_letter_id"`
	Topic        string     `json:"topic"`
	Key          string     `json:"key"`
	// Already: an earlier replay has sent it, so this one has not.
	Already bool `json:"already,omitempty"`
}

// ReplayDeadLetters appends the original records of the named dead letters to
// their topics again. value, unless nil, takes the place of the value of the one
// that is named: the record as it should have been. It returns those it sent, and
// those of the lake that had been sent already.
func (a *App) ReplayDeadLetters(ctx context.Context, ids []schemas.ID, value []byte, dryRun bool) ([]Replayed, error) {
	if value != nil && len(ids) != 1 {
		return nil, errors.New("a new value is for one dead letter: name one")
	}
	wanted := map[schemas.ID]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	var replayed []Replayed
	var records []stream.Record
	var ofLake []schemas.DeadLetter
	err := a.eachDeadLetter(ctx, func(d schemas.DeadLetter) error {
		if !wanted[d.DeadLetterID] {
			return nil
		}
		delete(wanted, d.DeadLetterID)
		if value != nil {
			d.Value = value
		}
		if d.Role == lake.Role {
			ofLake = append(ofLake, d)
			return nil
		}
		replayed = append(replayed, Replayed{DeadLetterID: d.DeadLetterID, Topic: d.OriginTopic, Key: string(d.Key)})
		records = append(records, original(&d))
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if wanted[id] {
			return nil, fmt.Errorf("no dead letter %s; list them with `pricelake dlq ls`", id)
		}
	}
	again, err := a.replayLake(ctx, ofLake, dryRun)
	replayed = append(replayed, again...)
	if err != nil || dryRun || len(records) == 0 {
		return replayed, err
	}
	producer, err := kafka.NewProducer(a.kafkaConfig("replay"))
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	if err := producer.Publish(ctx, records...); err != nil {
		return nil, fmt.Errorf("sending %d records again: %w; some may have been sent; sending one again is one poll, or a repeat that is dropped", len(records), err)
	}
	return replayed, nil
}

// original rebuilds the record a dead letter came from, marked as a replay. Its
// partition is chosen by the key, as the first time.
func original(d *schemas.DeadLetter) stream.Record {
	r := stream.Record{Topic: d.OriginTopic, Partition: stream.AnyPartition, Key: d.Key, Value: d.Value}
	for key, value := range d.Headers {
		if key != poller.HeaderReplayOf {
			r.Headers = append(r.Headers, stream.Header{Key: key, Value: value})
		}
	}
	slices.SortFunc(r.Headers, func(x, y stream.Header) int {
		switch {
		case x.Key < y.Key:
			return -1
		case x.Key > y.Key:
			return 1
		}
		return 0
	})
	r.Headers = append(r.Headers, stream.Header{Key: poller.HeaderReplayOf, Value: []byte(d.DeadLetterID.String())})
	return r
}
