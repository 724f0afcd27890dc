package kafka

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// detach takes the fetching of the partition from the client, if the broker has at
// least so many records more. What the client brings until attach is dropped.
func (q *queue) detach(backlog int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.detached || q.end-q.next < int64(backlog) {
		return false
	}
	if q.detached = true; !q.full {
		q.pause()
	}
	return true
}

// open reports whether there is room.
func (q *queue) open() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.full
}

// position is that behind all that was queued, with the leader's epoch there: somebody
// who goes on there sees by it whether the log was cut short since (KIP-320).
func (q *queue) position() kgo.EpochOffset {
	q.mu.Lock()
	defer q.mu.Unlock()
	return kgo.EpochOffset{Epoch: q.epoch, Offset: q.next}
}

// refill appends what was fetched in place of the client. What an earlier one brought
// must have been let go of: the records share memory.
func (q *queue) refill(p *kmsg.FetchResponseTopicPartition, b *batches) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.records.n == 0 {
		q.since = time.Now()
	}
	err := b.read(p, q.next, q.records.place, func() { q.bytes += q.records.placed() })
	q.next, q.end, q.latest = b.from, p.LastStableOffset, time.Now()
	if b.epoch >= 0 {
		q.epoch = b.epoch
	}
	q.fill()
	return err
}

// attach gives the fetching back to the client, which goes on at the position.
func (q *queue) attach() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.detached = false; !q.full {
		q.resume()
	}
}
