package sinktest

import (
	"context"
	"slices"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/sinks"
)

// Gathering makes of a store one that gathers. Its packs take every record, and
// write them through the store: what that is told of a block is as if nothing had
// been gathered.
type Gathering struct{ sinks.Store }

// Gather implements sinks.Gathering.
func (g Gathering) Gather(sinks.Partition) sinks.Pack {
	return &memoryPack{store: g.Store}
}

// Asked is Gathering with packs that take out every record that is Unwanted, whenever
// so many were added since the last time, which is counted in Times.
type Asked struct {
	sinks.Store
	Every int
	Times *int
}

// Gather implements sinks.Gathering.
func (a Asked) Gather(sinks.Partition) sinks.Pack {
	return &askingPack{memoryPack: memoryPack{store: a.Store}, every: a.Every, times: a.Times}
}

var _ sinks.AskingPack = (*askingPack)(nil)

// askingPack knows which of its records are missing of the block.
type askingPack struct {
	memoryPack
	every int
	times *int
	asked int
}

// Ask implements sinks.AskingPack.
func (p *askingPack) Ask(_ context.Context, b sinks.Block) (bad []sinks.Refusal, ok bool) {
	if len(p.rows)-p.asked < p.every {
		return nil, false
	}
	p.rows = slices.DeleteFunc(p.rows, func(r stream.Record) bool {
		if string(r.Value) != Unwanted {
			return false
		}
		at, found := b.Index(r.Offset)
		if found {
			bad = append(bad, unwanted(at))
		}
		return found
	})
	p.asked = len(p.rows)
	*p.times++
	return bad, true
}

// Write implements sinks.Pack.
func (p *askingPack) Write(ctx context.Context, b sinks.Block, bad []sinks.Refusal) error {
	err := p.memoryPack.Write(ctx, b, bad)
	refused, ok := sinks.Refused(err)
	if err != nil && (!ok || len(refused.Records) == 0) {
		return err
	}
	named, written := slices.Clone(bad), true
	if ok {
		written = refused.Written
		for _, f := range refused.Records {
			f.Index, _ = b.Index(p.rows[f.Index].Offset)
			if !slices.ContainsFunc(bad, func(known sinks.Refusal) bool { return known.Index == f.Index }) {
				named = append(named, f)
			}
		}
	}
	p.spent = len(named) > len(bad)
	slices.SortFunc(named, func(x, y sinks.Refusal) int { return x.Index - y.Index })
	err = sinks.RefuseRecords(named)
	if all, ok := sinks.Refused(err); ok {
		all.Written = written
	}
	return err
}

// Reset implements sinks.Pack.
func (p *askingPack) Reset() {
	p.memoryPack.Reset()
	p.asked = 0
}

// memoryPack keeps what a Memory looks at of records: they may be changed once Add
// has returned.
type memoryPack struct {
	store sinks.Store
	rows  []stream.Record
	spent bool
}

// Add implements sinks.Pack.
func (p *memoryPack) Add(_ context.Context, rs []stream.Record) (taken int, bad []sinks.Refusal) {
	for i := range rs {
		p.rows = append(p.rows, rs[i].Clone())
		if string(rs[i].Value) == Unreadable {
			bad = append(bad, unreadable(i))
		}
	}
	return len(rs), bad
}

// Bytes implements sinks.Pack.
func (p *memoryPack) Bytes() int { return 100 * len(p.rows) }

// Write implements sinks.Pack. One that names others than bad has taken them out.
func (p *memoryPack) Write(ctx context.Context, b sinks.Block, bad []sinks.Refusal) error {
	b.Records, b.Offsets = p.rows, nil
	err := p.store.Write(ctx, b)
	refused, ok := sinks.Refused(err)
	p.spent = ok && len(refused.Records) > len(bad)
	return err
}

// Whole implements sinks.Pack.
func (p *memoryPack) Whole() bool { return !p.spent }

// Reset implements sinks.Pack.
func (p *memoryPack) Reset() { p.rows, p.spent = nil, false }
