package sinks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/pricelake/pricelake/internal/stream"
)

// gathered is the rows of a range that is not cut yet, and what its intent must
// know of the records that they were made of: those have been let go of.
type gathered struct {
	pack    Pack
	offsets []int64
	hash    *xxhash.Digest
	// bad are the records that will never be rows, in order of their index of the
	// range, by which letters has copies of them, of so many bytes.
	bad       []Refusal
	letters   map[int]stream.Record
	ofLetters int
	// Of a range that keeps its records, kept are those from the index keptFrom on
	// that may be asked for; the others can only be read again. keep is how many
	// ranges more do it.
	keeps    bool
	kept     kept
	keptFrom int
	keep     int
	spare    *sync.Pool // of *[]int64: a backlog's offsets are not kept for the next one
}

// refusalBytes is about what a Refusal takes with its error.
const refusalBytes = 256

// keptRanges is of how many ranges the records are kept after one of which they were
// asked for: bad rows seldom come alone, and to read a range again costs more than
// all else that is done with it.
const keptRanges = 16

// refused notes which records of the range are given up: those that the store
// refused are asked for. g may be nil.
func (g *gathered) refused(rs []Refusal) {
	if g == nil || len(g.offsets) == 0 {
		return
	}
	for _, f := range rs {
		if _, named := g.letters[f.Index]; !named {
			g.keep = keptRanges + 1
		}
	}
}

// settled lets go of everything that was gathered, which is durable.
func (g *gathered) settled() {
	g.keep = max(0, g.keep-1)
	g.drop()
}

// add takes the first of some records and returns how many.
func (g *gathered) add(ctx context.Context, rs []stream.Record) int {
	if len(g.offsets) == 0 {
		g.keeps = g.keep > 0
	}
	taken, bad := g.pack.Add(ctx, rs)
	if g.keeps {
		for i := range rs[:taken] {
			g.kept.add(&rs[i])
		}
	}
	for _, f := range bad {
		r := &rs[f.Index]
		f.Index += len(g.offsets)
		g.note(f, r)
	}
	hashInto(g.hash, rs[:taken])
	if g.offsets == nil {
		g.offsets = g.room()
	}
	for i := range rs[:taken] {
		g.offsets = append(g.offsets, rs[i].Offset)
	}
	return taken
}

// ask lets go of the records that are kept but those whose rows the store would
// refuse: of the others no copies are needed, and a block may be as large as one
// without bad rows.
func (g *gathered) ask(ctx context.Context, of Partition, epoch uint32) {
	pack, ok := g.pack.(AskingPack)
	if !ok || g.kept.n == 0 {
		return
	}
	b := Block{Range: Range{Partition: of, First: g.offsets[0], Last: g.offsets[len(g.offsets)-1]}, Epoch: epoch, Offsets: g.offsets}
	bad, ok := pack.Ask(ctx, b)
	for _, f := range bad {
		g.note(f, g.record(of, f.Index))
		g.keep = keptRanges + 1
	}
	slices.SortFunc(g.bad, func(a, b Refusal) int { return cmp.Compare(a.Index, b.Index) })
	if ok {
		g.kept.drop()
		g.keptFrom = len(g.offsets)
	}
}

// note remembers a record that will never be a row, for its letter; it is nil if it
// is not at hand.
func (g *gathered) note(f Refusal, r *stream.Record) {
	g.bad = append(g.bad, f)
	if r == nil {
		return
	}
	if g.letters == nil {
		g.letters = map[int]stream.Record{}
	}
	g.letters[f.Index] = r.Clone()
	g.ofLetters += r.Size() + refusalBytes
}

// room is memory for offsets.
func (g *gathered) room() []int64 {
	if offsets, ok := g.spare.Get().(*[]int64); ok {
		return (*offsets)[:0]
	}
	return make([]int64, 0, fewOffsets)
}

// fewOffsets are what the smallest range that is gathered has.
const fewOffsets = 1024

// bytes is the memory of all that was gathered.
func (g *gathered) bytes() int {
	return g.pack.Bytes() + 8*cap(g.offsets) + g.ofLetters + g.kept.bytes
}

// record is the copy of a record, by its index of the range; nil if there is none.
func (g *gathered) record(of Partition, index int) *stream.Record {
	if r, found := g.letters[index]; found {
		return &r
	}
	if index -= g.keptFrom; index < 0 || index >= g.kept.n {
		return nil
	}
	r := stream.Record{Topic: of.Topic, TopicID: of.TopicID, Partition: of.Number, Offset: g.offsets[g.keptFrom+index]}
	g.kept.record(index, &r)
	return &r
}

