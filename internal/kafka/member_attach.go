package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// goOn has the client fetch a partition again that was detached from it, from an offset
// on: after the poll under way, which ends now. It may be called in parallel.
func (m *member) goOn(a *assignment, at kgo.EpochOffset) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.detached == nil {
		m.detached = make(map[*assignment]kgo.EpochOffset)
	}
	m.detached[a] = at
	if m.wake != nil {
		m.wake()
	}
}

// polling is the context of one poll, which goOn ends.
func (m *member) polling(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.wake = cancel; len(m.detached) > 0 {
		cancel()
	}
	return ctx, cancel
}

// attach does what goOn was told. It is called between a poll and the rebalances that
// this holds up, so that no partition goes away meanwhile, as SetOffsets asks for.
func (m *member) attach() {
	m.mu.Lock()
	all := m.detached
	m.detached = nil
	for a := range all {
		if m.owned[a.TopicPartition] != a || a.ending() {
			delete(all, a) // it is somebody else's
		}
	}
	m.mu.Unlock() // the client calls back with locks of its own held
	if len(all) == 0 {
		return
	}
	offsets := make(map[string]map[int32]kgo.EpochOffset)
	for a, at := range all {
		if offsets[a.Topic] == nil {
			offsets[a.Topic] = make(map[int32]kgo.EpochOffset)
		}
		offsets[a.Topic][a.Partition] = at
	}
	m.client.SetOffsets(offsets) // once: it ends the fetches of all partitions under way
	for a := range all {
		a.queue.attach()
	}
}
