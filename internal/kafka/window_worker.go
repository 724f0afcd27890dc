package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
)

// windowWorker serves one partition for the time of one assignment. Only run
// touches its fields; requests report back through finished.
type windowWorker struct {
	*assignment
	span      int           // see Window.span
	every     time.Duration // see Window.every
	handle    stream.WindowHandler
	publisher stream.Publisher
	slots     chan struct{} // of the process: one for each record worked on
	finished  chan *request
	commit    func(ctx context.Context, next int64, metadata string) error

	window    []*request // begun, in offset order; the first is unfinished
	next      int64      // the position behind the window
	committed int64
	noted     string             // what was committed beside it
	before    map[int64]struct{} // finished by an owner before
	inFlight  sync.WaitGroup
}

// request is one record being worked on.
type request struct {
	record stream.Record
	done   bool
}

func (w *windowWorker) run(ctx context.Context) {
	w.next, w.noted = w.committed, w.at.metadata
	var err error
	if w.before, err = decodeFinished(w.at.id, w.at.metadata); err != nil {
		w.member.log.Warn("finished requests may be repeated", "topic", w.Topic, "partition", w.Partition, "err", err)
	}
	ticker := time.NewTicker(w.every)
	defer ticker.Stop()
	working, stop := context.WithCancel(ctx) // of the handlers: ends when the drain begins
	defer stop()
	for !w.ending() {
		// A slot is only asked for while there is a record for it.
		held, changed := closed(w.member.gate)
		var slot chan<- struct{}
		if !held && w.queue.pending().records > 0 && len(w.window) < w.span {
			slot = w.slots
		}
		w.measure()
		select {
		case slot <- struct{}{}:
			w.begin(ctx, working)
		case r := <-w.finished:
			w.complete(r)
		case <-w.queue.wake:
		case <-changed:
		case <-ticker.C:
			w.settle(ctx)
		case <-w.stopping:
		case <-ctx.Done():
		}
	}
	stop()
	w.drain(ctx)
}

// begin works on the next record in a goroutine; it has a slot already.
func (w *windowWorker) begin(ctx, working context.Context) {
	records, next := w.queue.take(1, 0)
	w.queue.release() // from here on Span and InFlight are the bounds
	w.next = next
	r := &request{record: records[0]}
	w.window = append(w.window, r)
	if _, done := w.before[r.record.Offset]; done {
		delete(w.before, r.record.Offset)
		<-w.slots
		w.finish(r)
		return
	}
	w.inFlight.Go(func() {
		if w.serve(ctx, working, r) {
			w.finished <- r // received by run, and after it by drain until all are back
		}
	})
}

// serve handles one record, told by working when to come to an end, and
// publishes what it brought, for as long as ctx lasts; false when the record is
// left to the next owner. It gives the slot back while it waits
// to try again, so that records that fail do not keep out those that would not.
func (w *windowWorker) serve(ctx, working context.Context, r *request) bool {
	started := time.Now()
	var out []stream.Record
	handled := false
	for fails := 1; ; fails++ {
		var err error
		step := "handle"
		if !handled {
			out, err = w.handle(working, r.record)
			handled = err == nil
		}
		if handled {
			step = "publish"
			err = w.publisher.Publish(ctx, out...)
		}
		<-w.slots
		if err == nil {
			w.member.metrics.took.WithLabelValues(w.member.group, w.Topic).Observe(time.Since(started).Seconds())
			return true
		}
		trying := ctx
		if !handled {
			trying = working
		}
		if trying.Err() != nil {
			return false
		}
		w.member.metrics.retries.WithLabelValues(w.member.group, w.Topic, step).Inc()
		w.member.log.Warn("working on a record failed; trying again", "step", step,
			"topic", w.Topic, "partition", w.Partition, "offset", r.record.Offset, "err", err)
		if !pause(trying, backoff(fails, 100*time.Millisecond, 10*time.Second)) {
			return false
		}
		select {
		case w.slots <- struct{}{}:
		case <-trying.Done():
			return false
		}
	}
}

// complete finishes a record whose results are acknowledged.
func (w *windowWorker) complete(r *request) {
	w.member.metrics.records.WithLabelValues(w.member.group, w.Topic).Inc()
	w.finish(r)
}

// finish marks a record and moves the window over what is finished at its start.
func (w *windowWorker) finish(r *request) {
	r.done = true
	for len(w.window) > 0 && w.window[0].done {
		w.window = w.window[1:]
	}
}

// settle commits the lowest unfinished offset, and what is finished above it, if
// either has changed: everything below is published and acknowledged (I1).
func (w *windowWorker) settle(ctx context.Context) {
	next := w.next
	if len(w.window) > 0 {
		next = w.window[0].record.Offset
	} else if p := w.queue.pending(); p.records == 0 {
		next = p.next // over the markers behind the last record
	}
	noted := encodeFinished(w.at.id, next, w.window)
	if next < w.committed || next == w.committed && noted == w.noted {
		return
	}
	if err := w.commit(ctx, next, noted); err != nil {
		return // logged by commit; the records come again, to the next owner
	}
	w.committed, w.noted = next, noted
}

// drain lets what is in flight finish until ctx ends, and commits the rest of
// it. Results that are not acknowledged by then are dropped uncommitted.
func (w *windowWorker) drain(ctx context.Context) {
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		w.inFlight.Wait()
	}()
	for waiting := true; waiting; {
		select {
		case r := <-w.finished:
			w.complete(r)
		case <-idle:
			waiting = false
		}
	}
	last, cancel := overtime(ctx)
	defer cancel()
	w.settle(last)
}

func (w *windowWorker) measure() {
	p := w.queue.pending()
	n, oldest := p.records+len(w.window), p.oldest
	if len(w.window) > 0 {
		oldest = w.window[0].record.Timestamp
	}
	w.progress.holds(n, oldest)
}