// records are those of the range, if they were kept. They share memory with g.
func (g *gathered) records(of Partition) []stream.Record {
	if g.kept.n == 0 || g.kept.n < len(g.offsets) {
		return nil
	}
	rs := make([]stream.Record, g.kept.n)
	for i := range rs {
		rs[i] = *g.record(of, i)
	}
	return rs
}

// drop lets go of everything that was gathered; g may be nil.
func (g *gathered) drop() {
	if g == nil {
		return
	}
	g.pack.Reset()
	g.hash.Reset()
	g.bad, g.letters, g.ofLetters = nil, nil, 0
	g.kept.drop()
	g.keptFrom = 0
	if g.offsets != nil {
		offsets := g.offsets
		g.spare.Put(&offsets)
		g.offsets = nil
	}
}

// gatherer is a claim whose store makes rows of records as they come. It is a
// stream.Gatherer.
type gatherer struct{ *claim }

// gathering returns the claim as what its store makes of it.
func (c *claim) gathering() stream.RangeSink {
	store, ok := c.h.Store.(Gathering)
	if !ok || c.reread == nil || c.h.Compacted(c.m.of.Topic) {
		return c // a range of a compacted topic may not be read again as it was
	}
	pack := store.Gather(c.m.of)
	if pack == nil {
		return c
	}
	c.gathered = &gathered{pack: pack, hash: xxhash.New(), spare: &c.h.offsets, kept: kept{spare: &c.h.chunks}}
	return gatherer{c}
}

// Gather implements stream.Gatherer. It takes nothing as long as something from
// the position on is there or buried: then single records are to be left out.
func (g gatherer) Gather(ctx context.Context, b stream.Batch) (taken, bytes int) {
	if g.m.phase == idle && g.m.done.Empty() {
		taken = g.gathered.add(ctx, b.Records)
		g.gathered.ask(ctx, g.m.of, g.m.epoch)
	}
	return taken, g.gathered.bytes()
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
			g.records, g.picked = nil, nil // nobody comes back for it
			g.gathered.drop()
		}
		return err
	}
	g.settled(offsets[len(offsets)-1])
	g.gathered.settled()
	return nil
}

// restore gets the records of the range in hand back if they were gathered: what
// follows is about single ones, or about their bytes. If they were not kept they are
// read again. Their rows are let go of. A
// log that holds other records now is for a person to look at, as it is for the
// successor of a process that was killed here.
func (c *claim) restore(ctx context.Context) error {
	if c.records != nil {
		return nil
	}
	rs := c.gathered.records(c.m.of)
	if rs == nil {
		var err error
		if rs, err = c.reread.All(ctx, c.m.intent.First, c.m.intent.Last); err != nil {
			return fmt.Errorf("reading the range %v again: %w", c.m.span(), err)
		}
		if len(rs) != c.m.intent.Records || Hash(rs) != c.gathered.hash.Sum64() {
			return c.otherLog(&c.m.intent, rs)
		}
	}
	c.records = rs
	c.gathered.pack.Reset()
	return nil
}

// pick gets the records at hand whose letters wait. Those of a gathered range that
// were not kept are read again with all others. Where letters are all that is left to
// do, nothing of the others is kept, nor of their rows: a whole range of records takes
// as much memory as all that a process may hold.
func (c *claim) pick(ctx context.Context) error {
	if c.records != nil {
		return nil
	}
	var lacking []int
	for _, f := range c.m.pending {
		if c.record(f.Index) == nil {
			lacking = append(lacking, f.Index)
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	if len(c.m.rest) > 0 {
		return c.restore(ctx) // they are to be written yet
	}
	c.gathered.pack.Reset()
	picked := make(map[int]*stream.Record, len(lacking))
	var one [1]stream.Record
	hash, n := xxhash.New(), 0
	err := c.reread(ctx, c.m.intent.First, c.m.intent.Last, func(r stream.Record) error {
		one[0] = r
		hashInto(hash, one[:])
		n++
		if len(lacking) > 0 && r.Offset == c.m.offsets[lacking[0]] {
			found := r.Clone()
			picked[lacking[0]], lacking = &found, lacking[1:]
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the range %v again: %w", c.m.span(), err)
	}
	if n != c.m.intent.Records || hash.Sum64() != c.gathered.hash.Sum64() {
		return c.restore(ctx) // which says what is different
	}
	c.picked = picked
	return nil
}

func offsetsOf(rs []stream.Record) []int64 {
	offsets := make([]int64, len(rs))
	for i := range rs {
		offsets[i] = rs[i].Offset
	}
	return offsets
}
