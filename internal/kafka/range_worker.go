package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
)

// rangeWorker writes one partition for the time of one assignment.
type rangeWorker struct {
	*assignment
	open     stream.OpenRange
	reread   func(ctx context.Context, tp stream.TopicPartition, first, last int64) ([]stream.Record, error)
	flush    Flush
	interval func() time.Duration
	commit   func(ctx context.Context, next int64, metadata string) error

	committed int64     // everything below is committed
	flushed   time.Time // when the last write or idle commit was
}

func (w *rangeWorker) run(ctx context.Context) {
	sink := w.claim(ctx)
	if sink == nil {
		return
	}
	defer func() {
		if err := sink.Close(); err != nil {
			w.member.log.Warn("closing a partition's sink failed", "topic", w.Topic, "partition", w.Partition, "err", err)
		}
	}()
	for {
		switch w.await() {
		case dueNothing:
			return
		case dueIdle:
			if !w.settle(ctx, w.queue.pending().next) {
				return
			}
			w.flushed = time.Now()
		case dueWrite:
			records, next := w.queue.take(w.flush.Rows, w.flush.Bytes)
			if !w.write(ctx, sink, records) || !w.settle(ctx, next) {
				return
			}
			w.queue.release()
			w.flushed = time.Now()
			w.wrote.Store(w.flushed.UnixNano())
		}
		w.measure(nil)
	}
}

// claim opens the sink, for as long as it takes; nil when the assignment ended
// first.
func (w *rangeWorker) claim(ctx context.Context) stream.RangeSink {
	claim := stream.Claim{
		TopicPartition: w.TopicPartition, TopicID: w.at.id,
		Committed: w.at.offset, Metadata: w.at.metadata,
		Reread: func(ctx context.Context, first, last int64) ([]stream.Record, error) {
			return w.reread(ctx, w.TopicPartition, first, last)
		},
	}
	for fails := 1; ; fails++ {
		sink, err := w.open(ctx, claim)
		if err == nil {
			return sink
		}
		if ctx.Err() != nil {
			return nil
		}
		w.failed("open", "opening a partition's sink failed; trying again", err)
		if !w.rest(backoff(fails, 100*time.Millisecond, 10*time.Second)) {
			return nil
		}
	}
}

// due is what a worker has to do next.
type due uint8

const (
	dueNothing due = iota // the assignment ends
	dueWrite              // a range is full, or old enough
	dueIdle               // nothing waits, but the position moved over markers
)

// await returns when there is something to do.
func (w *rangeWorker) await() due {
	for {
		if w.ending() {
			return dueNothing
		}
		held, changed := closed(w.member.gate)
		p := w.queue.pending()
		w.measure(&p) // first: next counts this partition too
		what, at := w.next(p)
		if held {
			what = dueNothing
		}
		wait := time.Until(at)
		if what != dueNothing && wait <= 0 {
			return what
		}
		var timer *time.Timer
		var fired <-chan time.Time
		if what != dueNothing {
			timer = time.NewTimer(wait)
			fired = timer.C
		}
		select {
		case <-fired:
		case <-w.queue.wake:
		case <-changed:
		case <-w.stopping:
		case <-w.ctx.Done():
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// next says what is due and when. A range is full at Rows or Bytes, or when the
// process has no memory for more. After a quiet interval a record waits only for
// Linger; otherwise writes keep the interval apart.
func (w *rangeWorker) next(p pending) (due, time.Time) {
	switch {
	case p.records >= w.flush.Rows || p.bytes >= w.flush.Bytes || p.full && p.records > 0:
		return dueWrite, time.Time{}
	case p.records > 0:
		return dueWrite, later(p.since.Add(w.flush.Linger), w.flushed.Add(w.interval()))
	case p.next > w.committed:
		return dueIdle, w.flushed.Add(w.interval())
	}
	return dueNothing, time.Time{}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// write hands the batch to the sink until it is durable; false when the
// assignment ended first. The batch is the same each time: its outcome is
// unknown until a write succeeds.
func (w *rangeWorker) write(ctx context.Context, sink stream.RangeSink, records []stream.Record) bool {
	batch := stream.Batch{Topic: w.Topic, TopicID: w.at.id, Partition: w.Partition, Records: records}
	intend := func(ctx context.Context, metadata string) error {
		if len(metadata) > maxMetadata {
			return fmt.Errorf("the intent has %d bytes, at most %d can be committed with an offset", len(metadata), maxMetadata)
		}
		return w.commit(ctx, records[0].Offset, metadata)
	}
	w.progress.holds(len(records), records[0].Timestamp)
	started := time.Now()
	for fails := 1; ; fails++ {
		err := sink.Write(ctx, batch, intend)
		if err == nil {
			w.member.metrics.took.WithLabelValues(w.member.group, w.Topic).Observe(time.Since(started).Seconds())
			w.member.metrics.batches.WithLabelValues(w.member.group, w.Topic).Inc()
			w.member.metrics.records.WithLabelValues(w.member.group, w.Topic).Add(float64(len(records)))
			return true
		}
		if ctx.Err() != nil || errors.Is(err, errGone) {
			return false
		}
		w.failed("write", "writing a range failed; trying again", err,
			"first", records[0].Offset, "last", records[len(records)-1].Offset)
		if !w.rest(backoff(fails, 100*time.Millisecond, 10*time.Second)) {
			return false
		}
	}
}

// settle commits next. It is the one place where a sink's offsets move, and it
// comes after the write that made everything below durable (I1).
func (w *rangeWorker) settle(ctx context.Context, next int64) bool {
	ctx, cancel := overtime(ctx)
	defer cancel()
	if err := w.commit(ctx, next, ""); err != nil {
		return false // logged by commit; the range comes again, to its next owner
	}
	w.committed = next
	return true
}

func (w *rangeWorker) failed(step, text string, err error, args ...any) {
	w.member.metrics.retries.WithLabelValues(w.member.group, w.Topic, step).Inc()
	w.member.log.Warn(text, append([]any{"topic", w.Topic, "partition", w.Partition, "err", err}, args...)...) //nolint:sloglint // the callers' texts are constants
}

func (w *rangeWorker) measure(p *pending) {
	if p == nil {
		q := w.queue.pending()
		p = &q
	}
	w.progress.holds(p.records, p.oldest)
}
