package poller

import (
	"fmt"
	"strings"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// deadLetter makes the dead letter of a request that is given up. It stays
// within the record limit, if need be without the request's bytes.
func (p *Poller) deadLetter(r *stream.Record, reason schemas.DeadReason, text string, attempts int32, callID string, correlation *schemas.ID) (stream.Record, error) {
	letter := schemas.DeadLetter{
		DeadLetterID:    schemas.DeadLetterID(r.Topic, schemas.ID(r.TopicID), r.Partition, r.Offset),
		OriginTopic:     r.Topic,
		OriginTopicID:   schemas.ID(r.TopicID),
		OriginPartition: r.Partition,
		OriginOffset:    r.Offset,
		OriginTimestamp: micros(r.Timestamp),
		Role:            role,
		Reason:          reason,
		Error:           clip(text, maxErrorBytes),
		Attempts:        attempts,
		CallID:          callID,
		CorrelationID:   correlation,
		FailedAt:        micros(p.cfg.Now()),
		Key:             r.Key,
		Value:           r.Value,
		Headers:         make(map[string][]byte, len(r.Headers)),
	}
	for _, h := range r.Headers {
		letter.Headers[strings.ToValidUTF8(h.Key, "\uFFFD")] = h.Value
	}
	var trace schemas.ID
	if correlation != nil {
		trace = *correlation
	}
	limit := p.cfg.MaxRecordBytes(schemas.TopicDeadLetters)
	record, left, err := fit(&letter, &letter.Error, limit, deadLetterCuts(), func() (stream.Record, error) {
		value, err := p.cfg.DeadLetters.Append(nil, &letter)
		return stream.Record{
			Topic: schemas.TopicDeadLetters, Partition: stream.AnyPartition,
			Key: []byte(origin(r)), Value: value,
			Headers: headers(letter.DeadLetterID, "DeadLetter", letter.FailedAt, trace),
		}, err
	})
	if err != nil {
		return stream.Record{}, fmt.Errorf("encoding the dead letter of %s: %w", origin(r), err)
	}
	if len(left) > 0 {
		p.cfg.Log.Warn("dead letter shortened", "record", origin(r), "left_out", left)
	}
	return record, nil
}
