package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// mender ends transactions that hang, in the way that their coordinator has
// decided. It asks before a transactional id is taken over, for that is when the
// coordinator forgets what it has decided.
//
// A marker of the same producer closes what it has open in a partition, and a
// transaction without records is enough to have one written. So the mender takes
// the id over, adds the partitions in which the transaction hangs, and ends it
// as before. It may die at any of these steps: the decision stays with the
// coordinator throughout, noted in the timeout of the transaction, and the next
// mender goes on from there.
type mender struct {
	cfg     Config
	id      string
	family  string   // how the ids begin whose owners may have gone; empty: none
	outputs []string // topics that are written in transactions
	group   string   // whose offsets are; empty: none
	topics  []string // of the group
	metrics *metrics
	log     *slog.Logger

	client *kgo.Client
	admin  *kadm.Client
}

// connect makes the client. Call close.
func (m *mender) connect() error {
	client, err := kgo.NewClient(menderOptions(m.cfg)...)
	if err != nil {
		return fmt.Errorf("looking for hanging transactions of %q: %w", m.id, err)
	}
	m.client, m.admin = client, kadm.NewClient(client)
	return nil
}

func (m *mender) close() { m.client.Close() }

func versionsWithoutEpochBump() *kversion.Versions {
	v := kversion.Stable()
	v.SetMaxKeyVersion(int16(kmsg.AddPartitionsToTxn), 3)
	v.SetMaxKeyVersion(int16(kmsg.AddOffsetsToTxn), 3)
	v.SetMaxKeyVersion(int16(kmsg.EndTxn), 4)
	return v
}

// The decision about a hanging transaction, as the milliseconds within a second
// of the timeout that its id is taken over with.
const (
	noteCommit = 977
	noteAbort  = 978
	// mendTimeout is how long a mender that dies may leave its transaction to
	// the next before the coordinator aborts it: what brokers allow by default.
	mendTimeout = 899 * time.Second
)

// decided returns what the coordinator has decided about the last transaction.
func decided(t kadm.DescribedTransaction) (commit, known bool) {
	switch {
	case noted(t):
		return t.TimeoutMillis%1000 == noteCommit, true
	case t.State == stateCompleteCommit:
		return true, true
	case t.State == stateCompleteAbort:
		return false, true
	}
	return false, false
}

// noted reports whether a mender had the id last.
func noted(t kadm.DescribedTransaction) bool {
	note := t.TimeoutMillis % 1000
	return note == noteCommit || note == noteAbort
}

// mendRounds bounds how often a mender looks again.
const mendRounds = 20

// mend returns once no transaction of the id hangs. It leaves nobody with the id
// whom it had to fence for that; the caller is about to take it over.
func (m *mender) mend(ctx context.Context) error {
	for range mendRounds {
		again, err := m.round(ctx)
		if err != nil && !errors.Is(err, ErrFenced) {
			return fmt.Errorf("looking for hanging transactions: %w", err)
		}
		if err == nil && !again {
			return nil
		}
	}
	return fmt.Errorf("looking for hanging transactions of %q: others take it over all the time: %w", m.id, ErrFenced)
}

// round looks once, and reports whether to look again.
func (m *mender) round(ctx context.Context) (again bool, err error) {
	t, exists, err := m.settled(ctx, m.id)
	if err != nil || !exists {
		return false, err
	}
	if t.State == stateOngoing && !noted(t) {
		// Somebody died in it. It is aborted here and not by who takes the id
		// over, because its markers, too, may be left out.
		_, err := m.takeOver(ctx, t, false)
		return true, err
	}
	byProducer, pending, err := m.open(ctx)
	if err != nil {
		return false, err
	}
	open := byProducer[t.ProducerID]
	if len(open) == 0 && !pending && t.State != stateOngoing {
		return false, nil
	}
	if _, known := decided(t); len(open) == 0 && !known {
		return false, nil // the offsets are another's
	}
	// Offsets that may be another's are only tried once.
	ended, err := m.finish(ctx, t, open)
	return ended && (len(open) > 0 || err != nil), err
}

