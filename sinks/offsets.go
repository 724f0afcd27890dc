package sinks

import (
	"iter"
	"slices"
	"sort"
)

// Offsets is a set of offsets, kept as runs: its size follows the number of
// holes, not of offsets. The zero value is empty.
type Offsets struct {
	runs []run // sorted, disjoint, never adjacent
}

type run struct{ first, last int64 }

// Add puts first to last, both included, into the set. Adding in ascending
// order is cheap.
func (o *Offsets) Add(first, last int64) {
	if last < first {
		return
	}
	n := len(o.runs)
	if n == 0 || first > o.runs[n-1].last+1 {
		o.runs = append(o.runs, run{first, last})
		return
	}
	// from is the first run that [first,last] touches, to the one after the last.
	from := sort.Search(n, func(i int) bool { return o.runs[i].last >= first-1 })
	to := from + sort.Search(n-from, func(i int) bool { return o.runs[from+i].first > last+1 })
	if from == to {
		o.runs = slices.Insert(o.runs, from, run{first, last})
		return
	}
	o.runs[from] = run{min(first, o.runs[from].first), max(last, o.runs[to-1].last)}
	o.runs = append(o.runs[:from+1], o.runs[to:]...)
}

// Has says whether the offset is in the set.
func (o *Offsets) Has(offset int64) bool {
	i := sort.Search(len(o.runs), func(i int) bool { return o.runs[i].last >= offset })
	return i < len(o.runs) && o.runs[i].first <= offset
}

// Remove takes one offset out of the set.
func (o *Offsets) Remove(offset int64) {
	i := sort.Search(len(o.runs), func(i int) bool { return o.runs[i].last >= offset })
	if i == len(o.runs) || o.runs[i].first > offset {
		return
	}
	left, right := run{o.runs[i].first, offset - 1}, run{offset + 1, o.runs[i].last}
	var keep []run
	for _, r := range []run{left, right} {
		if r.first <= r.last {
			keep = append(keep, r)
		}
	}
	o.runs = slices.Replace(o.runs, i, i+1, keep...)
}

// Count returns how many offsets are in the set.
func (o *Offsets) Count() int64 {
	var n int64
	for _, r := range o.runs {
		n += r.last - r.first + 1
	}
	return n
}

// countIn returns how many offsets from first to last are in the set.
func (o *Offsets) countIn(first, last int64) int64 {
	var n int64
	for _, r := range o.runs {
		n += max(0, min(last, r.last)-max(first, r.first)+1)
	}
	return n
}

// bounds returns the lowest and the highest offset of a set that is not empty.
func (o *Offsets) bounds() (first, last int64) {
	return o.runs[0].first, o.runs[len(o.runs)-1].last
}

// Empty says whether no offset is in the set.
func (o *Offsets) Empty() bool { return len(o.runs) == 0 }

// Forget takes every offset up to and including last out of the set.
func (o *Offsets) Forget(last int64) {
	i := sort.Search(len(o.runs), func(i int) bool { return o.runs[i].last > last })
	o.runs = o.runs[i:]
	if len(o.runs) > 0 && o.runs[0].first <= last {
		o.runs[0].first = last + 1
	}
}

// Runs yields the runs of adjacent offsets, first and last included, in order.
func (o *Offsets) Runs() iter.Seq2[int64, int64] {
	return func(yield func(int64, int64) bool) {
		for _, r := range o.runs {
			if !yield(r.first, r.last) {
				return
			}
		}
	}
}
