package kafka

import (
	"sync"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kgo"
)

// queue holds the records that wait for one partition's worker. It is bounded
// by pausing the partition's fetching (I8): it exceeds its limits by at most
// what one poll returned.
type queue struct {
	maxRecords    int        // 0: no limit but maxBytes
	maxBytes      func() int // this partition's share of the process' memory
	held          func(int)  // told how many bytes the partition holds; called with mu held
	pause, resume func()     // of fetching; called with mu held
	wake          chan struct{}

	mu      sync.Mutex
	records waiting
	spare   []stream.Record // memory for the next range
	bytes   int
	working int       // bytes that take handed out, until release
	taken   int       // how many the last take took: about as many will be taken again
	next    int64     // the position: everything below was queued, or is a marker
	epoch   int32     // of the leader that had what is before it; -1: not known
	end     int64     // where committed records end, as far as is known
	since   time.Time // when the first of records was queued
	latest  time.Time // when the last of them was
	full    bool
	// detached: the worker fetches by itself, and the client does not.
	detached bool
}

func newQueue(maxRecords int, maxBytes func() int, at int64) *queue {
	return &queue{
		maxRecords: maxRecords, maxBytes: maxBytes, next: at, epoch: -1, records: waiting{spare: new(sync.Pool)},
		held: func(int) {}, pause: func() {}, resume: func() {}, wake: make(chan struct{}, 1),
	}
}

// push appends what was fetched. Control records only move the position.
func (q *queue) push(rs []*kgo.Record, id stream.TopicID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.detached {
		return // it will come again
	}
	queued := false
	for _, r := range rs {
		if r.Offset < q.next {
			continue
		}
		q.next, q.epoch = r.Offset+1, r.LeaderEpoch
		if r.Attrs.IsControl() {
			continue
		}
		if q.records.n == 0 {
			q.since = time.Now()
		}
		q.bytes += q.records.push(r, id)
		queued = true
	}
	if queued {
		q.latest = time.Now()
	}
	q.fill()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// fill counts what was appended, and stops the fetching if it is enough; mu is held.
func (q *queue) fill() {
	q.held(q.bytes + q.working)
	if !q.full && q.holds(q.maxRecords, q.maxBytes()) {
		q.full = true
		if !q.detached {
			q.pause()
		}
	}
}

// ends notes where the committed records of the partition end, as the broker says
// now: a log that lost its tail ends earlier. -1: it does not say.
func (q *queue) ends(at int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if at >= 0 {
		q.end = at
	}
}

// holds reports whether the queue has reached a limit; mu is held.
func (q *queue) holds(records, bytes int) bool {
	return q.maxRecords > 0 && q.records.n >= max(records, 1) || q.bytes+q.working >= max(bytes, 1)
}

// take removes up to maxRecords records of up to maxBytes, at least one if
// there is any, and returns the position after them: the offset of the next
// record, or the end of what was fetched. Only markers lie between. What was
// taken counts as held until release.
func (q *queue) take(maxRecords, maxBytes int) (rs []stream.Record, next int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, bytes := q.records.fitting(maxRecords, maxBytes)
	rs = q.records.pop(q.room(n))
	q.taken = n
	return rs, q.left(bytes)
}

// takePage removes records as take does, up to maxRecords and about as many as are
// cheap to hand on; nil if there is none. They are the caller's until recyclePage
// or giveBack.
func (q *queue) takePage(maxRecords int) (p *page, next int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if p = q.records.popPage(maxRecords); p == nil {
		return nil, q.next
	}
	return p, q.left(p.bytes)
}

// left notes that so many bytes were taken and returns the position behind them;
// mu is held.
func (q *queue) left(bytes int) (next int64) {
	q.bytes -= bytes
	q.working += bytes
	q.since = time.Now()
	if first := q.records.first(); first != nil {
		return first.Offset
	}
	return q.next
}

// room is memory for so many records; mu is held.
func (q *queue) room(n int) []stream.Record {
	if cap(q.spare) < n {
		return make([]stream.Record, n)
	}
	rs := q.spare[:n]
	q.spare = nil
	return rs
}

// recycle gives back what take returned, once nobody looks at it any more: a
// backlog then fills the same memory again and again.
func (q *queue) recycle(rs []stream.Record) {
	clear(rs) // lets go of keys and values
	q.mu.Lock()
	defer q.mu.Unlock()
	if cap(rs) > cap(q.spare) {
		q.spare = rs[:0]
	}
	if q.records.n == 0 && q.taken < cap(q.spare)/4 {
		q.spare = nil // the backlog is over
	}
}

// recyclePage is recycle of what takePage returned.
func (q *queue) recyclePage(p *page) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.records.free(p)
}

// giveBack puts back what is left of what takePage returned, which waits since
// then.
func (q *queue) giveBack(p *page, since time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes += p.bytes
	q.records.unpop(p)
	q.since = since
}

// release says that the worker no longer holds what it took.
func (q *queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.working = 0
	q.held(q.bytes)
	q.relax(q.maxRecords/2, q.maxBytes()/2)
}

// keep says what the worker holds now instead of what it took, and returns what the
// partition holds with it. Fetching goes on sooner than after release: what it holds
// is to be filled.
func (q *queue) keep(bytes int) (held int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.working = bytes
	held = q.bytes + q.working
	q.held(held)
	share := q.maxBytes()
	q.relax(q.maxRecords-q.maxRecords/8, share-share/8)
	return held
}

// most is what the partition may hold: its share, or what it holds if that is more,
// as after a poll that brought much.
func (q *queue) most() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return max(q.maxBytes(), q.bytes+q.working)
}

// relax resumes the fetching when less than so much is held; mu is held.
func (q *queue) relax(records, bytes int) {
	if q.full && !q.holds(records, bytes) {
		if q.full = false; !q.detached {
			q.resume()
		}
	}
}

// discard drops what waits and stops the fetching, for as long as the assignment
// lasts.
func (q *queue) discard() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.records.drop()
	q.bytes, q.working = 0, 0
	q.held(0)
	q.full = true // nobody takes, so nothing resumes it
	q.pause()
}

// pending describes what waits.
type pending struct {
	records int
	waiting int // of records, those in the queue
	bytes   int
	since   time.Time // when its oldest was queued, or was left behind by take
	latest  time.Time // when its youngest was queued
	oldest  time.Time // timestamp of its first record
	first   int64     // offset of its first record; next when there is none
	next    int64     // the position behind all of it
	full    bool      // fetching is paused until some of it is gone
	behind  bool      // the broker has more
}

func (q *queue) pending() pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := pending{records: q.records.n, waiting: q.records.n, bytes: q.bytes, since: q.since, latest: q.latest, first: q.next, next: q.next, full: q.full, behind: q.next < q.end}
	if first := q.records.first(); first != nil {
		p.oldest, p.first = first.Timestamp, first.Offset
	}
	return p
}
