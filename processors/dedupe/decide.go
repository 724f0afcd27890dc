package dedupe

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"github.com/pricelake/pricelake/schemas"
)

// entry is what is remembered of an event id: its highest revision.
type entry struct {
	revision  int32
	withdrawn bool
	values    uint64 // hashValues of it, or unknownValues
	offset    int64  // of its record in the output partition
}

// unknownValues is no hash of any values: what the revision said is lost, so
// nothing repeats it.
const unknownValues = 0

// observation is what of an input record decides about it.
type observation struct {
	id        schemas.ID
	slot      bool // identified by the poll's slot alone
	withdrawn bool
	values    uint64
}

func observe(p *schemas.Price) observation {
	return observation{
		id:        p.EventID,
		slot:      p.Identity() == schemas.IdentitySlot,
		withdrawn: p.Withdrawn,
		values:    hashValues(p),
	}
}

// decide returns the revision with which o passes, or that it is a repeat of
// what is remembered under its id (nil: nothing). Values count against the
// highest revision only: A, B, A is three revisions.
func decide(known *entry, o *observation) (revision int32, pass bool) {
	switch {
	case known == nil:
		return 0, true
	case o.slot && o.withdrawn == known.withdrawn:
		// The source says no time, so a second answer within a poll's slot
		// cannot be told from a correction: the first one stands. Taking it
		// back is another matter.
		return 0, false
	case o.values == known.values:
		return 0, false
	}
	return known.revision + 1, true
}

// hashValues returns a hash of what SameValues compares, never unknownValues.
// Two different sets of values meet with a probability of 2^-64.
func hashValues(p *schemas.Price) uint64 {
	var buf [4*17 + 1]byte
	b := buf[:0]
	for _, d := range [...]*schemas.NullDecimal{&p.Price, &p.Bid, &p.Ask, &p.Size} {
		if !d.Valid {
			b = append(b, 0)
			continue
		}
		hi, lo := d.Decimal.Words()
		b = append(b, 1)
		b = binary.BigEndian.AppendUint64(b, uint64(hi))
		b = binary.BigEndian.AppendUint64(b, lo)
	}
	if p.Withdrawn {
		b = append(b, 1)
	}
	return max(xxhash.Sum64(b), unknownValues+1)
}
