package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// settleBytes bounds what one transaction carries, but for one request that
	// brought more by itself.
	settleBytes = 16 << 20
	// finishedBytes is from how many bytes of results on, held because they are
	// not committed, nothing new is begun (I8).
	finishedBytes = 64 << 20
)

// settlement is what finished requests of one partition brought, and the position
// that covers them: both are committed, or neither.
type settlement struct {
	*assignment
	requests []*request
	records  []stream.Record
	bytes    int
	next     int64
	noted    string
	// done receives, once, nil or why it is not committed: errGone when it cannot
	// be any more. Written by the settler alone, like refused.
	done    chan error
	refused error
}

// settler ends the finished requests of every partition of a Window, a few
// partitions' at a time, in one transaction after another. Its run alone uses txn.
type settler struct {
	membership
	id string
	// outputs are Window.Outputs.
	outputs []string
	every   time.Duration
	handed  chan *settlement
	held    atomic.Int64 // bytes of results that are not committed

	txn        *Txn // nil: the id is to be taken over first
	clientCtx  context.Context
	stopClient context.CancelFunc
}

func newSettler(w Window, m membership) *settler {
	return &settler{membership: m, id: w.TransactionalID, outputs: w.Outputs, every: w.CommitInterval, handed: make(chan *settlement)}
}

// run serves the workers until ctx ends, and not much longer, whatever the brokers
// do.
func (s *settler) run(ctx context.Context) {
	s.clientCtx, s.stopClient = context.WithCancel(context.WithoutCancel(ctx))
	defer s.stopClient()
	defer context.AfterFunc(ctx, func() {
		t := time.AfterFunc(leaveTimeout, s.stopClient)
		context.AfterFunc(s.clientCtx, func() { t.Stop() })
	})()
	defer s.giveUp()
	// A predecessor's open transaction would hold up the claim of its partitions.
	for fails := 1; s.open(ctx) != nil; fails++ {
		if !pause(ctx, backoff(fails, 100*time.Millisecond, 5*time.Second)) {
			return
		}
	}
	fails := 0
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-s.handed:
			began := time.Now()
			wait := s.every
			if err := s.settle(ctx, s.gather(first)); err != nil {
				fails++
				wait = max(wait, backoff(fails, 20*time.Millisecond, 2*time.Second))
			} else {
				fails = 0
			}
			if !pause(ctx, wait-time.Since(began)) {
				return
			}
		}
	}
}

// gather returns what is ready to be committed with first.
func (s *settler) gather(first *settlement) []*settlement {
	batch, bytes := []*settlement{first}, first.bytes
	for bytes < settleBytes {
		select {
		case next := <-s.handed:
			batch, bytes = append(batch, next), bytes+next.bytes
		default:
			return batch
		}
	}
	return batch
}

// open takes over the transactional id, should it not be ours.
func (s *settler) open(ctx context.Context) error {
	if s.txn != nil {
		return nil
	}
	points := TxnPoints{Produced: failpoint.PollerProduced, Offsets: failpoint.PollerOffsetsAdded, Committed: failpoint.PollerCommitted}
	txn, err := NewTxn(s.cfg, s.id, WithTxnPoints(points), func(o *txnOptions) {
		// zstd: what goes through here is mostly answers of APIs, which shrink to
		// a tenth, and the broker would recompress responses.v1 otherwise.
		o.compression = kgo.ZstdCompression()
		o.ctx = s.clientCtx
		o.outputs, o.group, o.topics = s.outputs, s.group, s.topics
	})
	if err == nil {
		if err = txn.Open(ctx); err != nil {
			txn.Close()
		}
	}
	if err != nil {
		if ctx.Err() == nil {
			s.log.Warn("taking over a transactional id failed; trying again", "transactional_id", s.id, "err", err)
		}
		return err
	}
	s.txn = txn
	return nil
}

// giveUp lets go of the transactional id. Taking it over again ends what may have
// been left open.
func (s *settler) giveUp() {
	if s.txn != nil {
		s.txn.Close()
		s.txn = nil
	}
}

