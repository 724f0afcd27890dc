package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
)

// ListedLetter is a dead letter with what somebody has decided about it last, nil
// where nobody has decided anything.
type ListedLetter struct {
	schemas.DeadLetter
	Mark *schemas.DeadLetterMarked `json:"mark,omitempty"`
}

// dropped says whether nothing more is to be done about the letter.
func (l *ListedLetter) dropped() bool { return l.Mark != nil && l.Mark.Dropped }

// Marked is the mark of a dead letter.
type Marked struct {
	schemas.DeadLetterMarked
	// Changed is false when the letter was so before: its mark is that of then.
	Changed bool `json:"changed"`
}

// MarkDeadLetters says of dead letters that nothing more is to be done about them,
// or takes that back: who decided it, when and why. The letters stay where they
// are. Each has to exist. What cannot be marked whole is not marked at all, as far
// as the broker lets that be: doing it again changes nothing.
func (a *App) MarkDeadLetters(ctx context.Context, ids []schemas.ID, dropped bool, by, reason string, dryRun bool) ([]Marked, error) {
	before, err := a.lettersByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	enc, err := codec[schemas.DeadLetterMarked](ctx, a, schemas.TopicDeadLetterMarks)
	if err != nil {
		return nil, err
	}
	at := time.Now().UTC().Truncate(time.Microsecond)
	var marked []Marked
	var records []stream.Record
	for _, id := range ids {
		l := before[id]
		if l == nil {
			continue // it was named twice
		}
		delete(before, id)
		if l.dropped() == dropped {
			one := Marked{DeadLetterMarked: schemas.DeadLetterMarked{DeadLetterID: id}}
			if l.Mark != nil {
				one.DeadLetterMarked = *l.Mark
			}
			marked = append(marked, one)
			continue
		}
		one := schemas.DeadLetterMarked{DeadLetterID: id, Dropped: dropped, Reason: reason, MarkedBy: by, MarkedAt: at}
		r, err := markRecord(enc, &one)
		if err != nil {
			return nil, err
		}
		records, marked = append(records, r), append(marked, Marked{DeadLetterMarked: one, Changed: true})
	}
	if dryRun || len(records) == 0 {
		return marked, nil
	}
	producer, err := kafka.NewProducer(a.kafkaConfig("mark"))
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	if err := producer.Publish(ctx, records...); err != nil {
		return nil, fmt.Errorf("marking %d dead letters: %w; run the same again: letters that were marked stay as they are", len(records), err)
	}
	return marked, nil
}

func markRecord(enc *avro.Codec[schemas.DeadLetterMarked], m *schemas.DeadLetterMarked) (stream.Record, error) {
	value, err := enc.Append(nil, m)
	if err != nil {
		return stream.Record{}, fmt.Errorf("encoding the mark of dead letter %s: %w", m.DeadLetterID, err)
	}
	event := stream.CloudEvent{
		ID:     fmt.Sprintf("%s/%d", m.DeadLetterID, m.MarkedAt.UnixMicro()),
		Source: "/pricelake/dlq",
		Type:   "pricelake.v1.DeadLetterMarked",
		Time:   m.MarkedAt,
	}
	return stream.Record{Topic: schemas.TopicDeadLetterMarks, Key: []byte(m.DeadLetterID.String()), Value: value, Headers: event.Headers()}, nil
}

// lettersByID returns the named dead letters, without their values. One that is not
// there is an error.
func (a *App) lettersByID(ctx context.Context, ids []schemas.ID) (map[schemas.ID]*ListedLetter, error) {
	marks, err := a.deadLetterMarks(ctx)
	if err != nil {
		return nil, err
	}
	found := map[schemas.ID]*ListedLetter{}
	err = a.eachDeadLetter(ctx, func(d schemas.DeadLetter) error {
		if slices.Contains(ids, d.DeadLetterID) {
			d.Value = nil
			found[d.DeadLetterID] = &ListedLetter{DeadLetter: d, Mark: marks[d.DeadLetterID]}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if found[id] == nil {
			return nil, fmt.Errorf("no dead letter %s; list them with `pricelake dlq ls`", id)
		}
	}
	return found, nil
}

// deadLetterMarks reads what was decided about dead letters last. A cluster whose
// topics are of an earlier version has no marks.
func (a *App) deadLetterMarks(ctx context.Context) (map[schemas.ID]*schemas.DeadLetterMarked, error) {
	marks := map[schemas.ID]*schemas.DeadLetterMarked{}
	dec, err := avro.NewCodec[schemas.DeadLetterMarked](schemas.TopicDeadLetterMarks, a.registry)
	if err != nil {
		return nil, err
	}
	all := topicReader{open: a.streamLog, topic: schemas.TopicDeadLetterMarks}
	err = all.read(ctx, func(news appended) error {
		for i := range news.records {
			r := &news.records[i]
			if r.Value == nil {
				if id, err := schemas.ParseID(string(r.Key)); err == nil {
					delete(marks, id)
				}
				continue
			}
			m := new(schemas.DeadLetterMarked)
			if err := dec.Decode(ctx, r.Value, m); err != nil {
				return fmt.Errorf("decoding the mark of dead letter %q at offset %d: %w", r.Key, r.Offset, err)
			}
			marks[m.DeadLetterID] = m
		}
		return nil
	})
	if errors.Is(err, kafka.ErrUnknownTopic) {
		return marks, nil
	}
	return marks, err
}
