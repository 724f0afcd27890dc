package kafka

import (
	"context"
	"time"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/stream"
)

// windowWorker serves one partition for the time of one assignment. Only run
// touches its fields; requests report back through finished.
type windowWorker struct {
	*assignment
	span     int           // see Window.Span
	every    time.Duration // see Window.CommitInterval
	handle   stream.WindowHandler
	settler  *settler
	slots    chan struct{} // of the process: one for each record worked on, or not committed
	finished chan *request
	commit   func(ctx context.Context, next int64, metadata string) error

	window    []*request // begun, in offset order; the first is not done
	next      int64      // the position behind the window
	committed int64
	noted     string             // what was committed beside it
	before    map[int64]struct{} // finished by an owner before, and not seen yet
	flying    int                // handlers at work
	settling  *settlement        // under way
	skipped   time.Time          // when the position was last looked at by itself
	offered   *settlement        // what offer made; nil when that is out of date
}

// request is one record being worked on.
type request struct {
	record stream.Record
	begun  time.Time
	out    stream.Result // what it brought, once finished
	bytes  int           // of out
	state  requestState
	left   bool // to the next owner
}

type requestState int

const (
	working  requestState = iota
	finished              // what it brought is not committed
	done                  // it is, or the request was finished by an owner before
)

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
		w.pass()
		// A slot is only asked for while there is a record for it.
		held, changed := closed(w.member.gate)
		var slot chan<- struct{}
		if !held && w.room() {
			slot = w.slots
		}
		w.measure()
		offer, s := w.offer()
		select {
		case slot <- struct{}{}:
			w.begin(working)
		case r := <-w.finished:
			w.finish(r)
		case offer <- s:
			w.settling = s
		case err := <-w.settled():
			w.conclude(err)
		case <-w.queue.wake:
		case <-changed:
		case <-ticker.C:
			w.skip(ctx)
		case <-w.stopping:
		case <-ctx.Done():
		}
	}
	stop()
	w.drain(ctx)
}

// room reports whether the next record may be begun.
func (w *windowWorker) room() bool {
	p := w.queue.pending()
	if p.records == 0 || len(w.window) >= w.span || w.settler.held.Load() >= finishedBytes {
		return false
	}
	// What is finished farther off than a commit can note could not leave.
	return len(w.window) == 0 || p.first-w.window[0].record.Offset < finishedOffsets
}

// pass moves over records that an owner before has finished.
func (w *windowWorker) pass() {
	for len(w.before) > 0 {
		p := w.queue.pending()
		if _, ok := w.before[p.first]; !ok || p.records == 0 || len(w.window) >= w.span {
			return
		}
		w.take().state = done
		delete(w.before, p.first)
		w.shift()
	}
}

func (w *windowWorker) take() *request {
	records, next := w.queue.take(1, 0)
	w.queue.release() // from here on Span and InFlight are the bounds
	w.next = next
	r := &request{record: records[0], begun: time.Now()}
	w.window = append(w.window, r)
	w.offered = nil
	return r
}

// begin works on the next record in a goroutine; it has a slot already.
func (w *windowWorker) begin(working context.Context) {
	r := w.take()
	w.flying++
	go func() {
		w.serve(working, r)
		w.finished <- r // received by run, and after it by drain until all are back
	}()
}

// serve handles one record until that succeeds, told by working when to come to an
// end. While it waits to try again it gives the slot back, so that records that
// fail do not keep out those that would not.
func (w *windowWorker) serve(working context.Context, r *request) {
	handled := false
	for fails := 1; ; fails++ {
		var err error
		step := "handle"
		if !handled {
			r.out, err = w.try(working, r.record)
			handled = err == nil
		}
		if handled {
			step = "publish"
			r.bytes, err = weigh(r.out.Records)
		}
		if err == nil {
			return
		}
		<-w.slots
		r.left = true
		if working.Err() != nil {
			return
		}
		w.member.metrics.retries.WithLabelValues(w.member.group, w.Topic, step).Inc()
		w.member.log.Warn("working on a record failed; trying again", "step", step,
			"topic", w.Topic, "partition", w.Partition, "offset", r.record.Offset, "err", err)
		pause(working, backoff(fails, 100*time.Millisecond, 10*time.Second))
		select {
		case w.slots <- struct{}{}:
			r.left = false
		case <-working.Done():
			return
		}
	}
}

func (w *windowWorker) try(working context.Context, r stream.Record) (stream.Result, error) {
	if err := w.member.cfg.Failpoints.Hit(failpoint.PollerTaken); err != nil {
		return stream.Result{}, err
	}
	return w.handle(working, r)
}

// weigh returns what results take of the memory. One that its topic does not take
// is an error: in a transaction it would fail those of others.
func weigh(out []stream.Record) (bytes int, err error) {
	for i := range out {
		if err := fits(&out[i]); err != nil {
			return 0, err
		}
		bytes += out[i].Size()
	}
	return bytes, nil
}

// finish takes back a record whose handler has returned.
func (w *windowWorker) finish(r *request) {
	w.flying--
	if r.left {
		return
	}
	r.state = finished
	w.settler.held.Add(int64(r.bytes))
	w.offered = nil
}

// shift moves the window over what is done at its start.
func (w *windowWorker) shift() {
	for len(w.window) > 0 && w.window[0].state == done {
		w.window[0] = nil
		w.window = w.window[1:]
	}
	w.offered = nil
}

func (w *windowWorker) measure() {
	p := w.queue.pending()
	n, oldest := p.records+len(w.window), p.oldest
	if len(w.window) > 0 {
		oldest = w.window[0].record.Timestamp
	}
	w.progress.holds(n, oldest)
}
