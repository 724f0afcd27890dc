package scheduler

import (
	"container/heap"
	"fmt"
	"time"

	"github.com/pricelake/pricelake/schemas"
)

const (
	// onTime is how long after its slot a call may be asked for without a
	// catch-up policy: a short stall of the broker or the process is lateness,
	// a longer one means missed slots.
	onTime = time.Minute
	// newcomerInterval is the interval above which a call that was never polled
	// is asked for at once, so that whoever added it sees rows.
	newcomerInterval = 10 * time.Second
	// stagger is the distance between calls asked for at once because they are
	// new or have something to catch up with: 25 a second, however many a
	// catalog brings.
	stagger = 40 * time.Millisecond
)

// ask is one slot to ask for.
type ask struct {
	call   *entry
	slot   time.Time
	missed int64 // slots passed over since the one before
}

// entry is one enabled call.
type entry struct {
	def   schemas.CallDefined
	slots Slots
	// counted is the instant after which slots that are passed over count as
	// missed: from when this schedule is known to hold.
	counted time.Time
	// at is when to look at the call again. It is the call's place in the heap.
	at time.Time
	// force asks for the latest slot however old it is.
	force bool
	index int // in the heap; -1 outside
}

// plan knows the calls of a shard and when each is due. The slot watermark of a
// call never moves back, whatever the clock or the catalog does, and outlives
// the call's removal. It belongs to one goroutine.
type plan struct {
	calls map[string]*entry
	last  map[string]time.Time // watermark by call id
	queue queue
}

func newPlan() *plan {
	return &plan{calls: map[string]*entry{}, last: map[string]time.Time{}}
}

// advance moves the watermark of a call up to slot and says whether it moved.
func (p *plan) advance(callID string, slot time.Time) bool {
	if last, ok := p.last[callID]; ok && !slot.After(last) {
		return false
	}
	p.last[callID] = slot
	return true
}

// update makes defs the calls of the plan. It returns one error for each call
// whose schedule cannot be used; those are left out.
func (p *plan) update(now time.Time, defs []schemas.CallDefined) []error {
	var errs []error
	current := make(map[string]bool, len(defs))
	soon := now
	for _, def := range defs {
		if !def.Enabled {
			continue
		}
		e := p.calls[def.CallID]
		if e != nil && e.def.Schedule == def.Schedule {
			e.def = def
			current[def.CallID] = true
			continue
		}
		slots, err := NewSlots(def.Schedule)
		if err != nil {
			errs = append(errs, fmt.Errorf("scheduling call %q version %q: %w", def.CallID, def.Version, err))
			continue
		}
		if e != nil {
			p.remove(e)
		}
		current[def.CallID] = true
		e = &entry{def: def, slots: slots}
		if p.place(e, now, soon) {
			soon = soon.Add(stagger)
		}
		p.calls[def.CallID] = e
		heap.Push(&p.queue, e)
	}
	for id, e := range p.calls {
		if !current[id] {
			p.remove(e)
		}
	}
	return errs
}

func (p *plan) remove(e *entry) {
	delete(p.calls, e.def.CallID)
	if e.index >= 0 {
		heap.Remove(&p.queue, e.index)
	}
}

// place decides when a call that is new to the plan is looked at first: at its
// next slot, or soon. It reports the latter.
func (p *plan) place(e *entry, now, soon time.Time) bool {
	last, known := p.last[e.def.CallID]
	schedule := e.def.Schedule
	e.counted = now
	if known {
		e.counted = later(last, e.def.DefinedAt)
	}
	e.at = nextLook(e.slots, later(now, last))
	latest, ok := e.slots.Latest(now)
	switch {
	case !ok:
	case known:
		e.force = schedule.Catchup == schemas.CatchupLatest && latest.After(e.counted)
	case schedule.Cron != "":
		e.force = schedule.Catchup == schemas.CatchupLatest
	default:
		e.force = schedule.EveryMicros > newcomerInterval.Microseconds()
	}
	if e.at.After(soon) && (e.force || known && ok && justMissed(e, latest, now)) {
		e.at = soon
		return true
	}
	return false
}

// justMissed reports whether the latest slot fell into a gap between two owners
// that is short enough to be lateness. A frequent call waits for its next slot
// instead: not all of them at once after every restart.
func justMissed(e *entry, latest, now time.Time) bool {
	return latest.After(e.counted) && now.Sub(latest) <= onTime && e.at.Sub(latest) > onTime
}

// due takes up to limit calls that are due out of the queue. The caller hands
// every ask back to done or, having given up, forgets the plan.
func (p *plan) due(now time.Time, limit int) []ask {
	var asks []ask
	for len(p.queue) > 0 && len(asks) < limit {
		e := p.queue[0]
		if e.at.After(now) {
			break
		}
		slot, ok := p.choose(e, now)
		if !ok {
			e.at = nextLook(e.slots, later(now, p.last[e.def.CallID]))
			heap.Fix(&p.queue, 0)
			continue
		}
		heap.Pop(&p.queue)
		since := later(p.last[e.def.CallID], e.counted)
		asks = append(asks, ask{call: e, slot: slot, missed: Missed(e.slots, since, slot)})
	}
	return asks
}

// choose names the slot to ask for at the instant: the latest, unless it was
// asked for already or the call's policy is to let late slots go.
func (p *plan) choose(e *entry, now time.Time) (slot time.Time, ok bool) {
	slot, ok = e.slots.Latest(now)
	if last, known := p.last[e.def.CallID]; !ok || known && !slot.After(last) {
		return slot, false
	}
	catchUp := e.force || e.def.Schedule.Catchup == schemas.CatchupLatest
	return slot, catchUp || now.Sub(slot) <= onTime
}

// done records that the slot was asked for and puts the call back into the
// queue.
func (p *plan) done(a ask) {
	e := a.call
	p.advance(e.def.CallID, a.slot)
	e.force = false
	e.at = nextLook(e.slots, p.last[e.def.CallID])
	heap.Push(&p.queue, e)
}

// wake returns when the next call is due; false when there is none.
func (p *plan) wake() (time.Time, bool) {
	if len(p.queue) == 0 {
		return time.Time{}, false
	}
	return p.queue[0].at, true
}

// nextLook is the next slot, or a day later for a schedule without one.
func nextLook(s Slots, after time.Time) time.Time {
	if slot, ok := s.Next(after); ok {
		return slot
	}
	return after.Add(24 * time.Hour)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// queue is a heap of calls by the instant at which they are looked at, and by
// id where that is equal, so that the order depends on nothing else.
type queue []*entry

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	if q[i].at.Equal(q[j].at) {
		return q[i].def.CallID < q[j].def.CallID
	}
	return q[i].at.Before(q[j].at)
}

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push implements heap.Interface.
func (q *queue) Push(x any) {
	e := x.(*entry)
	e.index = len(*q)
	*q = append(*q, e)
}

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	e.index = -1
	return e
}
