package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/stream"
)

// rangeWorker writes one partition for the time of one assignment.
type rangeWorker struct {
	*assignment
	open     stream.OpenRange
	reread   stream.Reread
	flush    Flush
	interval func() time.Duration
	pace     func() time.Time     // takes a turn of a write that is not full and says when it is; nil: at once
	openTurn func() (done func()) // waits for the turn of an open; nil: at once
	commit   func(ctx context.Context, next int64, metadata string) error
	points   *failpoint.Set
	// stopped is told when the partition is quarantined; nil: nobody.
	stopped func(error)

	moved     bool      // a range was written and committed: the partition is seen to move again
	committed int64     // everything below is committed
	durable   int64     // everything below is durable: the next commit settles it
	noted     string    // what the sink has committed beside committed
	flushed   time.Time // when the last write that was not full, or the last idle commit, was
	filled    time.Time // when the last full write was
	turnAt    time.Time // when the next write that is not full has its turn, which was taken; zero: none was
	canGather bool      // the sink is a stream.Gatherer
	gathered  gathered  // what the sink took and has not written
	plain     int       // how many ranges are not to be gathered
	backlog   *backlog  // nil: the client fetches everything
}

func (w *rangeWorker) run(ctx context.Context) {
	w.member.metrics.quarantined.WithLabelValues(w.labels()...).Set(0)
	defer w.member.metrics.quarantined.DeleteLabelValues(w.labels()...)
	sink := w.claim(ctx)
	if sink == nil {
		return
	}
	defer func() {
		if err := sink.Close(); err != nil {
			w.member.log.Warn("closing a partition's sink failed", "topic", w.Topic, "partition", w.Partition, "err", err)
		}
	}()
	for w.turn(ctx, sink) {
		w.measure(nil)
	}
	if w.durable > w.committed {
		w.settle(ctx, w.durable) // whoever comes next has nothing to read again
	}
}

// turn does what is due next, and reports whether to go on.
func (w *rangeWorker) turn(ctx context.Context, sink stream.RangeSink) bool {
	switch w.await() {
	case dueNothing:
		w.hit(failpoint.RangeRevoked)
		return false
	case dueIdle:
		// To the first record that has come since, should one have: only what
		// is before it is durable or a marker (I1).
		if !w.hit(failpoint.RangeIdleCommit) || !w.settle(ctx, w.pending().first) {
			return false
		}
		w.flushed = time.Now()
	case dueGather:
		w.gather(ctx, sink.(stream.Gatherer))
	case dueWrite:
		return w.writeDue(ctx, sink)
	}
	return true
}

// writeDue writes the range that is due, and reports whether to go on.
func (w *rangeWorker) writeDue(ctx context.Context, sink stream.RangeSink) bool {
	full := w.full(w.pending())
	if !full && w.pace != nil && w.turnAt.IsZero() {
		if w.turnAt = w.pace(); time.Until(w.turnAt) > 0 {
			return true
		}
	}
	var c cut
	if w.gathered.records > 0 {
		c = w.cutGathered(ctx, sink.(stream.Gatherer))
	} else {
		c = w.cutQueue(sink)
	}
	intended, ok := w.write(ctx, c)
	if !ok {
		return false
	}
	w.durable = c.next
	if !w.hit(failpoint.RangeSettled) || (!intended || !w.moved) && !w.settle(ctx, c.next) {
		return false
	}
	w.moved = true
	c.done()
	w.queue.release()
	now := time.Now()
	if w.filled = now; !full {
		w.filled, w.flushed, w.turnAt = time.Time{}, now, time.Time{}
	}
	w.wrote.Store(now.UnixNano())
	return true
}

// cut is a range on its way into the sink.
type cut struct {
	first, last int64 // offsets of its records
	next        int64 // the position behind it
	records     int
	oldest      time.Time // timestamp of its first record
	write       func(ctx context.Context, intend stream.Intend) error
	done        func() // it is durable
}

// cutQueue cuts a range of the records that wait.
func (w *rangeWorker) cutQueue(sink stream.RangeSink) cut {
	records, next := w.queue.take(w.flush.Rows, w.flush.Bytes)
	return cut{
		first: records[0].Offset, last: records[len(records)-1].Offset, next: next,
		records: len(records), oldest: records[0].Timestamp,
		write: func(ctx context.Context, intend stream.Intend) error {
			return sink.Write(ctx, w.batch(records), intend)
		},
		done: func() {
			w.plain = max(0, w.plain-1)
			w.queue.recycle(records)
			w.backlog.free(w.queue)
		},
	}
}

func (w *rangeWorker) batch(records []stream.Record) stream.Batch {
	return stream.Batch{Topic: w.Topic, TopicID: w.at.id, Partition: w.Partition, Records: records}
}

// hit passes a failpoint and reports whether to go on; an injected error ends the
// membership, as a fenced commit does.
func (w *rangeWorker) hit(p failpoint.Point) bool {
	err := w.points.Hit(p)
	if err != nil {
		w.member.end(err)
	}
	return err == nil
}

