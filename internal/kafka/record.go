package kafka

import (
	"fmt"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kgo"
)

// fromClient converts a record that was read. Key, value and headers are
// shared, not copied: the client never touches them again.
func fromClient(r *kgo.Record, id stream.TopicID) stream.Record {
	out := stream.Record{
		Topic: r.Topic, TopicID: id, Partition: r.Partition, Offset: r.Offset,
		Timestamp: r.Timestamp, Key: r.Key, Value: r.Value,
	}
	if len(r.Headers) > 0 {
		out.Headers = make([]stream.Header, len(r.Headers))
		for i, h := range r.Headers {
			out.Headers[i] = stream.Header{Key: h.Key, Value: h.Value}
		}
	}
	return out
}

// toClient converts a record that is to be written into out. The broker or the
// client sets its timestamp.
func toClient(r *stream.Record, out *kgo.Record) {
	*out = kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value}
	if len(r.Headers) > 0 {
		out.Headers = make([]kgo.RecordHeader, len(r.Headers))
		for i, h := range r.Headers {
			out.Headers[i] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
		}
	}
}

// fits says why a topic does not take a record.
func fits(r *stream.Record) error {
	if n, most := r.Size()-stream.RecordOverhead, MaxRecordBytes(r.Topic); n > most {
		return fmt.Errorf("publishing to %q: %d bytes, at most %d: %w", r.Topic, n, most, ErrTooLarge)
	}
	return nil
}
