package dedupe

import (
	"context"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// Lake is where prices.v1 is kept beyond its own retention. It may be used in
// parallel. An error of it means that it could not be asked: the partition waits.
type Lake interface {
	// Holds says from which topics, by id, the lake has rows of the partition of
	// this number.
	Holds(ctx context.Context, out stream.TopicPartition) ([]Held, error)
	// Prices calls each with every price that the lake has of offsets
	// [from,to) of the partition of the topic with this id, in any order: its
	// event id, revision, withdrawn, price, bid, ask and size. The price is
	// used again for the next call. An error of each ends it and is returned
	// as it is.
	Prices(ctx context.Context, out stream.TopicPartition, id stream.TopicID, from, to int64, each func(offset int64, p *schemas.Price) error) error
}

// Held is what the lake has of one partition of one topic.
type Held struct {
	TopicID     stream.TopicID
	First, Last int64 // offsets
	Rows        int64
}
