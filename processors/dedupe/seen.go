package dedupe

import (
	"encoding/binary"
	"math/bits"
	"sync/atomic"

	"github.com/pricelake/pricelake/schemas"
)

const (
	// seenBlockBits are a cache line: an id sets its bits in one of them.
	seenBlockBits = 512
	// seenBits is how many bits an id sets, and seenIDs how many ids a block is
	// made for: 8 bits of memory each, and 3 % of the ids that are new are looked
	// for in the store all the same.
	seenBits = 5
	seenIDs  = 64
	// seenFirst is how many ids the first layer is made for; each later one is
	// made for twice as many as the one before.
	seenFirst = 1 << 17
)

// seen is a Bloom filter over the ids of one store: it may take an id for one
// of them that is none, never the other way round, so a new id need not be
// looked for. It takes a byte for an id, up to twice that while it grows. The
// zero value holds nothing and is not whole.
type seen struct {
	memory *allowance
	layers []seenLayer
	whole  bool // it holds every id of the store
	full   bool // the allowance is used up: it holds nothing any more, and never will

	// Until it is whole: the ids below next are in it, and so is every id that
	// was added to the store meanwhile. credit is how many may be read for it.
	next   []byte
	credit int
}

type seenBlock [seenBlockBits / 64]uint64

type seenLayer struct {
	blocks []seenBlock
	room   int // how many ids more it is made for
}

// absent says whether id is certainly not in the store.
func (s *seen) absent(id *schemas.ID) bool {
	return s.whole && !s.has(seenHash(id))
}

func (s *seen) has(h uint64) bool {
	for i := len(s.layers) - 1; i >= 0; i-- {
		if s.layers[i].has(h) {
			return true
		}
	}
	return false
}

// add takes note of an id of the store. One that is there is not added again:
// a revision takes no room.
func (s *seen) add(id *schemas.ID) {
	h := seenHash(id)
	if s.full || s.has(h) {
		return
	}
	if n := len(s.layers); (n == 0 || s.layers[n-1].room == 0) && !s.grow() {
		return
	}
	s.layers[len(s.layers)-1].add(h)
}

// grow adds a layer, or gives everything back when there is no memory for it.
func (s *seen) grow() bool {
	ids := seenFirst << len(s.layers)
	if s.memory.take(ids) {
		s.layers = append(s.layers, seenLayer{make([]seenBlock, ids/seenIDs), ids})
		return true
	}
	s.release()
	s.full = true
	return false
}

// release gives the memory back. What s said of ids it says no more.
func (s *seen) release() {
	for i := range s.layers {
		s.memory.give(len(s.layers[i].blocks) * seenIDs)
	}
	s.layers, s.whole = nil, false
}

// seenHash takes the last bytes of the id: they are hash, whatever the first say.
func seenHash(id *schemas.ID) uint64 { return binary.LittleEndian.Uint64(id[8:]) }

// block takes the highest bits of h, the bits in it the lowest: they do not meet
// below 2^19 blocks.
func (l *seenLayer) block(h uint64) *seenBlock {
	i, _ := bits.Mul64(h, uint64(len(l.blocks)))
	return &l.blocks[i]
}

func (l *seenLayer) add(h uint64) {
	b := l.block(h)
	for range seenBits {
		b[h%seenBlockBits/64] |= 1 << (h % 64)
		h /= seenBlockBits
	}
	l.room--
}

func (l *seenLayer) has(h uint64) bool {
	b := l.block(h)
	for range seenBits {
		if b[h%seenBlockBits/64]&(1<<(h%64)) == 0 {
			return false
		}
		h /= seenBlockBits
	}
	return true
}

// allowance is the memory that the filters of all partitions of a process share,
// in bytes, which are ids. It may be used in parallel.
type allowance struct{ left atomic.Int64 }

func newAllowance(n int) *allowance {
	a := &allowance{}
	a.give(n)
	return a
}

func (a *allowance) take(n int) bool {
	if a.left.Add(int64(-n)) >= 0 {
		return true
	}
	a.give(n)
	return false
}

func (a *allowance) give(n int) { a.left.Add(int64(n)) }
