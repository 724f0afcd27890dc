package market

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Feed decides what each answer says and keeps the ledger of it. A page is said
// again until it is seen to be recorded, as a real API says its latest trades
// again; a few recorded pages are repeated or restated on purpose. Safe for
// parallel use.
type Feed struct {
	world World
	now   func() time.Time

	mu     sync.Mutex
	rng    *rand.Rand
	pages  int // to be released in all
	target int // released so far
	refuse int // answers that are to restate a refused trade
	calls  []callFeed
	stats  Stats
}

// callFeed is the state of one call.
type callFeed struct {
	answers []Answer
	next    int // page
	waiting map[version]saidPage
	latest  []int // version of each page; pages above next are not there
}

// version is a page in one of its versions.
type version struct{ page, version int }

// saidPage is a page that was said and not seen to be recorded.
type saidPage struct {
	part  Part
	at    time.Time
	times int
}

// Stats counts what was said.
type Stats struct {
	Answers int `json:"answers"`
	// Events are trades said for the first time, in the first version.
	Events int `json:"events"`
	// Again, Repeats and Restated count trades said more than once.
	Again    int `json:"again"`
	Repeats  int `json:"repeats"`
	Restated int `json:"restated"`
	// Waiting are pages that were said and are not recorded yet.
	Waiting int `json:"waiting"`
}

const (
	// patience before a page that was not recorded is said again; doubled with
	// each time.
	patience    = 4 * time.Second
	maxPatience = 30 * time.Second
	// freshPages and againPages bound an answer.
	freshPages = 8
	againPages = 8
	// maxWaiting stops new pages while so many are not recorded.
	maxWaiting = 64
	// repeatOneIn and restateOneIn answers do so.
	repeatOneIn  = 12
	restateOneIn = 10
	// restateStride: every so manieth trade of the page is restated.
	restateStride = 10
)

// NewFeed makes the feed of a world that will say so many events, rounded up to
// whole pages. It releases none yet.
func NewFeed(w World, events int, now func() time.Time) *Feed {
	f := &Feed{world: w, now: now, rng: rand.New(rand.NewPCG(w.Seed, 2)), pages: (events + w.Page - 1) / w.Page}
	for range w.Calls {
		f.calls = append(f.calls, callFeed{waiting: map[version]saidPage{}})
	}
	return f
}

// World returns what the feed speaks of.
func (f *Feed) World() World { return f.world }

// Release lets so much of all events out, from 0 to 1.
func (f *Feed) Release(share float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.target = max(f.target, min(int(share*float64(f.pages)+0.5), f.pages))
}

// Next is the next answer of a call. It is in the ledger from then on.
func (f *Feed) Next(call int) Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := &f.calls[call]
	a := Answer{Call: call, Number: len(c.answers)}
	a.Parts = f.again(c, a.Parts)
	a.Parts = f.fresh(call, c, a.Parts)
	a.Parts = f.refused(call, c, a.Parts)
	a.Parts = f.onPurpose(c, a.Parts)
	now := f.now()
	for _, p := range a.Parts {
		if p.Why == Repeat {
			continue
		}
		key := version{p.Page, p.Version}
		said := c.waiting[key]
		p.Why = Again
		c.waiting[key] = saidPage{part: p, at: now, times: said.times + 1}
	}
	f.count(a)
	c.answers = append(c.answers, a)
	return a
}

// again takes pages that should have been recorded by now, oldest first.
func (f *Feed) again(c *callFeed, parts []Part) []Part {
	now := f.now()
	for range againPages {
		var oldest *saidPage
		for _, s := range c.waiting {
			wait := min(patience<<min(s.times-1, 8), maxPatience)
			if now.Sub(s.at) < wait || contains(parts, s.part) {
				continue
			}
			if oldest == nil || s.at.Before(oldest.at) || s.at.Equal(oldest.at) && before(s.part, oldest.part) {
				oldest = &s
			}
		}
		if oldest == nil {
			break
		}
		parts = append(parts, oldest.part)
	}
	return parts
}

func contains(parts []Part, p Part) bool {
	for _, q := range parts {
		if q.Page == p.Page && q.Version == p.Version {
			return true
		}
	}
	return false
}

func before(a, b Part) bool {
	return a.Page < b.Page || a.Page == b.Page && a.Version < b.Version
}

// fresh takes pages that were never said, as far as they are released.
func (f *Feed) fresh(call int, c *callFeed, parts []Part) []Part {
	for range freshPages {
		if c.next*len(f.calls)+call >= f.target || len(c.waiting) >= maxWaiting {
			break
		}
		parts = append(parts, Part{Why: Fresh, Page: c.next, Stride: 1})
		c.latest = append(c.latest, 0)
		c.next++
		if len(parts) >= freshPages+againPages {
			break
		}
	}
	return parts
}

// onPurpose repeats or restates a recorded page now and then.
func (f *Feed) onPurpose(c *callFeed, parts []Part) []Part {
	if len(c.latest) == 0 || f.said() {
		return parts
	}
	page := f.rng.IntN(len(c.latest))
	if c.waits(page) || speaksOf(parts, page) {
		return parts
	}
	switch roll := f.rng.IntN(repeatOneIn * restateOneIn); {
	case roll%repeatOneIn == 0 && c.latest[page] == 0:
		parts = append(parts, Part{Why: Repeat, Page: page, Stride: 1})
	case roll%restateOneIn == 1 && c.latest[page] < maxVersion:
		c.latest[page]++
		parts = append(parts, Part{Why: Restate, Page: page, Version: c.latest[page], Stride: restateStride, Phase: page % restateStride})
	}
	return parts
}

func (f *Feed) count(a Answer) {
	f.stats.Answers++
	for _, p := range a.Parts {
		n := (f.world.Page - p.Phase + p.Stride - 1) / p.Stride
		switch p.Why {
		case Fresh:
			f.stats.Events += n
		case Again:
			f.stats.Again += n
		case Repeat:
			f.stats.Repeats += n
		case Restate:
			f.stats.Restated += n
		}
	}
}

// Sent notes that an answer was handed to the network in full.
func (f *Feed) Sent(call, number int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[call].answers[number].Sent = true
}

// Recorded notes that an answer is durable in the system. It need not be said
// again; whether it has become rows is for the oracle to find out.
func (f *Feed) Recorded(call, number int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if call < 0 || call >= len(f.calls) || number < 0 || number >= len(f.calls[call].answers) {
		return
	}
	for _, p := range f.calls[call].answers[number].Parts {
		delete(f.calls[call].waiting, version{p.Page, p.Version})
	}
}

// said says whether all pages were said. The caller holds the lock.
func (f *Feed) said() bool {
	n := 0
	for i := range f.calls {
		n += f.calls[i].next
	}
	return n >= f.pages
}

// Done says whether everything was said and is recorded.
func (f *Feed) Done() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.calls {
		if len(f.calls[i].waiting) > 0 {
			return false
		}
	}
	return f.said()
}

// Stats returns what was said so far.
func (f *Feed) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	for i := range f.calls {
		s.Waiting += len(f.calls[i].waiting)
	}
	return s
}

// Ledger returns every answer so far, call by call in its order.
func (f *Feed) Ledger() *Ledger {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := &Ledger{World: f.world, Calls: make([][]Answer, len(f.calls))}
	for i := range f.calls {
		l.Calls[i] = append([]Answer(nil), f.calls[i].answers...)
	}
	return l
}
