package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
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
		queue:    newQueue(m.queueRecords, m.queueShare, at.offset),
		progress: m.metrics.track(m.group, tp),
		ctx:      ctx, cancel: cancel,
		stopping: make(chan struct{}), done: make(chan struct{}),
	}
	one := map[string][]int32{tp.Topic: {tp.Partition}}
	a.queue.pause = func() {
		m.metrics.paused.WithLabelValues(m.group, tp.Topic).Inc()
		m.client.PauseFetchPartitions(one)
	}
	a.queue.resume = func() { m.client.ResumeFetchPartitions(one) }
	a.progress.settled.Store(at.offset)
	a.progress.seen(at.end)
	return a
}

// cancelGrace is how long a worker may take to notice that its context ended.
const cancelGrace = time.Second

// finish ends the assignment: the worker may finish what it has in hand within
// grace, then its context ends. When finish returns, nothing of the assignment
// is or will be committed any more (I1), whatever the worker does.
func (a *assignment) finish(grace time.Duration) {
	a.stopOnce.Do(func() { close(a.stopping) })
	if grace > 0 {
		a.await(grace)
	}
	a.cancel()
	if !a.await(cancelGrace) {
		a.member.log.warn("a worker goes on after its partition was revoked; its commits are refused",
			"topic", a.Topic, "partition", a.Partition)
	}
	a.settle.Lock()
	a.gone = true
	a.settle.Unlock()
	a.member.metrics.untrack(a.progress)
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

// commitTimeout bounds one commit, with the client's retries in it.
const commitTimeout = 10 * time.Second

// commit commits offset next with metadata, fenced by the group's generation.
// It is tried again until it succeeds, the assignment ends or ctx does. errGone
// means that the partition is no longer this assignment's.
func (a *assignment) commit(ctx context.Context, next int64, metadata string) error {
	for fails := 1; ; fails++ {
		err := a.tryCommit(ctx, next, metadata)
		switch {
		case err == nil:
			a.member.metrics.commits.WithLabelValues(a.member.group).Inc()
			return nil
		case errors.Is(err, errGone) || ctx.Err() != nil:
			return err
		case errors.Is(err, errFenced):
			// Every partition of this member may be somebody else's by now.
			a.member.end(err)
			return errors.Join(errGone, err)
		}
		a.member.metrics.retries.WithLabelValues(a.member.group, a.Topic, "commit").Inc()
		a.member.log.warn("committing an offset failed; trying again", "topic", a.Topic, "partition", a.Partition, "err", err)
		if !pause(ctx, backoff(fails, 20*time.Millisecond, 2*time.Second)) {
			return ctx.Err()
		}
	}
}

func (a *assignment) tryCommit(ctx context.Context, next int64, metadata string) error {
	a.settle.Lock()
	defer a.settle.Unlock()
	if a.gone {
		return errGone
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		if req.MemberID != a.memberID {
			// Forgotten and taken in anew between claim and commit: see
			// member.onAssigned, which may not have run yet.
			return fmt.Errorf("committing as another member than claimed %s/%d: %w", a.Topic, a.Partition, errFenced)
		}
		for i := range req.Topics {
			for j := range req.Topics[i].Partitions {
				req.Topics[i].Partitions[j].Metadata = &metadata
			}
		}
		return nil
	})
	var result error
	offsets := map[string]map[int32]kgo.EpochOffset{a.Topic: {a.Partition: {Epoch: -1, Offset: next}}}
	a.member.client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		result = commitResult(resp, err)
	})
	if result != nil {
		return fmt.Errorf("committing offset %d of %s/%d: %w", next, a.Topic, a.Partition, result)
	}
	a.progress.settled.Store(next)
	return nil
}

// commitResult reads the answer to a commit. A refused commit looks like a
// success at first sight: the request has no error, only the partition has.
func commitResult(resp *kmsg.OffsetCommitResponse, err error) error {
	if err != nil {
		return err
	}
	partitions := 0
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			partitions++
			switch err := kerr.ErrorForCode(p.ErrorCode); {
			case err == nil:
			case errors.Is(err, kerr.IllegalGeneration), errors.Is(err, kerr.UnknownMemberID),
				errors.Is(err, kerr.FencedInstanceID), errors.Is(err, kerr.FencedMemberEpoch), errors.Is(err, kerr.StaleMemberEpoch):
				return fmt.Errorf("%w: %w", errFenced, err)
			default:
				return err
			}
		}
	}
	if partitions == 0 {
		return errors.New("the broker answered a commit without naming the partition")
	}
	return nil
}
