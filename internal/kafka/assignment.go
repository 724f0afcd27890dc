package kafka

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
)

// assignment is one partition in the hands of one worker, from claim to
// revocation. A partition that comes back is another assignment (I6).
type assignment struct {
	stream.TopicPartition
	member   *member
	memberID string // under which the partition was claimed
	at       start  // as claimed
	queue    *queue
	progress *progress
	wrote    atomic.Int64 // when it was last written, Unix ns; 0: not at all

	ctx      context.Context // ends when the worker must return at once
	cancel   context.CancelFunc
	stopping chan struct{} // closed when the worker must take nothing new
	stopOnce sync.Once
	done     chan struct{} // closed when the worker has returned

	// settle is held while an offset is being committed. gone, under the same
	// lock, refuses every later commit: the generation fences members, not
	// workers, so once this member has rejoined, the broker would accept a
	// commit of a worker whose partition has gone to somebody else.
	settle sync.Mutex
	gone   bool
}

func newAssignment(m *member, tp stream.TopicPartition, at start) *assignment {
	ctx, cancel := context.WithCancel(context.Background())
	a := &assignment{
		TopicPartition: tp, member: m, at: at,
		queue:    newQueue(m.queueRecords, m.budget.share, at.offset),
		progress: m.metrics.track(m.group, tp),
		ctx:      ctx, cancel: cancel,
		stopping: make(chan struct{}), done: make(chan struct{}),
	}
	a.queue.records.spare = &m.pages
	m.budget.join(a)
	a.queue.held = func(bytes int) { m.budget.hold(a, bytes) }
	one := map[string][]int32{tp.Topic: {tp.Partition}}
	a.queue.pause = func() {
		m.metrics.paused.WithLabelValues(m.group, tp.Topic).Inc()
		m.client.PauseFetchPartitions(one)
	}
	a.queue.resume = func() { m.client.ResumeFetchPartitions(one) }
	a.progress.starts(at.offset, at.end)
	return a
}

// cancelGrace is how long a worker may take to notice that its context ended.
const cancelGrace = time.Second

// finish ends the assignment: the worker may finish what it has in hand within
// grace, then its context ends. When finish returns, nothing of the assignment
// is or will be committed any more (I1), whatever the worker does. It may be called
// several times at once; the shortest grace counts. An assignment that nobody
// asked back is lost.
func (a *assignment) finish(grace time.Duration, lost bool) {
	a.stopOnce.Do(func() { close(a.stopping) })
	if grace > 0 {
		a.await(grace)
	}
	a.cancel()
	returned := a.await(cancelGrace)
	a.settle.Lock()
	before := a.gone
	a.gone = true
	a.settle.Unlock()
	if before {
		return
	}
	if !returned {
		a.member.log.Warn("a worker goes on after its partition was revoked; its commits are refused",
			"topic", a.Topic, "partition", a.Partition)
	}
	a.member.budget.leave(a)
	a.member.metrics.leave(a.progress, lost)
}

// overtime returns a context that ends a moment after ctx, within what finish
// grants: what became durable just in time is still committed then, and need not
// be done again by the next owner.
func overtime(ctx context.Context) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.AfterFunc(cancelGrace/2, cancel)
		context.AfterFunc(late, func() { t.Stop() })
	})
	return late, func() { stop(); cancel() }
}

func (a *assignment) await(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-a.done:
		return true
	case <-t.C:
		return false
	}
}

// ending reports whether the worker must take nothing new.
func (a *assignment) ending() bool {
	select {
	case <-a.stopping:
		return true
	default:
		return a.ctx.Err() != nil
	}
}

// rest waits for d between two tries and reports whether to go on.
func (a *assignment) rest(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-a.stopping:
	case <-a.ctx.Done():
	}
	return false
}
