package sinks

import (
	"fmt"
	"slices"
	"sort"

	"github.com/pricelake/pricelake/schemas"
)

// The part of the machine that finds out which records a store refuses.

// choose decides what of the rest is written next. Where the store is known to
// refuse a record, the one that it blames is tried by itself: it is not buried on
// the word of a message. Where it blames none, or the wrong one, the first that it
// refuses is searched for by halving, so that one costs as many writes as the
// number of records has digits in base two; then all that is left is tried at
// once. A store that has taken nothing yet is asked record by record: perhaps it
// refuses everything. Where many are refused, about as many are tried at a time as
// lie between two of them, or each would cost the writing of all that is left.
//
// A block of the search is recorded before it is written, bounds and all: a part
// of it may arrive, and a successor must not cut what is left of it otherwise, or
// the rest could arrive late under the old name. For the same reason what is refused
// is buried, and recorded with that, before others of the range are written: once
// the store has taken a record, the fault is not the table's.
func (m *machine) choose() {
	if m.held() && m.taken {
		m.phase = burying
		return
	}
	if len(m.rest) == 0 {
		m.finish()
		return
	}
	m.phase = writing
	if m.segment = m.within(m.intent.From, m.intent.To); len(m.segment) > 0 {
		return
	}
	m.intent.To = -1
	if blamed := m.within(m.suspect, m.suspect); m.suspect >= 0 && len(blamed) > 0 {
		m.suspect = -1
		m.search(blamed)
		return
	}
	suspects := 0
	for suspects < len(m.rest) && m.offsets[m.rest[suspects]] <= m.intent.Bad {
		suspects++
	}
	switch {
	case suspects > 0:
		m.search(m.rest[:(suspects+1)/2])
	case m.held() && !m.taken:
		m.search(m.rest[:1])
	case 0 < m.stride && m.stride < len(m.rest):
		m.search(m.rest[:m.stride])
	default:
		m.segment = m.rest
	}
}

// search takes some of the rest in hand, one after another there.
func (m *machine) search(some []int) {
	m.intent.From, m.intent.To = m.offsets[some[0]], m.offsets[some[len(some)-1]]
	m.commit()
}

// within returns what of the rest lies between two offsets.
func (m *machine) within(from, to int64) []int {
	at := func(offset int64) int {
		return sort.Search(len(m.rest), func(i int) bool { return m.offsets[m.rest[i]] >= offset })
	}
	if to < from {
		return nil
	}
	return m.rest[at(from):at(to+1)]
}

// held says that the store has refused records whose letters wait.
func (m *machine) held() bool {
	return slices.ContainsFunc(m.pending, func(r Refusal) bool { return r.Reason == schemas.DeadRefused })
}

// refuse notes records of the segment that will never be rows.
func (m *machine) refuse(rs []Refusal) {
	m.pending = merge(m.pending, at(rs, m.segment))
	m.remain()
}

// named is told which records of the segment will never be rows. They are
// buried once the others are there, or at once and the others are written again.
// Its error is that of wrote.
func (m *machine) named(refused *RefusedError) error {
	others, bad := make([]int, 0, len(m.segment)), refused.Records
	for i, at := range m.segment {
		if len(bad) > 0 && bad[0].Index == i {
			bad = bad[1:]
			continue
		}
		others = append(others, at)
	}
	m.refuse(refused.Records)
	if refused.Written && len(others) > 0 {
		m.segment = others
		m.acknowledged()
		return nil
	}
	m.phase = burying
	if len(m.rest) == 0 && m.held() {
		return m.drift()
	}
	return nil
}

// refusedWhole is told that the store refuses the block and names no record.
// Parts of it may have been written: all or nothing holds for each partition of
// a table.
func (m *machine) refusedWhole(refused *RefusedError) error {
	if len(m.segment) > 1 {
		if at := refused.Suspect; at >= 0 && at < len(m.segment) {
			m.suspect = m.offsets[m.segment[at]]
		}
		m.intent.Bad, m.intent.To = m.offsets[m.segment[len(m.segment)-1]], -1
		m.phase = looking
		return nil
	}
	m.intent.Bad, m.intent.To = -1, -1
	m.apart(m.segment[0])
	m.refuse([]Refusal{{Index: 0, Reason: refused.Reason, Err: refused.Unwrap()}})
	if err := m.drift(); err != nil {
		return err
	}
	m.choose()
	return nil
}

// leastStride is how few records are tried at a time at least.
const leastStride = 64

// apart notes that a record was refused, and from the second on how far they are
// apart.
func (m *machine) apart(index int) {
	if m.latest >= 0 {
		m.stride = max(leastStride, 2*(index-m.latest))
	}
	m.latest = index
}

// mostBuried is how many records may be refused, with not one taken, before it
// counts as the table's fault. A source that sends a few bad values at once must
// not block its partition; dead letters for a batch or two of that size can be
// played again.
const mostBuried = 100

// drift tells bad records from a bad table. A store that takes no row of a large
// range has tables that this version does not fit: nobody is helped by dead
// letters for all of it. What was found out about records is forgotten then.
func (m *machine) drift() error {
	if m.taken || m.given || len(m.offsets) <= mostBuried || len(m.pending) <= mostBuried && len(m.rest) > 0 {
		return nil
	}
	first := m.pending[0].Err
	m.pending, m.intent.Bad, m.intent.To, m.phase = nil, -1, -1, ending
	return fmt.Errorf("the server refuses each row of a range of %d: is its schema that of this version? run `pricelake migrate`: %w", len(m.offsets), first)
}

// buried: the letters that waited are out.
func (m *machine) buried() {
	m.given = m.given || m.held()
	for _, f := range m.pending {
		offset := m.offsets[f.Index]
		m.done.Add(offset, offset)
		m.intent.Refused.Add(offset, offset)
		m.intent.Rows--
	}
	m.pending = nil
	if m.choose(); m.phase != intending {
		m.commit() // or the letters would be written again after a kill
	}
}
