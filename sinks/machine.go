package sinks

import (
	"fmt"
	"slices"
)

// phase is what the machine waits for. The way of a range is
//
//	idle → intending → writing → (looking →) (burying →) … → idle
//
// where looking follows every doubt: after a claim, a write of unknown outcome,
// a refusal of a block as a whole, and a name that turned out to be used up.
type phase uint8

const (
	// idle: nothing is in hand; everything begun is durable.
	idle phase = iota
	// intending: the intent is to be committed.
	intending
	// ending: what may still run of earlier writes is to be ended.
	ending
	// looking: the store is to be asked what of the range is there.
	looking
	// writing: the block is to be written.
	writing
	// burying: dead letters are to be published.
	burying
)

func (p phase) String() string {
	return [...]string{"idle", "intending", "ending", "looking", "writing", "burying"}[p]
}

// machine is the protocol of one claimed partition, without any I/O: it says
// what is to be done next and is told what came of it. Same answers, same way.
type machine struct {
	of        Partition
	epoch     uint32
	transform uint32
	writer    string
	// intends: intents are committed. Without, nothing but lineage tells a
	// successor what is there, as it must be where records may disappear from
	// a range (compacted topics).
	intends bool

	phase phase
	// done are the offsets at or above the position that need nothing more:
	// they are in the store, or buried.
	done Offsets
	// verify: the store may take a write for the repeat of one that left
	// nothing, so an acknowledgement is not enough. Until something was written
	// and found after a claim or a doubt: a predecessor's unknown write began at
	// the first record that is missing, later ones do not.
	verify bool

	// Of the range in hand.
	offsets []int64 // of its records, in order
	intent  Intent
	rest    []int     // indexes of records neither done nor refused, in order
	segment []int     // of rest, what is being written
	written bool      // the segment was acknowledged, and is being looked for
	look    bool      // once the intent is committed, the store is to be asked
	proven  bool      // something was written and found
	burnt   int       // how often a name of this range was used up, this time
	pending []Refusal // their letters are not out
	taken   bool      // the store has taken a record of the range
	given   bool      // records of the range were given up that the store had refused, or a predecessor
	suspect int64     // the offset that the store blames, to be tried by itself; -1: none
	latest  int       // index of the record that was refused last; -1: none
	stride  int       // how many records are tried at a time; 0: all
	skipped int       // records of the batch that needed nothing
}

// begin takes the next range in hand: the records of some offsets, which are the
// machine's from then on. Records that need nothing more are left out at its
// beginning, and if nothing remains there is nothing to do. It returns how many
// are left out there. hash is that of the records but for the first so many; it is
// asked for where an intent is to hold it.
func (m *machine) begin(offsets []int64, hash func(ahead int) uint64) (ahead int) {
	all := len(offsets)
	for len(offsets) > 0 && m.done.Has(offsets[0]) {
		offsets = offsets[1:]
	}
	ahead = all - len(offsets)
	m.skipped = ahead
	if len(offsets) == 0 {
		m.offsets, m.rest = nil, nil
		return ahead
	}
	first, last := offsets[0], offsets[len(offsets)-1]
	m.take(offsets, Intent{
		TopicID: m.of.TopicID, Epoch: m.epoch, First: first, Last: last,
		Records: len(offsets), Rows: len(offsets), Bad: -1, To: -1, Transform: m.transform, Writer: m.writer,
	})
	m.skipped += len(offsets) - len(m.rest)
	if m.intends {
		m.intent.Hash, m.intent.Holes = hash(ahead), holes(offsets)
		m.phase = intending
		return ahead
	}
	m.choose()
	return ahead
}

// resume takes a predecessor's range in hand, as it was read again. What of it
// is there has been asked before (found).
func (m *machine) resume(in Intent, offsets []int64) {
	for first, last := range in.Refused.Runs() {
		m.done.Add(first, last)
	}
	in.Epoch, in.Transform, in.Writer = m.epoch, m.transform, m.writer
	m.verify = true
	m.take(offsets, in)
	m.choose()
}

func (m *machine) take(offsets []int64, in Intent) {
	m.offsets, m.intent = offsets, in
	m.pending, m.written, m.look, m.proven, m.burnt, m.taken = nil, false, false, false, 0, false
	m.suspect, m.latest, m.stride = -1, -1, 0
	m.given = !in.Refused.Empty()
	m.remain()
}

