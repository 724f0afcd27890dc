package lake

import (
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/google/uuid"

	"github.com/pricelake/pricelake/internal/stream"
)

// origin is where a row comes from and when: what a table adds to the fields of
// the record.
type origin struct {
	topicID    stream.TopicID
	partition  int32
	offset     int64
	epoch      uint32
	recordedAt time.Time // the broker's timestamp of the record
	insertedAt time.Time // when this attempt to write the row began
}

// origins is the columns that every table ends with. All values are computed
// here and none by a DEFAULT, so that a row is what was sent. The server knows the
// repeat of a block by its token, not by its bytes: inserted_at is another, and
// that of the attempt which was kept stays.
func origins[T any]() []column[T] {
	recorded, inserted := new(proto.ColInt64), new(proto.ColInt64)
	topicID := new(proto.ColUUID)
	partition, offset, epoch := new(proto.ColInt32), new(proto.ColInt64), new(proto.ColUInt32)
	return []column[T]{
		{name: "recorded_at", typ: typeTime, data: recorded, add: func(_ *T, at *origin) { recorded.Append(at.recordedAt.UnixMicro()) }},
		{name: "inserted_at", typ: typeTime, data: inserted, add: func(_ *T, at *origin) { inserted.Append(at.insertedAt.UnixMicro()) }},
		{name: "_topic_id", typ: typeUUID, data: topicID, add: func(_ *T, at *origin) { *topicID = append(*topicID, uuid.UUID(at.topicID)) }},
		{name: "_partition", typ: typeInt32, data: partition, add: func(_ *T, at *origin) { partition.Append(at.partition) }},
		{name: "_offset", typ: typeInt64, data: offset, add: func(_ *T, at *origin) { offset.Append(at.offset) }},
		{name: "_lake_epoch", typ: typeUInt32, data: epoch, add: func(_ *T, at *origin) { epoch.Append(at.epoch) }},
	}
}
