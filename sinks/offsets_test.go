package sinks_test

import (
	"math/rand/v2"
	"testing"

	"github.com/pricelake/pricelake/sinks"
)

// Offsets is a set: the same as a map, whatever is done in which order.
func TestOffsetsIsASet(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var o sinks.Offsets
		set := map[int64]bool{}
		for range 40 {
			first := int64(rng.IntN(50))
			last := first + int64(rng.IntN(6)) - 1
			switch rng.IntN(5) {
			case 0:
				o.Remove(first)
				delete(set, first)
			case 1:
				if first < 10 {
					o.Forget(first)
					for i := range first + 1 {
						delete(set, i)
					}
				}
			default:
				o.Add(first, last)
				for i := first; i <= last; i++ {
					set[i] = true
				}
			}
			same(t, &o, set)
		}
	}
}

func same(t *testing.T, o *sinks.Offsets, set map[int64]bool) {
	t.Helper()
	for i := range int64(60) {
		if o.Has(i) != set[i] {
			t.Fatalf("Has(%d) = %v, want %v", i, o.Has(i), set[i])
		}
	}
	if o.Count() != int64(len(set)) || o.Empty() != (len(set) == 0) {
		t.Fatalf("Count() = %d, want %d", o.Count(), len(set))
	}
	previous := int64(-5)
	for first, last := range o.Runs() {
		if first <= previous+1 || last < first {
			t.Fatalf("run %d-%d after %d: runs must be sorted and apart", first, last, previous)
		}
		previous = last
	}
}

func TestOffsetsTakeMemoryByTheHole(t *testing.T) {
	var o sinks.Offsets
	allocs := testing.AllocsPerRun(10, func() {
		for i := range int64(10_000) {
			o.Add(i, i)
		}
	})
	if allocs > 1 || o.Count() != 10_000 {
		t.Errorf("%v allocations for %d adjacent offsets", allocs, o.Count())
	}
}
