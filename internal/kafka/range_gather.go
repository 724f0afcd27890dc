package kafka

import (
	"context"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
)

// gathered is what a sink has taken before its range is cut.
type gathered struct {
	records     int
	bytes       int // that the sink holds of them
	raw         int // that they took themselves
	first, last int64
	next        int64     // the position behind them
	since       time.Time // when the first of them was queued
	oldest      time.Time // timestamp of the first
	cut         bool      // the next record was not taken, or there is no memory for it: the range ends here
}

// complete reports whether the range is to be written before anything is added.
func (g *gathered) complete(f Flush) bool {
	return g.records > 0 && (g.cut || g.records >= f.Rows || g.bytes >= f.Bytes)
}

// plainRanges is how many ranges are not gathered after one whose end was a record
// that the sink did not take: such records seldom come alone, and each would cut a
// range short.
const plainRanges = 16

// gathers reports whether what waits is to be handed to the sink now.
func (w *rangeWorker) gathers(p pending) bool {
	if w.backlog != nil && w.backlog.on && !p.full {
		return true // it may be fetched when nothing waits
	}
	if !w.canGather || w.flush.Gather < 0 || w.plain > 0 || p.waiting == 0 {
		return false
	}
	return p.waiting >= w.flush.Gather || w.gathered.records > 0 && w.full(p)
}

// pending describes what is neither written nor being written: what was gathered
// and what waits.
func (w *rangeWorker) pending() pending {
	p, g := w.queue.pending(), &w.gathered
	if g.records == 0 {
		return p
	}
	p.records += g.records
	p.bytes += g.bytes
	p.since, p.oldest, p.first = g.since, g.oldest, g.first
	return p
}

// gather hands what waits to the sink, as far as the range and the memory have room:
// rows of many months take more of it than their records. A quarter more is let pass,
// and whatever few rows take: columns grow in steps, and a range of few rows costs the
// sink as much as a long one. What the sink does not take waits again, and is written
// as a range of its own.
func (w *rangeWorker) gather(ctx context.Context, sink stream.Gatherer) {
	w.takeBacklog()
	g, since, most := &w.gathered, w.queue.pending().since, w.queue.most()
	for !g.complete(w.flush) {
		p, next := w.queue.takePage(w.flush.Rows - g.records)
		if p == nil && w.refill(ctx) {
			if g.records == 0 {
				since = time.Now() // the range before may have been written for long
			}
			continue
		}
		if p == nil {
			break
		}
		taken, bytes := sink.Gather(ctx, w.batch(p.records()))
		g.add(p, taken, since)
		g.bytes, g.next = bytes, next
		if len(p.records()) > 0 {
			w.stopGathering(p, since)
			break
		}
		w.queue.recyclePage(p)
		held := w.queue.keep(g.bytes)
		g.cut = g.cut || held > most+most/4 && g.records >= min(w.flush.Gather, w.flush.Rows)
	}
	w.queue.keep(g.bytes)
	w.backlog.free(w.queue)
}

// add takes out of a page its first so many records, which the sink has taken.
func (g *gathered) add(p *page, taken int, since time.Time) {
	if taken == 0 {
		return
	}
	first, last := &p.records()[0], &p.records()[taken-1]
	if g.records == 0 {
		*g = gathered{first: first.Offset, since: since, oldest: first.Timestamp}
	}
	g.last = last.Offset
	g.records += taken
	g.raw += p.bytes
	p.skip(taken)
	g.raw -= p.bytes
}

// stopGathering ends the range before the records of a page that the sink did not
// take.
func (w *rangeWorker) stopGathering(p *page, since time.Time) {
	w.gathered.next = p.records()[0].Offset
	w.queue.giveBack(p, since)
	if w.plain = 1; w.gathered.records > 0 {
		w.gathered.cut, w.plain = true, plainRanges
	}
	if w.backlog != nil && w.backlog.on {
		w.leaveBacklog() // it is only fetched to be gathered
	}
}

// cutGathered cuts the range of what was gathered, and of what waits if it is let
// in.
func (w *rangeWorker) cutGathered(ctx context.Context, sink stream.Gatherer) cut {
	if !w.gathered.complete(w.flush) {
		w.gather(ctx, sink)
	}
	g := w.gathered
	return cut{
		first: g.first, last: g.last, next: g.next, records: g.records, oldest: g.oldest,
		write: func(ctx context.Context, intend stream.Intend) error {
			err := sink.WriteGathered(ctx, intend)
			if err != nil {
				// The sink may have read the records again.
				w.queue.keep(g.bytes + g.raw)
			}
			return err
		},
		done: func() { w.gathered = gathered{} },
	}
}
