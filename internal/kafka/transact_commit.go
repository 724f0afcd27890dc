package kafka

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commit ends the transaction with the offsets of everything polled, and says
// whether it is committed. It is the one place where a stage's offsets move.
func (s *session) commit(inputs []*input) bool {
	ctx, cancel := s.bounded(s.cfg.TransactionTimeout)
	defer cancel()
	s.mu.Lock()
	memberID := s.memberID
	s.mu.Unlock()
	guarded := kgo.PreTxnCommitFnContext(ctx, func(req *kmsg.TxnOffsetCommitRequest) error {
		if len(req.Topics) > 0 && req.MemberID != memberID {
			// Taken in anew since the batch was polled: not ours any more. The
			// code is one that makes End abort.
			return fmt.Errorf("committing as another member than polled: %w: %w", errFenced, kerr.UnknownMemberID)
		}
		s.mark(req)
		return nil
	})
	committed, err := s.txn.End(guarded, kgo.TryCommit)
	s.clearRevoked()
	switch {
	case err != nil:
		s.aborted("end")
		s.end(fmt.Errorf("ending a transaction of %q: %w: %w", s.id, errOutcome, known(err)))
		return false
	case committed:
		s.metrics.commits.WithLabelValues(s.group).Inc()
		return true
	}
	s.aborted("rebalance")
	err = s.cfg.Failpoints.Hit(failpoint.TransactAborted)
	if err == nil {
		err = s.checkAborted(ctx, inputs)
	}
	if err != nil {
		s.end(err)
	}
	return false
}

// abort ends the transaction, if there is one, without effect: the client goes
// back to the committed offsets, and the records come again.
func (s *session) abort(reason string) {
	ctx, cancel := s.bounded(s.cfg.TransactionTimeout)
	defer cancel()
	_, err := s.txn.End(ctx, kgo.TryAbort)
	s.clearRevoked()
	if reason != "revoked" {
		s.aborted(reason)
	}
	if err == nil {
		err = s.cfg.Failpoints.Hit(failpoint.TransactAborted)
	}
	if err != nil {
		s.end(fmt.Errorf("aborting a transaction of %q: %w", s.id, known(err)))
	}
}

// awaitEnded waits until the brokers have written the markers of the transaction
// before. They answer its end earlier, and refuse what comes next with "concurrent
// transactions" until then. The client tries a refused publication again, but
// takes a refused commit of offsets for a reason to abort, so that a batch of
// which nothing comes, and whose first request is that commit, would be handled
// twice. That is so for most of those that follow each other closely, so it is asked
// each time. When they do not say, the commit is tried as it is.
func (s *session) awaitEnded(ctx context.Context) {
	for fails := 1; ; fails++ {
		described, err := s.admin.DescribeTransactions(ctx, s.id)
		if err != nil || !strings.HasPrefix(described[s.id].State, "Prepare") {
			return
		}
		if !pause(ctx, backoff(fails, 2*time.Millisecond, 100*time.Millisecond)) {
			return
		}
	}
}

func (s *session) aborted(reason string) {
	if reason == "rebalance" {
		s.log.Warn("a transaction was aborted, its records come again", "transactional_id", s.id)
	}
	s.metrics.aborts.WithLabelValues(s.group, reason).Inc()
}

func (s *session) clearRevoked() {
	s.mu.Lock()
	s.revoked = false
	s.mu.Unlock()
}