// settle is one transaction: results and positions, all or nothing (I1).
func (s *settler) settle(ctx context.Context, batch []*settlement) error {
	err := s.open(ctx)
	if err == nil {
		err = s.transact(ctx, batch)
	}
	for _, b := range batch {
		b.done <- errors.Join(err, b.refused)
	}
	switch {
	case err == nil:
		s.metrics.commits.WithLabelValues(s.group).Inc()
	case ctx.Err() == nil:
		s.metrics.retries.WithLabelValues(s.group, batch[0].Topic, "publish").Inc()
		s.log.Warn("publishing results with their positions failed; trying again", "transactional_id", s.id, "err", err)
	}
	return err
}

func (s *settler) transact(ctx context.Context, batch []*settlement) error {
	var records []stream.Record
	for _, b := range batch {
		records = append(records, b.records...)
	}
	filling, cancel := context.WithTimeout(ctx, s.cfg.TransactionTimeout)
	defer cancel()
	added := false
	err := s.txn.publish(filling, records, func(ctx context.Context, as producerEpoch) error {
		err := s.add(ctx, as, batch)
		added = err == nil
		return err
	})
	if err == nil {
		return nil
	}
	s.metrics.aborts.WithLabelValues(s.group, abortReason(err)).Inc()
	if !s.txn.sound() {
		s.giveUp()
	}
	if !added {
		return err
	}
	// The end may have been heard.
	s.giveUp()
	return s.readBack(ctx, batch, err)
}

func abortReason(err error) string {
	switch {
	case errors.Is(err, errGone):
		return "revoked"
	case errors.Is(err, ErrFenced):
		return "fenced"
	case errors.Is(err, ErrOutcomeUnknown):
		return "end"
	}
	return "publish"
}

// add commits the positions within the open transaction. While it does no
// partition of them can end, and one that has ended is refused: the generation
// fences members, not workers.
func (s *settler) add(ctx context.Context, as producerEpoch, batch []*settlement) error {
	m := batch[0].member
	id, generation := m.client.GroupMetadata()
	positions := make([]position, 0, len(batch))
	for _, b := range batch {
		b.settle.Lock()
		defer b.settle.Unlock()
		switch {
		case b.gone || b.member != m:
			b.refused = errGone
			return fmt.Errorf("%s/%d was given up meanwhile", b.Topic, b.Partition)
		case b.memberID != id:
			// Forgotten and taken in anew: see member.onAssigned.
			err := fmt.Errorf("committing as another member than claimed %s/%d: %w", b.Topic, b.Partition, errFenced)
			m.end(err)
			return errors.Join(errGone, err)
		}
		positions = append(positions, position{b.TopicPartition, b.at.id, b.next, b.noted})
	}
	err := s.txn.addOffsets(ctx, as, membershipOf{s.group, id, generation}, positions)
	if errors.Is(err, errFenced) {
		if slices.ContainsFunc(batch, func(b *settlement) bool { return !b.ending() }) {
			m.end(err) // every partition of this member may be somebody else's by now
		}
		return errors.Join(errGone, err)
	}
	return err
}

// readBack finds out whether a transaction whose end failed was committed: the
// group's position says so, once nothing is pending for it. Taking over the id
// ends what is.
func (s *settler) readBack(ctx context.Context, batch []*settlement, failed error) error {
	topics := make(map[stream.TopicPartition]stream.TopicID, len(batch))
	for _, b := range batch {
		topics[b.TopicPartition] = b.at.id
	}
	for fails := 1; ; fails++ {
		if !slices.ContainsFunc(batch, func(b *settlement) bool { return b.ctx.Err() == nil }) {
			return errors.Join(failed, errGone) // the next owner reads the position
		}
		err := s.open(ctx)
		if err == nil {
			var commits map[stream.TopicPartition]commit
			if commits, err = stableCommits(ctx, s.txn.client, s.group, topics); err == nil {
				// All of it or nothing; one that was given up meanwhile may be
				// farther by now.
				if slices.ContainsFunc(batch, func(b *settlement) bool {
					return commits[b.TopicPartition] == commit{b.next, b.noted}
				}) {
					return nil
				}
				return failed
			}
			s.giveUp()
		}
		if !pause(ctx, backoff(fails, 20*time.Millisecond, 2*time.Second)) {
			return failed
		}
	}
}
