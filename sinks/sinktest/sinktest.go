// Package sinktest is what every sinks.Store must do, as a test that is run over
// each of them, and a store in memory that a Handler can be tried against.
package sinktest

import (
	"context"
	"maps"
	"math"
	"sync"
	"testing"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/sinks"
)

// Subject is a store under test, empty and used by one test only.
type Subject struct {
	Store sinks.Store
	// Topic is a topic the store takes, TopicID one that no other subject
	// uses.
	Topic   string
	TopicID stream.TopicID
	// Record makes the good record of an offset: different offsets may fall
	// into different partitions of what the store writes to. Bad makes one
	// that can never be read.
	Record func(offset int64) stream.Record
	Bad    func(offset int64) stream.Record
	// Rows returns how many rows each offset of a partition has.
	Rows func(t *testing.T, p sinks.Partition) map[int64]int
}

func (s *Subject) partition(number int32) sinks.Partition {
	return sinks.Partition{Topic: s.Topic, TopicID: s.TopicID, Number: number}
}

// block makes the block of the records of offsets, in ascending order.
func (s *Subject) block(p sinks.Partition, attempt int32, offsets ...int64) sinks.Block {
	b := sinks.Block{Range: sinks.Range{Partition: p, First: offsets[0], Last: offsets[len(offsets)-1]}, Epoch: 1, Attempt: attempt}
	for _, offset := range offsets {
		r := s.Record(offset)
		r.Topic, r.TopicID, r.Partition, r.Offset = p.Topic, p.TopicID, p.Number, offset
		b.Records = append(b.Records, r)
	}
	return b
}

