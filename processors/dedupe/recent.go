package dedupe

import (
	"encoding/binary"

	"github.com/pricelake/pricelake/schemas"
)

// recentBits sizes the cache of recent ids: 2^14 places of 40 bytes a
// partition, several polls of everything.
const recentBits = 14

// recent remembers the entries of ids used lately, one place an id, the later
// one stays. It only saves look-ups: what is not in it may be in the store. The
// zero value is empty and takes its memory at the first put.
type recent struct {
	places []place
}

type place struct {
	id    schemas.ID
	entry entry
	used  bool
}

func (r *recent) get(id *schemas.ID) (entry, bool) {
	if r.places == nil {
		return entry{}, false
	}
	p := &r.places[index(id)]
	if !p.used || p.id != *id {
		return entry{}, false
	}
	return p.entry, true
}

func (r *recent) put(id *schemas.ID, e entry) {
	if r.places == nil {
		r.places = make([]place, 1<<recentBits)
	}
	r.places[index(id)] = place{id: *id, entry: e, used: true}
}

// index takes the last bytes of the id: they are hash, whatever the first say.
func index(id *schemas.ID) uint32 {
	return binary.LittleEndian.Uint32(id[12:]) >> (32 - recentBits)
}
