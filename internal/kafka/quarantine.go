package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kadm"
)

// quarantined reports whether err is one that a person has to look at, and then
// stands still until the assignment ends.
func (w *rangeWorker) quarantined(ctx context.Context, err error) bool {
	var q *stream.QuarantineError
	if !errors.As(err, &q) {
		return false
	}
	w.quarantine(ctx, q)
	return true
}

// quarantine stops one partition: it says so in the log, to the metrics, to
// whoever shows readiness, and beside the committed offset, where tools see it and
// later owners find it. Nothing is fetched meanwhile; the other partitions go on.
func (w *rangeWorker) quarantine(ctx context.Context, why error) {
	_ = w.points.Hit(failpoint.LakeQuarantine) // an error changes nothing here
	w.member.metrics.quarantined.WithLabelValues(w.labels()...).Set(1)
	if w.stopped != nil {
		w.stopped(why)
		defer w.stopped(nil)
	}
	w.member.cfg.logger().Error("a partition stands still: somebody has to decide how it goes on, see `pricelake quarantine`",
		"group", w.member.group, "topic", w.Topic, "partition", w.Partition, "err", why)
	w.queue.discard()
	w.progress.stands()
	if err := w.commit(ctx, w.committed, note{id: w.noteID(), stopped: why.Error(), sink: w.noted}.String()); err != nil {
		w.failed("quarantine", "noting why a partition stands still failed", err)
	}
	w.durable = w.committed
	select {
	case <-w.stopping:
	case <-ctx.Done():
	}
}

func (w *rangeWorker) labels() []string {
	return []string{w.member.group, w.Topic, fmt.Sprint(w.Partition)}
}

// noteID is the topic that the position belongs to: that of the note that is
// there, as long as nothing was written under the topic's new id.
func (w *rangeWorker) noteID() stream.TopicID {
	if w.at.note.id != (stream.TopicID{}) {
		return w.at.note.id
	}
	return w.at.id
}

// ErrGroupInUse says that a group has members, which may commit at any moment.
var ErrGroupInUse = errors.New("the group has members")

// Release sets the offset that a group goes on from in one partition, and forgets
// what was noted beside the one before. It fails with ErrGroupInUse while anybody
// works for the group.
func (a *Admin) Release(ctx context.Context, group string, tp stream.TopicPartition, next int64) error {
	g, err := a.Group(ctx, group)
	if err != nil {
		return err
	}
	if len(g.Members) > 0 {
		return fmt.Errorf("group %q has %d members: %w", group, len(g.Members), ErrGroupInUse)
	}
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: tp.Topic, Partition: tp.Partition, At: next, LeaderEpoch: -1})
	if err := a.admin.CommitAllOffsets(ctx, group, offsets); err != nil {
		return fmt.Errorf("setting the offset of group %q in %s/%d: %w", group, tp.Topic, tp.Partition, known(err))
	}
	return nil
}
