package kafka

import "time"

// due is what a worker has to do next.
type due uint8

const (
	dueNothing due = iota // the assignment ends
	dueWrite              // a range is full, or old enough
	dueGather             // what waits is to be handed to the sink
	dueIdle               // nothing waits, but the position moved over markers
)

// await returns when there is something to do.
func (w *rangeWorker) await() due {
	for {
		if w.ending() {
			return dueNothing
		}
		held, changed := closed(w.member.gate)
		p := w.pending()
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
// Linger; otherwise writes that are not full keep the interval apart. A range that
// is not full waits longer while the broker has more to fill it with, and after a
// full one for as long as more comes.
func (w *rangeWorker) next(p pending) (due, time.Time) {
	switch {
	case w.gathered.complete(w.flush):
		return dueWrite, time.Time{}
	case w.gathers(p):
		return dueGather, time.Time{}
	case w.full(p):
		return dueWrite, time.Time{}
	case p.records > 0:
		at := later(later(p.since.Add(w.flush.Linger), w.flushed.Add(w.interval())), w.turnAt)
		if p.behind {
			return dueWrite, later(at, p.since.Add(fillPatience))
		}
		rest := w.filled.Add(w.interval())
		if end := p.latest.Add(endLinger); end.Before(rest) {
			rest = end
		}
		return dueWrite, later(at, rest)
	case w.durable > w.committed:
		return dueIdle, later(w.flushed, w.filled).Add(min(w.interval(), settleAfter))
	case p.next > w.committed:
		return dueIdle, later(w.flushed, w.filled).Add(w.interval())
	}
	return dueNothing, time.Time{}
}

// full reports whether a range is to be written at once.
func (w *rangeWorker) full(p pending) bool {
	return p.records >= w.flush.Rows || p.bytes >= w.flush.Bytes || p.full && p.records > 0
}

const (
	// fillPatience is how long a range of a backlog may take to be filled: small
	// ones cost the sink most.
	fillPatience = 3 * time.Second
	// endLinger is how long the end of a backlog waits for more to come.
	endLinger = 100 * time.Millisecond
)

// settleAfter is how long what was written waits for the next batch, whose intent
// settles it, before it is committed by itself.
const settleAfter = 200 * time.Millisecond

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
