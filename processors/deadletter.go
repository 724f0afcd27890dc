package processors

import (
	"fmt"
	"maps"
	"strings"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// maxErrorBytes bounds the text of an error in a dead letter.
const maxErrorBytes = 4 << 10

// DeadLetters makes the dead letters of one role.
type DeadLetters struct {
	// Role is the name of the role that gives the record up.
	Role string
	// Encoder writes the dead letters.
	Encoder Encoder[schemas.DeadLetter]
}

// Record makes the dead letter of in: its original bytes, where it was, and why
// it cannot be used. The same input makes the same dead letter: the time of the
// failure is the time of the record (I4). An error means that the dead letter
// cannot be written, so the record must not be passed over.
func (d *DeadLetters) Record(b *Buffer, in *stream.Record, reason schemas.DeadReason, cause error) (stream.Record, error) {
	letter := schemas.DeadLetter{
		DeadLetterID:    schemas.DeadLetterID(in.Topic, schemas.ID(in.TopicID), in.Partition, in.Offset),
		OriginTopic:     in.Topic,
		OriginTopicID:   schemas.ID(in.TopicID),
		OriginPartition: in.Partition,
		OriginOffset:    in.Offset,
		OriginTimestamp: in.Timestamp,
		Role:            d.Role,
		Reason:          reason,
		Error:           clip(cause.Error(), maxErrorBytes),
		Attempts:        1,
		FailedAt:        in.Timestamp,
		Key:             in.Key,
		Value:           in.Value,
		Headers:         maps.Collect(headers(in)),
	}
	if id := schemas.ID(in.Correlation()); !id.IsZero() {
		letter.CorrelationID = &id
	}
	value, err := b.Append(func(dst []byte) ([]byte, error) { return d.Encoder.Append(dst, &letter) })
	if err != nil {
		return stream.Record{}, fmt.Errorf("encoding the dead letter of %s[%d]@%d: %w", in.Topic, in.Partition, in.Offset, err)
	}
	event := stream.CloudEvent{
		ID:     letter.DeadLetterID.String(),
		Source: "/pricelake/" + d.Role,
		Type:   "pricelake.v1.DeadLetter",
		Time:   letter.FailedAt,
	}
	if letter.CorrelationID != nil {
		event.Correlation = *letter.CorrelationID
	}
	return stream.Record{
		Topic:     schemas.TopicDeadLetters,
		Partition: stream.AnyPartition,
		Key:       fmt.Appendf(nil, "%s/%d/%d", in.Topic, in.Partition, in.Offset),
		Value:     value,
		Headers:   event.Headers(),
	}, nil
}

// headers yields the headers of a record; of a repeated key the last wins.
func headers(r *stream.Record) func(yield func(string, []byte) bool) {
	return func(yield func(string, []byte) bool) {
		for _, h := range r.Headers {
			if !yield(strings.ToValidUTF8(h.Key, "\uFFFD"), h.Value) {
				return
			}
		}
	}
}

// clip returns at most n bytes of s, as valid UTF-8.
func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}
