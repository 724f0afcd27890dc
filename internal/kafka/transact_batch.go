package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/twmb/franz-go/pkg/kerr"
)

// transact is one transaction: handle, publish, commit. All or nothing (I1).
func (s *session) transact(inputs []*input) {
	// A batch may take its share of the rebalance timeout, so that it does not
	// cost the member its partitions.
	ctx, cancel := s.bounded(s.cfg.batchTimeout())
	defer cancel()
	if err := s.txn.Begin(); err != nil {
		s.end(fmt.Errorf("beginning a transaction of %q: %w", s.id, known(err)))
		return
	}
	started := time.Now()
	if reason := s.produce(ctx, inputs); reason != "" {
		s.abort(reason)
		return
	}
	if !publishes(inputs) {
		s.awaitEnded(ctx)
	}
	if !s.commit(inputs) {
		return
	}
	if err := s.cfg.Failpoints.Hit(failpoint.TransactCommitted); err != nil {
		s.end(err) // as if the end's answer had been lost
		return
	}
	s.settled(ctx, inputs, started)
}

// produce makes the outputs of the batches and publishes them. It returns why the
// transaction must be aborted, or nothing.
func (s *session) produce(ctx context.Context, inputs []*input) string {
	points := s.cfg.Failpoints
	if points.Hit(failpoint.TransactPolled) != nil {
		return "handle"
	}
	s.handle(ctx, inputs)
	if points.Hit(failpoint.TransactHandled) != nil {
		return "handle"
	}
	if reason := s.publish(ctx, inputs); reason != "" {
		return reason
	}
	if points.Hit(failpoint.TransactProduced) != nil {
		return "publish"
	}
	return ""
}

// bounded returns a context that ends after d, and no later than DrainTimeout
// after the process was told to end. It does not end with the process: what is
// in hand is finished, and a transaction's end that is cut short leaves its
// outcome unknown.
func (s *session) bounded(d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.serving), d)
	stop := context.AfterFunc(s.serving, func() {
		t := time.AfterFunc(s.cfg.DrainTimeout, cancel)
		context.AfterFunc(ctx, func() { t.Stop() })
	})
	return ctx, func() { stop(); cancel() }
}

// handle hands each partition's batch to its stage, partitions in parallel.
func (s *session) handle(ctx context.Context, inputs []*input) {
	var wg sync.WaitGroup
	for _, in := range inputs {
		if len(in.batch.Records) == 0 {
			continue
		}
		if in.part != nil {
			in.part.mu.Lock()
			in.stage = in.part.stage
			in.part.mu.Unlock()
		}
		if in.stage == nil {
			in.err = errGone // polled before its pause took effect
			continue
		}
		in.part.progress.holds(len(in.batch.Records), in.batch.Records[0].Timestamp)
		wg.Go(func() { in.output, in.err = in.stage.Handle(ctx, in.batch) })
	}
	wg.Wait()
}

// publish hands the outputs to the brokers and waits for them. It returns why
// the transaction must be aborted, or nothing.
func (s *session) publish(ctx context.Context, inputs []*input) string {
	reason := ""
	for _, in := range inputs {
		if in.err == nil {
			continue
		}
		reason = "handle"
		if in.part != nil && !errors.Is(in.err, errGone) {
			s.failed("handle", in.part.TopicPartition, "handling a batch failed; trying again", in.err)
			s.rest(in.part)
		}
	}
	if reason != "" {
		return reason
	}
	for _, in := range inputs {
		in.acks = produce(ctx, s.client, in.output.Records)
	}
	for _, in := range inputs {
		select {
		case <-in.acks.done:
			if err := in.acks.result(); err != nil {
				s.failed("publish", in.part.TopicPartition, "publishing a batch's output failed; trying again", err)
				if errors.Is(err, kerr.UnknownTopicID) {
					// The client stays with the topic it has known. The stages
					// were opened for that one too.
					s.end(fmt.Errorf("publishing to a topic of another id: %w: %w", errRecreated, err))
				}
				s.rest(in.part)
				reason = "publish"
			}
		case <-ctx.Done():
			s.log.Warn("publishing took too long; aborting the transaction", "transactional_id", s.id)
			return "publish"
		}
	}
	return reason
}

// publishes reports whether anything came of the batches.
func publishes(inputs []*input) bool {
	return slices.ContainsFunc(inputs, func(in *input) bool { return len(in.output.Records) > 0 })
}

// rest pauses a partition whose batch failed, so that its retries do not hold
// up the others of its session.
func (s *session) rest(p *part) {
	p.fails++
	p.resume = time.Now().Add(backoff(p.fails, 100*time.Millisecond, 10*time.Second))
	s.pause(p.TopicPartition)
}

// settled tells the stages what of theirs is durable now.
func (s *session) settled(ctx context.Context, inputs []*input, started time.Time) {
	for _, in := range inputs {
		if in.part == nil {
			continue
		}
		in.part.fails = 0
		in.part.progress.settle(in.next)
		in.part.progress.holds(0, time.Time{})
		if len(in.batch.Records) == 0 {
			continue
		}
		s.metrics.batches.WithLabelValues(s.group, in.batch.Topic).Inc()
		s.metrics.records.WithLabelValues(s.group, in.batch.Topic).Add(float64(len(in.batch.Records)))
		s.metrics.took.WithLabelValues(s.group, in.batch.Topic).Observe(time.Since(started).Seconds())
		if in.output.Committed == nil {
			continue
		}
		in.acks.place(in.output.Records)
		if err := in.output.Committed(ctx, in.output.Records); err != nil {
			s.failed("committed", in.part.TopicPartition, "noting a committed batch failed; opening the stage anew", err)
			s.reopen(in.part)
		}
	}
}
