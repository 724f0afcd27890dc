package app

import (
	"context"
	"math"
	"sync"

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

// opening is which partitions a role cannot open, and why. It may be used in
// parallel.
type opening struct {
	mu   sync.Mutex
	held map[stream.TopicPartition]heldUp
}

type heldUp struct {
	err  error
	stop func() bool // of what forgets it when the assignment ends
}

// watch makes the failures of opening known until the partition is open or
// somebody else's.
func (o *opening) watch(open stream.OpenStage) stream.OpenStage {
	return func(ctx context.Context, tp stream.TopicPartition) (stream.Stage, error) {
		stage, err := open(ctx, tp)
		o.forget(tp)
		if err != nil && ctx.Err() == nil {
			o.mu.Lock()
			defer o.mu.Unlock()
			if o.held == nil {
				o.held = map[stream.TopicPartition]heldUp{}
			}
			o.held[tp] = heldUp{err, context.AfterFunc(ctx, func() { o.forget(tp) })}
		}
		return stage, err
	}
}

func (o *opening) forget(tp stream.TopicPartition) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if h, ok := o.held[tp]; ok {
		h.stop()
		delete(o.held, tp)
	}
}

// now returns the failure of the lowest partition that is not open, nil if all
// are.
func (o *opening) now() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	lowest := int32(math.MaxInt32)
	var err error
	for tp, h := range o.held {
		if tp.Partition < lowest {
			lowest, err = tp.Partition, h.err
		}
	}
	return err
}
