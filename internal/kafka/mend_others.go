package kafka

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kadm"
)

// lookEvery is how often a process looks for what others of its family have left
// hanging. Those who come back under their own name are faster.
const lookEvery = 4 * time.Second

// watching begins to watch, where there is a family. What it returns ends that.
func (m *mender) watching(ctx context.Context) (stop func(), err error) {
	if m.family == "" {
		return func() {}, nil
	}
	if err := m.connect(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		m.watch(ctx)
	}()
	return func() {
		cancel()
		<-watched
		m.close()
	}, nil
}

// watch looks for transactions of the family that hang, until ctx ends. Two who
// end the same transaction at the same millisecond could disturb one another:
// one would abort what the other is about to commit. So only the owner of the
// first partition looks, at random times, and what hangs is seen twice before it
// is ended: whoever it belongs to may be about to end it.
func (m *mender) watch(ctx context.Context) {
	var before map[int64]openTxn
	first := stream.TopicPartition{Topic: m.topics[0]}
	for pause(ctx, lookEvery/2+rand.N(lookEvery)) {
		if !m.metrics.owned(m.group, first) {
			before = nil
			continue
		}
		now, err := m.look(ctx, before)
		if err != nil && ctx.Err() == nil {
			m.log.Warn("cannot look for transactions that hang", "err", err)
		}
		before = now
	}
}

// look ends the transactions that are over and were open before as they are now.
func (m *mender) look(ctx context.Context, before map[int64]openTxn) (now map[int64]openTxn, err error) {
	now, _, err = m.open(ctx)
	if err != nil {
		return nil, err
	}
	var producers []int64
	for id, open := range now {
		if len(open.same(before[id])) > 0 {
			producers = append(producers, id)
		}
	}
	if len(producers) == 0 {
		return now, nil
	}
	listed, err := m.admin.ListTransactions(ctx, producers, nil)
	if err != nil {
		return now, fmt.Errorf("asking whose transactions are open: %w", known(err))
	}
	for id, t := range listed {
		if !strings.HasPrefix(id, m.family) {
			continue
		}
		if err := m.mendOther(ctx, id, t.ProducerID, now[t.ProducerID].same(before[t.ProducerID])); err != nil {
			return now, err
		}
	}
	return now, nil
}

// mendOther ends a transaction of the producer, if it is over.
func (m *mender) mendOther(ctx context.Context, id string, producer int64, open openTxn) error {
	t, ok, err := m.describe(ctx, id)
	if err != nil || !ok || t.ProducerID != producer || !over(t) {
		return err
	}
	// If its markers were still being written when we asked the leaders, they
	// say something else now.
	now, _, err := m.open(ctx)
	if err != nil {
		return err
	}
	open = open.same(now[producer])
	if len(open) == 0 {
		return nil
	}
	_, err = m.finish(ctx, t, open)
	return err
}

// over says that the coordinator has no more to do for the last transaction, or
// that a mender was at it, which takes milliseconds.
func over(t kadm.DescribedTransaction) bool {
	return strings.HasPrefix(t.State, "Complete") || noted(t)
}
