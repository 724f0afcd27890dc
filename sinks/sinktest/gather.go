package sinktest

import (
	"context"

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