// finish ends a transaction in the partitions in which it hangs.
func (m *mender) finish(ctx context.Context, t kadm.DescribedTransaction, open openTxn) (ended bool, err error) {
	commit, ok := decided(t)
	if !ok {
		m.log.Warn("a transaction hangs and its coordinator does not know any more how it ended; end it as docs/operations.md says",
			"transactional_id", t.TxnID, "producer_id", t.ProducerID, "state", t.State, "where", open.String())
		return false, nil
	}
	if t.State == stateOngoing { // a mender died in it
		return true, m.end(ctx, t)
	}
	taken, err := m.takeOver(ctx, t, commit)
	if err != nil {
		return false, err
	}
	if taken.ProducerID != t.ProducerID {
		m.log.Warn("a transaction hangs and its coordinator has given its id to another producer; end it as docs/operations.md says",
			"transactional_id", t.TxnID, "producer_id", t.ProducerID, "where", open.String())
		return false, nil
	}
	if err := m.add(ctx, taken, open); err != nil {
		return false, err
	}
	if err := m.end(ctx, taken); err != nil {
		return false, err
	}
	if len(open) > 0 {
		m.log.Warn("ended a transaction that a broker had left hanging",
			"transactional_id", t.TxnID, "committed", commit, "where", open.String())
		m.metrics.hanging.WithLabelValues(outcomeOf(commit)).Inc()
	}
	return true, nil
}

func outcomeOf(commit bool) string {
	if commit {
		return "committed"
	}
	return "aborted"
}

// takeOver fences whoever has the id, and notes the decision with it. A
// transaction in progress is aborted.
func (m *mender) takeOver(ctx context.Context, t kadm.DescribedTransaction, commit bool) (kadm.DescribedTransaction, error) {
	note := int32(noteAbort)
	if commit {
		note = noteCommit
	}
	timeout := int32(mendTimeout.Milliseconds()) + note
	err := m.retry(ctx, "taking over", t.TxnID, func() error {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.TransactionalID, req.TransactionTimeoutMillis = &t.TxnID, timeout
		resp, err := req.RequestWith(ctx, m.client)
		if err != nil {
			return err
		}
		err = kerr.ErrorForCode(resp.ErrorCode)
		if errors.Is(err, kerr.InvalidTransactionTimeout) {
			// Brokers allow less than by default, but what we ask for usually.
			timeout = int32(m.cfg.TransactionTimeout.Truncate(time.Second).Milliseconds()) - 1000 + note
		}
		t.ProducerID, t.ProducerEpoch, t.TimeoutMillis = resp.ProducerID, resp.ProducerEpoch, timeout
		return err
	})
	return t, err
}

// add makes the partitions part of a transaction without records.
func (m *mender) add(ctx context.Context, t kadm.DescribedTransaction, open openTxn) error {
	outputs := open.topics()
	delete(outputs, offsetsTopic)
	if len(outputs) > 0 {
		err := m.retry(ctx, "adding partitions to", t.TxnID, func() error {
			req := kmsg.NewPtrAddPartitionsToTxnRequest()
			req.TransactionalID, req.ProducerID, req.ProducerEpoch = t.TxnID, t.ProducerID, t.ProducerEpoch
			for _, topic := range outputs.IntoList() {
				one := kmsg.NewAddPartitionsToTxnRequestTopic()
				one.Topic, one.Partitions = topic.Topic, topic.Partitions
				req.Topics = append(req.Topics, one)
			}
			resp, err := req.RequestWith(ctx, m.client)
			if err != nil {
				return err
			}
			for _, topic := range resp.Topics {
				for _, p := range topic.Partitions {
					if err := kerr.ErrorForCode(p.ErrorCode); err != nil && !errors.Is(err, kerr.OperationNotAttempted) {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if m.group == "" {
		return nil
	}
	return m.retry(ctx, "adding offsets to", t.TxnID, func() error {
		req := kmsg.NewPtrAddOffsetsToTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = t.TxnID, t.ProducerID, t.ProducerEpoch, m.group
		resp, err := req.RequestWith(ctx, m.client)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(resp.ErrorCode)
	})
}

// end ends a mender's transaction as noted, and waits until that is done.
func (m *mender) end(ctx context.Context, t kadm.DescribedTransaction) error {
	commit, _ := decided(t)
	err := m.retry(ctx, "ending", t.TxnID, func() error {
		req := kmsg.NewPtrEndTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = t.TxnID, t.ProducerID, t.ProducerEpoch, commit
		resp, err := req.RequestWith(ctx, m.client)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(resp.ErrorCode)
	})
	if err != nil {
		return err
	}
	_, _, err = m.settled(ctx, t.TxnID)
	return err
}

// retry repeats what brokers ask to repeat, until ctx ends.
func (m *mender) retry(ctx context.Context, doing, id string, try func() error) error {
	for fails := 1; ; fails++ {
		err := try()
		var code *kerr.Error
		again := errors.As(err, &code) && (code.Retriable || errors.Is(err, kerr.ConcurrentTransactions)) ||
			errors.Is(err, kerr.InvalidTransactionTimeout) && fails == 1
		if err == nil {
			return nil
		}
		if !again || !pause(ctx, backoff(fails, 5*time.Millisecond, 200*time.Millisecond)) {
			return fmt.Errorf("%s transactional id %q: %w", doing, id, known(err))
		}
	}
}
