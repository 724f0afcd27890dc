package kafka

import (
	"context"

	"github.com/pricelake/pricelake/internal/stream"
)

// ReadBetween calls each with the committed records of [from,end), and returns
// when everything below end is decided. Records that are no longer retained are
// passed over; an end beyond the end of the partition is cut to it. Records
// handed to each may be kept.
func (l *Log) ReadBetween(ctx context.Context, tp stream.TopicPartition, from, end int64, each func(stream.Record) error) error {
	first, high, err := l.Bounds(ctx, tp)
	if err != nil {
		return err
	}
	return l.read(ctx, tp, max(from, first), min(end, high), each)
}
