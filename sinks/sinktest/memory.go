package sinktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
)

// Memory is a sinks.Store in memory that behaves as the best and the worst of
// servers may: it drops a block whose name it knows, as deduplication by token
// does, and it can be made to fail. It may be used in parallel.
type Memory struct {
	// Fault, if set, is asked before each write. See Faults.
	Fault func(b sinks.Block) Fault
	// Lies makes it break the contract of sinks.Writer: it acknowledges a block
	// whose name it knows without looking for the rows.
	Lies bool
	// Parts makes it write the others of a block that holds unreadable records.
	Parts bool
	// Names makes it name all records that it does not take, and write the others.
	Names bool
	// Blame, if set, is the record that is blamed for a block that is refused,
	// given the index of the one that is at fault.
	Blame func(index int) int

	mu    sync.Mutex
	rows  map[sinks.Partition]map[int64]int
	names map[name]bool
}

// Fault is what goes wrong with a write.
type Fault int

// Faults of a write. All but None end it with an error of unknown outcome.
const (
	None Fault = iota
	// Before: nothing is written.
	Before
	// Half: the first half of the records is written.
	Half
	// After: everything is written.
	After
	// Burned: nothing is written, but the name is known from then on. A server
	// killed between noting the name and keeping the rows does this.
	Burned
)

// Values of records that a Memory does not take.
const (
	// Unreadable is refused by its index before anything is written.
	Unreadable = "unreadable"
	// Unwanted makes the store refuse the whole block it is in.
	Unwanted = "unwanted"
)

type name struct {
	sinks.Range
	epoch   uint32
	attempt int32
}

var errFault = errors.New("connection reset")

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{rows: map[sinks.Partition]map[int64]int{}, names: map[name]bool{}}
}

// Write implements sinks.Writer.
func (m *Memory) Write(ctx context.Context, b sinks.Block) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := m.refusal(b); err != nil {
		refused, _ := sinks.Refused(err)
		if others := without(b.Records, refused.Records); (m.Parts || m.Names) && len(others) > 0 && len(refused.Records) > 0 {
			b.Records = others
			if m.refusal(b) != nil {
				return err
			}
			if other := m.Write(ctx, b); other != nil {
				return other
			}
			refused.Written = true
		}
		return err
	}
	fault := None
	if m.Fault != nil {
		fault = m.Fault(b)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	as := name{b.Range, b.Epoch, b.Attempt}
	n := len(b.Records)
	switch fault {
	case Before:
		return errFault
	case Half:
		n /= 2
	}
	if m.names[as] {
		if m.Lies {
			return nil
		}
		return m.confirm(b)
	}
	m.names[as] = fault != Half
	if fault == Burned {
		return errFault
	}
	of := m.rows[b.Partition]
	if of == nil {
		of = map[int64]int{}
		m.rows[b.Partition] = of
	}
	for i := range b.Records[:n] {
		of[b.Records[i].Offset]++
	}
	if fault != None {
		return errFault
	}
	return nil
}

func without(rs []stream.Record, refused []sinks.Refusal) (others []stream.Record) {
	for i := range rs {
		if !slices.ContainsFunc(refused, func(r sinks.Refusal) bool { return r.Index == i }) {
			others = append(others, rs[i])
		}
	}
	return others
}

func unreadable(index int) sinks.Refusal {
	return sinks.Refusal{Index: index, Reason: schemas.DeadDecode, Err: errors.New("unreadable")}
}

func unwanted(index int) sinks.Refusal {
	return sinks.Refusal{Index: index, Reason: schemas.DeadRefused, Err: errors.New("unwanted")}
}

func (m *Memory) refusal(b sinks.Block) error {
	var bad []sinks.Refusal
	first := -1
	for i := range b.Records {
		switch string(b.Records[i].Value) {
		case Unreadable:
			bad = append(bad, unreadable(i))
		case Unwanted:
			if first < 0 {
				first = i
			}
		}
	}
	if m.Names && first >= 0 {
		for i := range b.Records {
			if string(b.Records[i].Value) == Unwanted {
				bad = append(bad, unwanted(i))
			}
		}
		slices.SortFunc(bad, func(x, y sinks.Refusal) int { return x.Index - y.Index })
	}
	if len(bad) > 0 {
		return sinks.RefuseRecords(bad)
	}
	if first >= 0 && m.Blame != nil {
		return sinks.RefuseSuspect(schemas.DeadRefused, m.Blame(first), errors.New("unwanted"))
	}
	if first >= 0 {
		return sinks.Refuse(schemas.DeadRefused, errors.New("unwanted"))
	}
	return nil
}

// confirm is the answer to a repeated name: nil only if the rows are there.
func (m *Memory) confirm(b sinks.Block) error {
	for i := range b.Records {
		if m.rows[b.Partition][b.Records[i].Offset] == 0 {
			return sinks.Burned(fmt.Errorf("taken for a repeat, but offset %d is not there", b.Records[i].Offset))
		}
	}
	return nil
}

// Present implements sinks.Auditor.
func (m *Memory) Present(_ context.Context, r sinks.Range) (sinks.Offsets, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var present sinks.Offsets
	for offset, n := range m.rows[r.Partition] {
		if n > 0 && offset >= r.First && offset <= r.Last {
			present.Add(offset, offset)
		}
	}
	return present, nil
}

// Fence implements sinks.Fencer: nothing outlives Write here.
func (m *Memory) Fence(context.Context, sinks.Partition) error { return nil }

// Rows returns how many rows each offset of a partition has.
func (m *Memory) Rows(p sinks.Partition) map[int64]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	rows := map[int64]int{}
	for offset, n := range m.rows[p] {
		rows[offset] = n
	}
	return rows
}

// Forget drops every name the store knows, as a server does that lost its log of
// them: the rows stay.
func (m *Memory) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.names = map[name]bool{}
}
