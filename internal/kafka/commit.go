package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Here offsets are committed that no record goes with: those of Range, and those
// of a Window whose requests brought nothing to publish. The others are committed
// with their transaction, in transact_commit.go and txn_offsets.go; nothing else
// commits.

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
		case errors.Is(err, errGone):
			return err
		case errors.Is(err, errFenced):
			if !a.ending() {
				// Every partition of this member may be somebody else's by now.
				a.member.end(err)
			}
			return errors.Join(errGone, err)
		case ctx.Err() != nil:
			a.member.log.Warn("an offset was not committed in time; what was done since the one before comes again, to the next owner",
				"topic", a.Topic, "partition", a.Partition, "offset", next, "err", err)
			return err
		}
		a.member.metrics.retries.WithLabelValues(a.member.group, a.Topic, "commit").Inc()
		a.member.log.Warn("committing an offset failed; trying again", "topic", a.Topic, "partition", a.Partition, "err", err)
		// A try with a context that has ended says so and returns.
		pause(ctx, backoff(fails, 20*time.Millisecond, 2*time.Second))
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
	a.progress.settle(next)
	return nil
}

// commitResult reads the answer to a commit. A refused commit looks like a
// success at first sight: the request has no error, only the partition has.
// An illegal generation is no fence: a member that joins again while it commits is
// refused until it knows the next generation, and keeps what it was not asked to
// give up. One that the group has gone on without is unknown to it.
func commitResult(resp *kmsg.OffsetCommitResponse, err error) error {
	if err != nil {
		return err
	}
	partitions := 0
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			partitions++
			if err := commitCode(p.ErrorCode); err != nil {
				return err
			}
		}
	}
	if partitions == 0 {
		return errUnnamed
	}
	return nil
}

var errUnnamed = errors.New("the broker answered a commit without naming the partition")

// commitCode reads what the answer to a commit says of one partition.
func commitCode(code int16) error {
	switch err := kerr.ErrorForCode(code); {
	case errors.Is(err, kerr.UnknownMemberID),
		errors.Is(err, kerr.FencedInstanceID), errors.Is(err, kerr.FencedMemberEpoch), errors.Is(err, kerr.StaleMemberEpoch):
		return fmt.Errorf("%w: %w", errFenced, err)
	default:
		return err
	}
}
