package dedupe

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pricelake/pricelake/schemas"
)

func TestSeenHoldsWhatWasAdded(t *testing.T) {
	const ids = 300_000
	s := seen{memory: newAllowance(1 << 20), whole: true}
	for n := range int64(ids) {
		id := eventID(n)
		s.add(&id)
	}
	absent := 0
	for n := range int64(ids) {
		held, other := eventID(n), eventID(n+ids)
		if s.absent(&held) {
			t.Fatalf("id %d is said to be absent", n)
		}
		if s.absent(&other) {
			absent++
		}
	}
	if share := float64(absent) / ids; share < 0.95 {
		t.Errorf("of the ids that are not there %.3f are known to be absent", share)
	}
	if left := s.memory.left.Load(); left < 1<<20-2*ids {
		t.Errorf("%d ids take %d bytes", ids, 1<<20-left)
	}
}

func TestSeenTakesNoRoomForWhatItHolds(t *testing.T) {
	s := seen{memory: newAllowance(seenFirst)}
	for range 3 {
		for n := range int64(seenFirst / 2) {
			id := eventID(n)
			s.add(&id)
		}
	}
	if s.full || len(s.layers) != 1 {
		t.Errorf("the same ids again took more memory: %d layers, full %v", len(s.layers), s.full)
	}
}

// TestSeenGivesUp: without memory for all ids it knows nothing, and says so.
func TestSeenGivesUp(t *testing.T) {
	s := seen{memory: newAllowance(2 * seenFirst), whole: true}
	for n := range int64(2 * seenFirst) {
		id := eventID(n)
		s.add(&id)
		if s.absent(&id) {
			t.Fatalf("id %d is said to be absent", n)
		}
	}
	strange := eventID(-1)
	if !s.full || s.absent(&strange) {
		t.Error("it says what it cannot know")
	}
	if left := s.memory.left.Load(); left != 2*seenFirst {
		t.Errorf("it keeps memory: %d bytes are left of %d", left, 2*seenFirst)
	}
}

// TestStateLearnsItsIDs opens a store that was there before: while its ids are
// read, bit by bit, and when all are, each id that is in it is found, whether it
// was there, came while they were read, or came later.
func TestStateLearnsItsIDs(t *testing.T) {
	const before, batch = 10_000, 500
	rng := rand.New(rand.NewPCG(4, 2))
	disk := vfs.NewMem()
	cache := pebble.NewCache(8 << 20)
	defer cache.Unref()
	open := func() *state { return mustOpenState(t, disk, cache) }
	// Ids come in any order of time, as histories do. A third of them never come.
	ids := make([]schemas.ID, 3*before)
	for i, n := range rng.Perm(len(ids)) {
		ids[i] = eventID(int64(n))
	}
	strange := ids[2*before:]
	put := func(s *state, from, to int) {
		t.Helper()
		for ; from < to; from += batch {
			changes := make([]change, batch)
			for i := range changes {
				changes[i] = change{ids[from+i], entry{offset: int64(from + i), values: 1}}
			}
			if err := s.apply(changes, checkpoint{next: int64(from + batch)}, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	entries, found := make([]entry, batch), make([]bool, batch)
	find := func(s *state, want bool, ids []schemas.ID) {
		t.Helper()
		clear(found)
		s.recent = recent{} // it would hide what the store is asked
		if err := s.lookup(ids, entries, found); err != nil {
			t.Fatal(err)
		}
		for i := range found {
			if found[i] != want {
				t.Fatalf("id %s is found: %v", ids[i], found[i])
			}
		}
	}
	s := open()
	if !s.seen.whole {
		t.Fatal("nothing is to be read of a new store")
	}
	put(s, 0, before)
	mustCloseState(t, s)
	s = open()
	defer mustCloseState(t, s)
	if s.seen.whole {
		t.Fatal("the ids of the store are known before they were read")
	}
	for there := before; there < 2*before; there += batch {
		known := rng.IntN(there - batch)
		find(s, true, ids[known:known+batch])
		find(s, false, strange[there-before:there-before+batch])
		put(s, there, there+batch)
	}
	if !s.seen.whole {
		t.Fatal("the ids of the store were never read")
	}
	for from := 0; from < 2*before; from += batch {
		find(s, true, ids[from:from+batch])
	}
}

func BenchmarkSeen(b *testing.B) {
	s := seen{memory: newAllowance(16 << 20), whole: true}
	id := func(n uint64) (id schemas.ID) {
		binary.LittleEndian.PutUint64(id[8:], mix(n))
		return id
	}
	for n := range uint64(3_000_000) {
		held := id(n)
		s.add(&held)
	}
	b.ResetTimer()
	for n := range b.N {
		strange := id(uint64(-n - 1))
		s.absent(&strange)
	}
}
