package sinks

import (
	"context"
	"errors"
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
