package sinks

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// packOf counts how often it was emptied.
type packOf struct {
	Pack
	emptied int
}

func (p *packOf) Reset() { p.emptied++ }

// gatheredClaim is a claim of a range of four records that were gathered and are in
// the log; so many of them are to be written yet, and the one at index 2 waits for its
// letter.
func gatheredClaim(left int) (*claim, *packOf) {
	var log []stream.Record
	for offset := range int64(4) {
		log = append(log, stream.Record{Offset: 10 + offset, Value: []byte{byte(offset)}})
	}
	pack := new(packOf)
	g := &gathered{pack: pack, offsets: offsetsOf(log), hash: xxhash.New()}
	hashInto(g.hash, log)
	m := &machine{offsets: g.offsets, intent: Intent{First: 10, Last: 13, Records: 4}, rest: make([]int, left), pending: []Refusal{{Index: 2, Reason: schemas.DeadRefused}}}
	return &claim{m: m, gathered: g, reread: func(_ context.Context, _, _ int64, each func(stream.Record) error) error {
		for i := range log {
			if err := each(log[i]); err != nil {
				return err
			}
		}
		return nil
	}}, pack
}

// askedPack names some records, one answer after the other.
type askedPack struct {
	Pack
	answers [][]Refusal
}

func (p *askedPack) Add(_ context.Context, rs []stream.Record) (int, []Refusal) { return len(rs), nil }

func (p *askedPack) Ask(context.Context, Block) ([]Refusal, bool) {
	bad := p.answers[0]
	p.answers = p.answers[1:]
	return bad, true
}

// A store may name a record late, for a rule that it did not know when it was asked
// about that record first: its copy is gone, and it is read again for its letter.
func TestRecordsThatAreNamedLate(t *testing.T) {
	pack := &askedPack{answers: [][]Refusal{{{Index: 1}}, {{Index: 0}, {Index: 3}}}}
	g := &gathered{pack: pack, hash: xxhash.New(), spare: new(sync.Pool), kept: kept{spare: new(sync.Pool)}, keep: 1}
	for offset := range int64(4) {
		g.add(t.Context(), []stream.Record{{Offset: 10 + offset, Value: []byte{byte(offset)}}})
		if offset%2 == 1 {
			g.ask(t.Context(), Partition{}, 1)
		}
	}
	var bad []int
	for _, f := range g.bad {
		bad = append(bad, f.Index)
	}
	if !slices.Equal(bad, []int{0, 1, 3}) || g.keep != keptRanges+1 {
		t.Errorf("%v are bad, records are kept for %d ranges; want 0, 1 and 3, and %d", bad, g.keep, keptRanges+1)
	}
	for index, at := range []*stream.Record{nil, {Offset: 11, Value: []byte{1}}, nil, {Offset: 13, Value: []byte{3}}} {
		got := g.record(Partition{}, index)
		if (got == nil) != (at == nil) || got != nil && (got.Offset != at.Offset || !slices.Equal(got.Value, at.Value)) {
			t.Errorf("the copy of record %d is %v, want %v", index, got, at)
		}
	}
	if g.refused([]Refusal{{Index: 0}}); g.records(Partition{}) != nil {
		t.Error("a range has copies of all of its records, though some were let go of")
	}
}

// TestPickKeepsWhatHasALetter: of a range of which nothing is to be written any more
// only the records with letters are kept; else all of it is needed in a moment.
func TestPickKeepsWhatHasALetter(t *testing.T) {
	c, pack := gatheredClaim(0)
	if err := c.pick(t.Context()); err != nil || c.records != nil || len(c.picked) != 1 || c.record(2).Value[0] != 2 || pack.emptied != 1 {
		t.Errorf("%v: %d records, %d picked, rows let go of %d times", err, len(c.records), len(c.picked), pack.emptied)
	}
	c.reread = func(context.Context, int64, int64, func(stream.Record) error) error { return errors.New("away") }
	if err := c.pick(t.Context()); err != nil {
		t.Errorf("what is at hand is read again: %v", err)
	}
	c, _ = gatheredClaim(1)
	if err := c.pick(t.Context()); err != nil || len(c.records) != 4 || c.record(2).Value[0] != 2 {
		t.Errorf("%v: %d records, want all", err, len(c.records))
	}
}
