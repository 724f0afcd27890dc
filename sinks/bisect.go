package sinks

import (
	"context"
	"fmt"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// mostBuried is how many records may be refused, with not one taken, before it
// counts as the table's fault. A source that sends a few bad values at once must
// not block its partition; dead letters for a batch or two of that size can be
// played again.
const mostBuried = 100

// drift tells bad records from a bad table. A large batch of which the server
// takes no row, now or before, meets a table that this version does not fit:
// nobody is helped by dead letters for all of it.
func drift(refused []Refusal, batch int) error {
	if batch <= mostBuried || len(refused) < batch {
		return nil
	}
	for _, f := range refused {
		if f.Reason != schemas.DeadRefused {
			return nil
		}
	}
	return fmt.Errorf("the server refuses each of %d rows: is its schema that of this version? run `pricelake migrate`: %w", len(refused), refused[0].Err)
}

// attemptAll writes rs under the current attempt. A refusal that names records
// has written nothing: the others are tried without them. One that names none
// is looked for by halving.
func (c *claim) attemptAll(ctx context.Context, rs []stream.Record) ([]Refusal, error) {
	if len(rs) == 0 {
		return nil, nil
	}
	err := c.h.store.Write(ctx, c.block(rs))
	if err == nil {
		return nil, nil
	}
	refused, ok := Refused(err)
	switch {
	case !ok:
		return nil, err
	case len(refused.Records) > 0:
		rest, places := without(rs, refused.Records)
		more, err := c.attemptAll(ctx, rest)
		if err != nil {
			return nil, err
		}
		return merge(refused.Records, at(more, places)), nil
	case len(rs) == 1:
		return []Refusal{{Reason: refused.Reason, Err: refused.Unwrap()}}, nil
	}
	return c.halve(ctx, rs)
}

// halve writes the two halves of rs, a block that was refused as a whole, each
// under a name of its own. Parts of the refused block may have been written
// (all or nothing holds for each partition of a table), so the store is asked
// first.
func (c *claim) halve(ctx context.Context, rs []stream.Record) ([]Refusal, error) {
	if err := c.recover(ctx, c.block(rs).Range); err != nil {
		return nil, err
	}
	c.verify = true
	mid := len(rs) / 2
	var refused []Refusal
	for _, half := range [][2]int{{0, mid}, {mid, len(rs)}} {
		missing, places := split(rs[half[0]:half[1]], half[0], &c.present)
		found, err := c.attemptAll(ctx, missing)
		if err != nil {
			return nil, err
		}
		refused = append(refused, at(found, places)...)
	}
	return refused, nil
}

func (c *claim) block(rs []stream.Record) Block {
	return Block{
		Range:   Range{Partition: c.of, First: rs[0].Offset, Last: rs[len(rs)-1].Offset},
		Epoch:   c.h.epoch,
		Attempt: c.attempt,
		Records: rs,
	}
}

// split returns the records of rs that are not present, and the index of each
// counted from base.
func split(rs []stream.Record, base int, present *Offsets) ([]stream.Record, []int) {
	rest := make([]stream.Record, 0, len(rs))
	places := make([]int, 0, len(rs))
	for i := range rs {
		if !present.Has(rs[i].Offset) {
			rest, places = append(rest, rs[i]), append(places, base+i)
		}
	}
	return rest, places
}

// without returns rs without the refused records, and the index in rs of each
// that is left.
func without(rs []stream.Record, refused []Refusal) ([]stream.Record, []int) {
	rest := make([]stream.Record, 0, len(rs))
	places := make([]int, 0, len(rs))
	for i := range rs {
		if len(refused) > 0 && refused[0].Index == i {
			refused = refused[1:]
			continue
		}
		rest, places = append(rest, rs[i]), append(places, i)
	}
	return rest, places
}

// at returns refusals with their index looked up in places.
func at(refused []Refusal, places []int) []Refusal {
	for i := range refused {
		refused[i].Index = places[refused[i].Index]
	}
	return refused
}

// merge returns two lists of refusals as one in order of the index.
func merge(a, b []Refusal) []Refusal {
	out := make([]Refusal, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0].Index < b[0].Index {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}
