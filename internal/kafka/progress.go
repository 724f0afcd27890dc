package kafka

import (
	"sync"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
)

// progress is how far one assignment of a partition is.
type progress struct {
	stream.TopicPartition
	group string
	since time.Time

	mu       sync.Mutex
	inFlight int       // records taken and not settled
	oldest   time.Time // timestamp of the first of them
	settled  int64     // next offset to settle
	end      int64     // high watermark as last seen
	behind   time.Time // since when settled is below end without moving; zero: it is not
	stood    time.Time // since when nobody works on the partition; zero: somebody does
}

// standing is what /metrics says of one partition.
type standing struct {
	age      time.Duration
	lag      int64
	inFlight int
}

// holds says what is unsettled: n records, the oldest of which is from t.
func (p *progress) holds(n int, t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight, p.oldest = n, t
}

// holding reports whether records wait or are being worked on.
func (p *progress) holding() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inFlight > 0
}

// seen raises the end of the partition.
func (p *progress) seen(end int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end = max(p.end, end)
	p.compare()
}

// settle moves the position.
func (p *progress) settle(next int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if next != p.settled {
		p.behind = time.Time{} // it moved; what is left is younger than what went
	}
	p.settled = next
	p.compare()
}

// starts fixes the position an assignment begins with. A lag that is older than
// the assignment keeps its age.
func (p *progress) starts(settled, end int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settled, p.end = settled, max(settled, end)
	p.compare()
}

// compare notes since when there is a lag; mu is held.
func (p *progress) compare() {
	switch {
	case p.end <= p.settled:
		p.behind = time.Time{}
	case p.behind.IsZero():
		p.behind = time.Now()
	}
}

// resumes takes over what is known of the partition from an assignment before.
func (p *progress) resumes(before *progress) {
	before.mu.Lock()
	settled, end, behind, stood := before.settled, before.end, before.behind, before.stood
	before.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settled, p.end, p.behind = settled, end, behind
	if p.behind.IsZero() {
		p.behind = stood // dropped by starts, should there be nothing to do
	}
}

// stands says that nobody works on the partition from now on.
func (p *progress) stands() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stood.IsZero() {
		p.stood = time.Now()
		if !p.behind.IsZero() && p.behind.Before(p.stood) {
			p.stood = p.behind
		}
	}
}

// at returns where the partition is at time now. The age is that of the oldest
// record in hand. Where there is none but a lag, nobody here knows how old its
// records are: at least as old as the lag has been standing.
func (p *progress) at(now time.Time) standing {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := standing{lag: max(0, p.end-p.settled), inFlight: p.inFlight}
	since := p.behind
	if p.inFlight > 0 {
		since = p.oldest
	} else if !p.stood.IsZero() {
		since = p.stood
	}
	if !since.IsZero() {
		s.age = max(0, now.Sub(since))
	}
	return s
}

// key names a partition of a group.
type key struct {
	group string
	tp    stream.TopicPartition
}

// track begins the series of a partition, or goes on with those of one that
// stood still.
func (m *metrics) track(group string, tp stream.TopicPartition) *progress {
	p := &progress{TopicPartition: tp, group: group, since: time.Now()}
	m.mu.Lock()
	defer m.mu.Unlock()
	if before := m.standing[key{group, tp}]; before != nil {
		p.resumes(before)
		delete(m.standing, key{group, tp})
	}
	m.owners[p] = struct{}{}
	return p
}

// leave ends the series of an assignment. Those of one that was lost go on: the
// partition was not given up, and whether anybody else works on it cannot be
// known while the group does not answer. Their age grows until forget or track.
func (m *metrics) leave(p *progress, lost bool) {
	if lost {
		p.stands()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.owners, p)
	if lost {
		m.standing[key{p.group, p.TopicPartition}] = p
	}
}

// forget ends the series of the group's lost partitions but those in kept:
// the group has answered, and gave the others to somebody.
func (m *metrics) forget(group string, kept map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.standing {
		if k.group == group && !contains(kept, k.tp) {
			delete(m.standing, k)
		}
	}
}

// owned reports whether this process owns the partition, as far as it knows.
func (m *metrics) owned(group string, tp stream.TopicPartition) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for p := range m.owners {
		if p.group == group && p.TopicPartition == tp {
			return true
		}
	}
	return false
}

// sample returns one progress per partition, and whether it is owned: an
// assignment that is ending may overlap its successor.
func (m *metrics) sample() map[*progress]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	newest := make(map[key]*progress, len(m.owners)+len(m.standing))
	for k, p := range m.standing {
		newest[k] = p
	}
	for p := range m.owners {
		k := key{p.group, p.TopicPartition}
		if q := newest[k]; q == nil || m.standing[k] == q || q.since.Before(p.since) {
			newest[k] = p
		}
	}
	out := make(map[*progress]bool, len(newest))
	for _, p := range newest {
		_, out[p] = m.owners[p]
	}
	return out
}
