package app

import (
	"context"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/processors/dedupe"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks/lake"
)

// restoringLake is the lake as the deduplicator sees it: what is left of
// prices.v1 when the topic has forgotten.
type restoringLake struct{ *lake.Lake }

var _ dedupe.Lake = restoringLake{}

func (l restoringLake) Holds(ctx context.Context, out stream.TopicPartition) ([]dedupe.Held, error) {
	held, err := l.Held(ctx, out.Partition)
	all := make([]dedupe.Held, len(held))
	for i, h := range held {
		all[i] = dedupe.Held(h)
	}
	return all, err
}

func (l restoringLake) Prices(ctx context.Context, out stream.TopicPartition, id stream.TopicID, from, to int64, each func(int64, *schemas.Price) error) error {
	return l.Lake.Prices(ctx, id, out.Partition, from, to, each)
}
