package sinks

import (
	"context"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/pricelake/pricelake/internal/stream"
)

// gathered is the rows of a range that is not cut yet, and what its intent must
// know of the records that they were made of: those have been let go of.
type gathered struct {
	pack    Pack
	offsets []int64
	hash    *xxhash.Digest
}

// add takes the first of some records and returns how many.
func (g *gathered) add(ctx context.Context, rs []stream.Record) int {
	taken := g.pack.Add(ctx, rs)
	hashInto(g.hash, rs[:taken])
	for i := range rs[:taken] {
		g.offsets = append(g.offsets, rs[i].Offset)
	}
	return taken
}

// drop lets go of everything that was gathered; g may be nil.
func (g *gathered) drop() {
	if g == nil {
		return
	}
	g.pack.Reset()
	g.hash.Reset()
	g.offsets = g.offsets[:0]
}

// gatherer is a claim whose store makes rows of records as they come. It is a
// stream.Gatherer.
type gatherer struct{ *claim }

// gathering returns the claim as what its store makes of it.
func (c *claim) gathering() stream.RangeSink {
	store, ok := c.h.Store.(Gathering)
	if !ok || c.reread == nil {
		return c
	}
	pack := store.Gather(c.m.of)
	if pack == nil {
		return c
	}
	c.gathered = &gathered{pack: pack, hash: xxhash.New()}
	return gatherer{c}
}

// Gather implements stream.Gatherer. It takes nothing as long as something from
// the position on is there or buried: then single records are to be left out.
func (g gatherer) Gather(ctx context.Context, b stream.Batch) (taken, bytes int) {
	if g.m.phase == idle && g.m.done.Empty() {
		taken = g.gathered.add(ctx, b.Records)
	}
	return taken, g.gathered.pack.Bytes()
}

// WriteGathered implements stream.Gatherer. The range has the intent and the name
// that Write would give it, so that whoever comes next sees no difference (I2).
func (g gatherer) WriteGathered(ctx context.Context, intend stream.Intend) error {
	offsets := g.gathered.offsets
	if len(offsets) == 0 {
		return nil
	}
	if g.m.phase == idle {
		g.m.intends = g.h.intends(g.m.of.Topic) && intend != nil
		g.m.begin(offsets, func(int) uint64 { return g.gathered.hash.Sum64() })
	}
	if err := g.drive(ctx, intend); err != nil {
		if errors.As(err, new(*stream.QuarantineError)) {
			g.gathered.drop() // nobody comes back for it
		}
		return err
	}
	g.settled(offsets[len(offsets)-1])
	g.gathered.drop()
	return nil
}

// restore reads the records of the range in hand again if they were gathered: what
// follows is about single ones, or about their bytes. Their rows are let go of. A
// log that holds other records now is for a person to look at, as it is for the
// successor of a process that was killed here.
func (c *claim) restore(ctx context.Context) error {
	if c.records != nil {
		return nil
	}
	rs, err := c.reread(ctx, c.m.intent.First, c.m.intent.Last)
	if err != nil {
		return fmt.Errorf("reading the range %v again: %w", c.m.span(), err)
	}
	if len(rs) != c.m.intent.Records || Hash(rs) != c.gathered.hash.Sum64() {
		return c.otherLog(&c.m.intent, rs)
	}
	c.records = rs
	c.gathered.pack.Reset()
	return nil
}

func offsetsOf(rs []stream.Record) []int64 {
	offsets := make([]int64, len(rs))
	for i := range rs {
		offsets[i] = rs[i].Offset
	}
	return offsets
}
