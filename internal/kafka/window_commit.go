package kafka

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/stream"
)

// offer returns what may be handed to the settler, and where; nil when there is
// nothing to publish, or the last of it is still under way.
func (w *windowWorker) offer() (chan<- *settlement, *settlement) {
	if w.settling != nil {
		return nil, nil
	}
	if w.offered == nil {
		w.offered = w.compose()
	}
	if len(w.offered.records) == 0 {
		return nil, nil
	}
	return w.settler.handed, w.offered
}

// compose makes a settlement of what is finished, the oldest first.
func (w *windowWorker) compose() *settlement {
	s := &settlement{assignment: w.assignment, done: make(chan error, 1)}
	included := make(map[*request]bool)
	for _, r := range w.window {
		if r.state != finished {
			continue
		}
		if len(s.requests) > 0 && s.bytes+r.bytes > settleBytes {
			break
		}
		s.requests = append(s.requests, r)
		s.records = append(s.records, r.out.Records...)
		s.bytes += r.bytes
		included[r] = true
	}
	covers := func(r *request) bool { return r.state == done || included[r] }
	s.next = w.position(covers)
	s.noted = encodeFinished(w.at.id, s.next, w.covered(covers))
	return s
}

// position is the lowest offset that is not covered.
func (w *windowWorker) position(covers func(*request) bool) int64 {
	for _, r := range w.window {
		if !covers(r) {
			return r.record.Offset
		}
	}
	if p := w.queue.pending(); p.records == 0 {
		return p.next // over the markers behind the last record
	}
	return w.next
}

// covered yields the offsets that need not be done again: those of the window, and
// those that an owner before noted and that have not come yet.
func (w *windowWorker) covered(covers func(*request) bool) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for _, r := range w.window {
			if covers(r) && !yield(r.record.Offset) {
				return
			}
		}
		for offset := range w.before {
			if !yield(offset) {
				return
			}
		}
	}
}

// settled is where the settlement under way is answered.
func (w *windowWorker) settled() <-chan error {
	if w.settling == nil {
		return nil
	}
	return w.settling.done
}

// conclude ends the settlement under way. One that was not committed is made
// again, perhaps with more in it: its results are kept until they are.
func (w *windowWorker) conclude(err error) {
	s := w.settling
	w.settling, w.offered = nil, nil
	if err != nil {
		return
	}
	w.close(s)
	w.committed, w.noted = s.next, s.noted
	w.progress.settle(s.next)
}

// close marks the requests of a committed settlement as done, tells their handler
// and lets go of their results.
func (w *windowWorker) close(s *settlement) {
	for _, r := range s.requests {
		r.state = done
		if r.out.Committed != nil {
			r.out.Committed()
		}
		w.member.metrics.records.WithLabelValues(w.member.group, w.Topic).Inc()
		w.member.metrics.took.WithLabelValues(w.member.group, w.Topic).Observe(time.Since(r.begun).Seconds())
		w.drop(r)
	}
	w.shift()
}

// drop lets go of what a finished request brought, and of its slot.
func (w *windowWorker) drop(r *request) {
	w.settler.held.Add(-int64(r.bytes))
	r.out = stream.Result{}
	<-w.slots
}

// skip commits the position by itself when nothing is to be published with it:
// over requests that brought nothing, and, since that is all an idle partition
// has, over transaction markers once a second, so that its lag reads 0.
func (w *windowWorker) skip(ctx context.Context) {
	if w.settling != nil {
		return
	}
	s := w.compose() // anew: the position behind the last record moves by itself
	if len(s.records) > 0 || s.next < w.committed || s.next == w.committed && s.noted == w.noted {
		return
	}
	if len(s.requests) == 0 && !w.ending() && time.Since(w.skipped) < markersEvery {
		return
	}
	w.skipped = time.Now()
	if err := w.commit(ctx, s.next, s.noted); err != nil {
		return // logged by commit; the records come again, to the next owner
	}
	w.close(s)
	w.committed, w.noted = s.next, s.noted
}

// drain lets what is in flight finish until ctx ends, and commits it. Results that
// are not committed by then are dropped: the next owner has the position and the
// note beside it, and asks again.
func (w *windowWorker) drain(ctx context.Context) {
	if err := w.member.cfg.Failpoints.Hit(failpoint.PollerRevoked); err != nil {
		w.member.log.Warn("a partition is given up", "topic", w.Topic, "partition", w.Partition, "err", err)
	}
	last, cancel := overtime(ctx)
	defer cancel()
	for {
		var offer chan<- *settlement
		var s *settlement
		var over <-chan struct{}
		if last.Err() == nil {
			offer, s = w.offer()
			over = last.Done()
		}
		if w.flying == 0 && (last.Err() != nil || offer == nil && w.settling == nil) {
			break
		}
		select {
		case r := <-w.finished:
			w.finish(r)
		case offer <- s:
			w.settling = s
		case err := <-w.settled():
			w.conclude(err)
			if errors.Is(err, errGone) {
				cancel()
			}
		case <-over:
		}
	}
	if last.Err() == nil {
		w.skip(last)
	}
	for _, r := range w.window {
		if r.state == finished {
			w.drop(r)
		}
	}
}