// Run runs the conformance tests; open is called for each. Subjects may share a
// store.
func Run(t *testing.T, open func(t *testing.T) *Subject) {
	for name, test := range map[string]func(*testing.T, *Subject){
		"Write":      testWrite,
		"Repeat":     testRepeat,
		"Partitions": testPartitions,
		"Present":    testPresent,
		"Attempt":    testAttempt,
		"Refused":    testRefused,
		"Cancelled":  testCancelled,
		"Parallel":   testParallel,
		"Fence":      testFence,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func write(t *testing.T, s *Subject, b sinks.Block) {
	t.Helper()
	if err := s.Store.Write(t.Context(), b); err != nil {
		t.Fatalf("Write(%v): %v", b.Range, err)
	}
}

// want fails unless the partition has exactly one row for each of the offsets.
func want(t *testing.T, s *Subject, p sinks.Partition, offsets ...int64) {
	t.Helper()
	rows := map[int64]int{}
	for _, offset := range offsets {
		rows[offset] = 1
	}
	if got := s.Rows(t, p); !maps.Equal(got, rows) {
		t.Errorf("%v has rows %v, want %v", p, got, rows)
	}
	present, err := s.Store.Present(t.Context(), sinks.Range{Partition: p, First: 0, Last: math.MaxInt64})
	if err != nil {
		t.Fatal(err)
	}
	if present.Count() != int64(len(offsets)) {
		t.Errorf("Present says %d offsets of %v, want %d", present.Count(), p, len(offsets))
	}
	for _, offset := range offsets {
		if !present.Has(offset) {
			t.Errorf("Present lacks offset %d of %v", offset, p)
		}
	}
}

// What Write returned nil for is there, holes and all.
func testWrite(t *testing.T, s *Subject) {
	p := s.partition(0)
	write(t, s, s.block(p, 0, 3, 4, 7, 100))
	write(t, s, s.block(p, 0, 101))
	want(t, s, p, 3, 4, 7, 100, 101)
}

// The same block again is a no-op, also after others.
func testRepeat(t *testing.T, s *Subject) {
	p := s.partition(0)
	write(t, s, s.block(p, 0, 1, 2, 3))
	write(t, s, s.block(p, 0, 1, 2, 3))
	write(t, s, s.block(p, 0, 4, 5))
	write(t, s, s.block(p, 0, 1, 2, 3))
	want(t, s, p, 1, 2, 3, 4, 5)
}

// Partitions, and topics created again under their name, are strangers to each
// other: the same offsets of another are other records.
func testPartitions(t *testing.T, s *Subject) {
	p, other, again := s.partition(1), s.partition(11), s.partition(1)
	again.TopicID[15]++
	for _, p := range []sinks.Partition{p, other, again} {
		write(t, s, s.block(p, 0, 1, 2))
	}
	write(t, s, s.block(other, 0, 3))
	want(t, s, p, 1, 2)
	want(t, s, other, 1, 2, 3)
	want(t, s, again, 1, 2)
}

// Present answers for the range it was asked about, both ends included.
func testPresent(t *testing.T, s *Subject) {
	p := s.partition(0)
	write(t, s, s.block(p, 0, 10, 11, 13, 20))
	present, err := s.Store.Present(t.Context(), sinks.Range{Partition: p, First: 11, Last: 13})
	if err != nil {
		t.Fatal(err)
	}
	if present.Count() != 2 || !present.Has(11) || !present.Has(13) {
		t.Errorf("of 11-13 %d offsets are present, want 11 and 13", present.Count())
	}
	for _, r := range []sinks.Range{{Partition: p, First: 0, Last: 9}, {Partition: p, First: 21, Last: math.MaxInt64}, {Partition: s.partition(5), First: 0, Last: math.MaxInt64}} {
		present, err := s.Store.Present(t.Context(), r)
		if err != nil || !present.Empty() {
			t.Errorf("of %v %d offsets are present, %v; want none", r, present.Count(), err)
		}
	}
}

// Another attempt is another block, though its range is the same.
func testAttempt(t *testing.T, s *Subject) {
	p := s.partition(0)
	write(t, s, s.block(p, 0, 1, 9))
	b := s.block(p, 1, 2, 3)
	b.First, b.Last = 1, 9
	write(t, s, b)
	want(t, s, p, 1, 2, 3, 9)
}

// Records that can never be read are named, and nothing is written.
func testRefused(t *testing.T, s *Subject) {
	p := s.partition(0)
	b := s.block(p, 0, 1, 2, 3, 4)
	for _, i := range []int{1, 3} {
		bad := s.Bad(b.Records[i].Offset)
		bad.Topic, bad.TopicID, bad.Partition, bad.Offset = p.Topic, p.TopicID, p.Number, b.Records[i].Offset
		b.Records[i] = bad
	}
	refused, ok := sinks.Refused(s.Store.Write(t.Context(), b))
	if !ok || len(refused.Records) != 2 || refused.Records[0].Index != 1 || refused.Records[1].Index != 3 {
		t.Fatalf("Write of two bad records = %v, want a refusal of the indexes 1 and 3", refused)
	}
	if refused.Written {
		want(t, s, p, 1, 3)
	} else {
		want(t, s, p)
	}
	b.Records = []stream.Record{b.Records[0], b.Records[2]}
	write(t, s, b) // under the same name
	want(t, s, p, 1, 3)
}

// A write cut short is followed by a fence, a look and a new attempt: each record
// is there once.
func testCancelled(t *testing.T, s *Subject) {
	p := s.partition(0)
	offsets := []int64{1, 2, 3, 4, 5, 6}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Store.Write(ctx, s.block(p, 0, offsets...)); err == nil {
		t.Fatal("Write under a context that has ended returned nil")
	}
	if err := s.Store.Fence(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	present, err := s.Store.Present(t.Context(), sinks.Range{Partition: p, First: 1, Last: 6})
	if err != nil {
		t.Fatal(err)
	}
	var missing []int64
	for _, offset := range offsets {
		if !present.Has(offset) {
			missing = append(missing, offset)
		}
	}
	if len(missing) > 0 {
		write(t, s, s.block(p, 1, missing...))
	}
	want(t, s, p, offsets...)
}

func testParallel(t *testing.T, s *Subject) {
	var wg sync.WaitGroup
	for number := range int32(4) {
		wg.Go(func() {
			for block := range int64(5) {
				first := block * 10
				b := s.block(s.partition(number), 0, first, first+1, first+5)
				if err := s.Store.Write(t.Context(), b); err != nil {
					t.Errorf("Write(%v): %v", b.Range, err)
				}
			}
		})
	}
	wg.Wait()
	for number := range int32(4) {
		want(t, s, s.partition(number), 0, 1, 5, 10, 11, 15, 20, 21, 25, 30, 31, 35, 40, 41, 45)
	}
}

// A fence leaves alone what is written, and what others write.
func testFence(t *testing.T, s *Subject) {
	p := s.partition(1)
	write(t, s, s.block(p, 0, 1, 2))
	var wg sync.WaitGroup
	wg.Go(func() {
		for offset := range int64(20) {
			b := s.block(s.partition(11), 0, offset)
			if err := s.Store.Write(t.Context(), b); err != nil {
				t.Errorf("Write(%v): %v", b.Range, err)
			}
		}
	})
	for range 5 {
		if err := s.Store.Fence(t.Context(), p); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	want(t, s, p, 1, 2)
}