// claim opens the sink, for as long as it takes; nil when the assignment ended
// first.
func (w *rangeWorker) claim(ctx context.Context) stream.RangeSink {
	claim := stream.Claim{
		TopicPartition: w.TopicPartition, TopicID: w.at.id,
		Committed: w.at.offset, Metadata: w.at.metadata,
		Reread: w.reread,
	}
	claim.Intend = func(ctx context.Context, first int64, metadata string) error {
		if err := w.intend(ctx, math.MaxInt64, first, metadata); err != nil {
			return err
		}
		claim.Committed, claim.Metadata = first, metadata // a try that fails goes on from there
		return nil
	}
	w.noted, w.durable = w.at.metadata, w.at.offset
	if !w.hit(failpoint.RangeAssigned) {
		return nil
	}
	if w.at.err != nil {
		w.quarantine(ctx, w.at.err)
		return nil
	}
	for fails := 1; ; fails++ {
		sink, err := w.opened(ctx, claim)
		if err == nil {
			_, w.canGather = sink.(stream.Gatherer)
			return sink
		}
		if ctx.Err() != nil || errors.Is(err, errGone) || w.quarantined(ctx, err) {
			return nil
		}
		w.failed("open", "opening a partition's sink failed; trying again", err)
		if !w.rest(backoff(fails, 100*time.Millisecond, 10*time.Second)) {
			return nil
		}
	}
}

func (w *rangeWorker) opened(ctx context.Context, claim stream.Claim) (stream.RangeSink, error) {
	if w.openTurn != nil {
		defer w.openTurn()()
	}
	return w.open(ctx, claim)
}

// write hands the range to the sink until it is durable; ok is false when the
// assignment ended first. The range is the same each time: its outcome is
// unknown until a write succeeds. intended says that the next commit may settle
// it; the first of an assignment is settled at once, for those who look how long a
// partition stood still.
func (w *rangeWorker) write(ctx context.Context, c cut) (intended, ok bool) {
	intend := func(ctx context.Context, first int64, metadata string) error {
		if err := w.intend(ctx, c.last, first, metadata); err != nil {
			return err
		}
		intended = true
		return nil
	}
	if !w.hit(failpoint.RangeCut) {
		return false, false
	}
	w.progress.holds(c.records, c.oldest)
	started := time.Now()
	for fails := 1; ; fails++ {
		err := c.write(ctx, intend)
		if err == nil {
			w.member.metrics.took.WithLabelValues(w.member.group, w.Topic).Observe(time.Since(started).Seconds())
			w.member.metrics.batches.WithLabelValues(w.member.group, w.Topic).Inc()
			w.member.metrics.records.WithLabelValues(w.member.group, w.Topic).Add(float64(c.records))
			return intended, true
		}
		if ctx.Err() != nil || errors.Is(err, errGone) || w.quarantined(ctx, err) {
			return intended, false
		}
		w.failed("write", "writing a range failed; trying again", err, "first", c.first, "last", c.last)
		if !w.rest(backoff(fails, 100*time.Millisecond, 10*time.Second)) {
			return intended, false
		}
	}
}

// intend commits first with what the sink notes about the range from there to
// last, at most. Everything below is durable: the batches before, or what of this
// one the sink found to be there (I1).
func (w *rangeWorker) intend(ctx context.Context, last, first int64, metadata string) error {
	if len(metadata) > maxMetadata {
		return fmt.Errorf("the intent has %d bytes, at most %d can be committed with an offset", len(metadata), maxMetadata)
	}
	if first < w.committed || first > last {
		return fmt.Errorf("an intent at offset %d: the position is %d and the batch ends at %d", first, w.committed, last)
	}
	if !w.hit(failpoint.RangeIntent) {
		return errGone
	}
	if err := w.commit(ctx, first, note{id: w.at.id, sink: metadata}.String()); err != nil {
		return err
	}
	w.committed, w.noted = first, metadata
	if !w.hit(failpoint.RangeIntended) {
		return errGone
	}
	return nil
}

// settle commits next plainly. It and intend are the two places where a sink's
// offsets move, and it comes after the write that made everything below durable
// (I1).
func (w *rangeWorker) settle(ctx context.Context, next int64) bool {
	ctx, cancel := overtime(ctx)
	defer cancel()
	if err := w.commit(ctx, next, note{id: w.at.id}.String()); err != nil {
		return false // logged by commit; the range comes again, to its next owner
	}
	w.committed, w.durable, w.noted = next, next, ""
	return true
}

func (w *rangeWorker) failed(step, text string, err error, args ...any) {
	w.member.metrics.retries.WithLabelValues(w.member.group, w.Topic, step).Inc()
	w.member.log.Warn(text, append([]any{"topic", w.Topic, "partition", w.Partition, "err", err}, args...)...) //nolint:sloglint // the callers' texts are constants
}

func (w *rangeWorker) measure(p *pending) {
	if p == nil {
		q := w.pending()
		p = &q
	}
	w.progress.holds(p.records, p.oldest)
}