// remain finds out what of the range is neither done nor refused. It takes the
// segment's memory.
func (m *machine) remain() {
	m.rest = slices.Grow(m.rest[:0], len(m.offsets))
	pending := m.pending
	for i := range m.offsets {
		for len(pending) > 0 && pending[0].Index < i {
			pending = pending[1:]
		}
		switch {
		case len(pending) > 0 && pending[0].Index == i:
		case m.done.Has(m.offsets[i]):
			m.taken = m.taken || !m.intent.Refused.Has(m.offsets[i])
		default:
			m.rest = append(m.rest, i)
		}
	}
}

// found adds what the store was found to hold.
func (m *machine) found(present *Offsets) {
	for first, last := range present.Runs() {
		m.done.Add(first, last)
	}
}

// whole: the block in hand is all that is left of the range, and has its name.
func (m *machine) whole() bool { return m.intent.To < 0 }

// finish ends the range once nothing of it remains but letters.
func (m *machine) finish() {
	if len(m.pending) > 0 {
		m.phase = burying
		return
	}
	m.phase = idle
}

// settled forgets what lies behind the position: the range ends there.
func (m *machine) settled(last int64) {
	m.verify = m.verify && !m.proven
	m.offsets, m.rest, m.segment = nil, nil, nil
	m.done.Forget(last)
}

// entire: what is to be written is every record of the range.
func (m *machine) entire() bool { return len(m.segment) == len(m.offsets) }

// block is the name of what is to be written. The rest of a range has the name of the range,
// so that whoever writes it, in whichever process, writes it under one name.
func (m *machine) block() Block {
	b := Block{Range: m.span(), Epoch: m.epoch, Attempt: m.intent.Attempt}
	if !m.whole() {
		b.First, b.Last = m.intent.From, m.intent.To
	}
	return b
}

// span is the range in hand.
func (m *machine) span() Range {
	return Range{Partition: m.of, First: m.intent.First, Last: m.intent.Last}
}

// intended: the intent is committed.
func (m *machine) intended() {
	if m.look {
		m.look = false
		m.phase = looking
		return
	}
	m.choose()
}

// ended: nothing of an earlier write will arrive any more.
func (m *machine) ended() { m.phase = looking }

// looked is told what of the range is there. Its error is that of wrote.
func (m *machine) looked(present *Offsets) error {
	m.found(present)
	missing := 0
	for _, at := range m.segment {
		if !m.done.Has(m.offsets[at]) {
			missing++
		}
	}
	acknowledged := m.written
	m.written = false
	m.remain()
	if acknowledged && missing > 0 {
		return m.burned(fmt.Errorf("%d acknowledged records are not there", missing))
	}
	if acknowledged {
		m.proven = true
		m.stride *= 2
	}
	m.choose()
	return nil
}

// wrote is told what came of the block. Its error is that of the write if the
// range cannot go on at once: a later try goes on from where the machine is.
func (m *machine) wrote(err error) error {
	refused, final := Refused(err)
	switch {
	case err == nil:
		m.acknowledged()
	case IsBurned(err):
		return m.burned(err)
	case !final:
		m.verify, m.written = true, false
		m.phase = ending
		return err
	case len(refused.Records) > 0:
		return m.named(refused)
	default:
		return m.refusedWhole(refused)
	}
	return nil
}

func (m *machine) acknowledged() {
	if m.verify {
		m.written = true
		m.phase = looking
		return
	}
	m.taken = true
	m.stride *= 2
	if m.whole() {
		m.done.Add(m.intent.First, m.intent.Last)
	}
	for _, at := range m.segment {
		if !m.whole() {
			m.done.Add(m.offsets[at], m.offsets[at])
		}
	}
	m.remain()
	m.choose()
}

// mostBurned is how many names of one range are tried without a pause.
const mostBurned = 3

// burned: a name of this attempt was used up by a write that left nothing.
func (m *machine) burned(why error) error {
	m.intent.Attempt++
	m.verify, m.written, m.look = true, false, true
	m.commit()
	if m.burnt++; m.burnt > mostBurned {
		m.burnt = 0
		return fmt.Errorf("attempt %d: %w", m.intent.Attempt-1, why)
	}
	return nil
}

// commit has the intent committed as it is now.
func (m *machine) commit() {
	if m.intends {
		m.phase = intending
		return
	}
	m.intended()
}
