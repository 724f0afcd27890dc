package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kgo"
)

// poll hands what is fetched to the workers' queues until ctx ends. It never
// waits for a worker: a full queue pauses its own partition only.
func (m *member) poll(ctx context.Context) {
	for ctx.Err() == nil {
		polling, polled := m.polling(ctx)
		fetches := m.client.PollRecords(polling, pollRecords)
		polled()
		for _, fetch := range fetches {
			for i := range fetch.Topics {
				m.dispatch(&fetch.Topics[i])
			}
		}
		fetches.EachError(func(topic string, partition int32, err error) { m.fetchFailed(ctx, topic, partition, err) })
		if len(fetches) > 0 {
			m.attach() // a poll that returns nothing at all holds up no rebalance
		}
		// Also after an empty poll: one that returned an error counts as
		// polled, and would hold up every rebalance.
		m.client.AllowRebalance()
	}
}

func (m *member) dispatch(t *kgo.FetchTopic) {
	for i := range t.Partitions {
		p := &t.Partitions[i]
		m.mu.Lock()
		a := m.owned[stream.TopicPartition{Topic: t.Topic, Partition: p.Partition}]
		m.mu.Unlock()
		if a == nil {
			continue // revoked, so somebody else's
		}
		a.progress.seen(p.HighWatermark)
		a.queue.ends(p.LastStableOffset)
		if len(p.Records) > 0 {
			a.queue.push(p.Records, a.at.id)
		}
	}
}

func (m *member) fetchFailed(ctx context.Context, topic string, partition int32, err error) {
	if ended(ctx, err) || errors.Is(err, context.Canceled) {
		return
	}
	var session *kgo.ErrGroupSession
	if errors.As(err, &session) {
		// The client rejoins by itself, its partitions were lost already.
		m.log.Warn("losing the session with the consumer group", "err", known(session.Err))
		return
	}
	// What remains does not heal within this membership: the client has
	// stopped fetching the partition. Claiming it again finds out why.
	m.end(fmt.Errorf("fetching %s/%d: %w: %w", topic, partition, errPosition, known(err)))
}
