package sinks_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/sinks"
	"github.com/pricelake/pricelake/sinks/sinktest"
)

// gathering opens a claim of a store that gathers; rereads counts how often records
// were read again, which gives those of log.
func gathering(t *testing.T, m *sinktest.Memory, p *publisher, log []stream.Record, rereads *int) stream.Gatherer {
	t.Helper()
	c := claim(0, 0)
	c.Reread = sinktest.Log(func() []stream.Record {
		*rereads++
		return log
	})
	s, err := handler(sinktest.Gathering{Store: m}, p, prometheus.NewRegistry()).Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s.(stream.Gatherer)
}

// roomOfOffsets is what the offsets of a short range take.
const roomOfOffsets = 8 * 1024

// Records are read again only where single ones matter: not after a write that left
// nothing or everything, nor for a name that is used up, but for a part that is
// missing and for dead letters.
func TestGatheredRecordsAreReadAgainWhenTheyMatter(t *testing.T) {
	for fault, rereads := range map[sinktest.Fault]int{
		sinktest.None: 0, sinktest.Before: 0, sinktest.After: 0, sinktest.Burned: 0, sinktest.Half: 1,
	} {
		m, got, faults := sinktest.NewMemory(), 0, 1
		m.Fault = func(sinks.Block) sinktest.Fault {
			if faults--; faults < 0 {
				return sinktest.None
			}
			return fault
		}
		b := batch(0, nil, 1, 2, 4, 5)
		s := gathering(t, m, new(publisher), b.Records, &got)
		if n, held := s.Gather(t.Context(), b); n != 4 || held != 400+roomOfOffsets {
			t.Fatalf("%d taken, %d bytes held", n, held)
		}
		intended := ""
		intend := func(_ context.Context, _ int64, text string) error { intended = text; return nil }
		err := s.WriteGathered(t.Context(), intend)
		if (err != nil) != (fault != sinktest.None) {
			t.Errorf("fault %v: %v", fault, err)
		}
		if err != nil {
			err = s.WriteGathered(t.Context(), intend)
		}
		if err != nil || got != rereads {
			t.Errorf("fault %v: %v, read again %d times, want %d", fault, err, got, rereads)
		}
		want(t, m, 0, 1, 2, 4, 5)
		intent, err := sinks.ParseIntent(intended)
		if err != nil || intent.Hash != sinks.Hash(b.Records) || intent.First != 1 || intent.Last != 5 || intent.Records != 4 || !intent.Holes.Has(3) {
			t.Errorf("fault %v: the intent is %q, %v", fault, intended, err)
		}
		if n, held := s.Gather(t.Context(), batch(0, nil, 7)); n != 1 || held != 100+roomOfOffsets {
			t.Errorf("fault %v: of the next range %d taken, %d bytes held", fault, n, held)
		}
	}
}

// A record that a store refuses of a gathered range is buried with its own bytes.
func TestGatheredRecordIsBuried(t *testing.T) {
	m, p, rereads := sinktest.NewMemory(), new(publisher), 0
	b := batch(0, map[int64]string{3: sinktest.Unwanted, 6: sinktest.Unreadable}, 1, 2, 3, 4, 5, 6, 7)
	s := gathering(t, m, p, b.Records, &rereads)
	if n, _ := s.Gather(t.Context(), b); n != 7 {
		t.Fatalf("%d records were taken, want all", n)
	}
	if err := s.WriteGathered(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	want(t, m, 0, 1, 2, 4, 5, 7)
	letters := []string{}
	for i := range p.sent {
		letters = append(letters, string(p.sent[i].Value))
	}
	slices.Sort(letters)
	if !slices.Equal(letters, []string{sinktest.Unreadable, sinktest.Unwanted}) || rereads != 1 {
		t.Errorf("the dead letters are %q, read again %d times; want both with their bytes, and once", letters, rereads)
	}
}

// The records whose letters cannot be published yet are read again once, not with each
// try.
func TestLettersOfGatheredRecordsWaitForTheBroker(t *testing.T) {
	m, p, rereads := sinktest.NewMemory(), &publisher{fails: 2}, 0
	m.Names = true
	b := batch(0, map[int64]string{2: sinktest.Unwanted, 4: sinktest.Unreadable, 5: sinktest.Unwanted}, 1, 2, 3, 4, 5, 6)
	s := gathering(t, m, p, b.Records, &rereads)
	s.Gather(t.Context(), b)
	for try := 1; ; try++ {
		err := s.WriteGathered(t.Context(), nil)
		if err == nil {
			break
		}
		if try > 2 {
			t.Fatal(err)
		}
	}
	want(t, m, 0, 1, 3, 6)
	var letters []string
	for i := range p.sent {
		letters = append(letters, string(p.sent[i].Key)+" "+string(p.sent[i].Value))
	}
	if !slices.Equal(letters, []string{"2 " + sinktest.Unwanted, "4 " + sinktest.Unreadable, "5 " + sinktest.Unwanted}) || rereads != 1 {
		t.Errorf("the dead letters are %q, read again %d times; want those of 2, 4 and 5, and once", letters, rereads)
	}
}

// Letters are never made of a log that holds other records than were gathered: fewer,
// or a good one with other content.
func TestLettersAreNotMadeOfAnotherLog(t *testing.T) {
	for _, other := range []stream.Batch{
		batch(0, map[int64]string{2: sinktest.Unwanted}, 2, 3),
		batch(0, map[int64]string{2: sinktest.Unwanted, 3: "another"}, 1, 2, 3),
	} {
		m, p, rereads := sinktest.NewMemory(), new(publisher), 0
		m.Names = true
		s := gathering(t, m, p, other.Records, &rereads)
		s.Gather(t.Context(), batch(0, map[int64]string{2: sinktest.Unwanted}, 1, 2, 3))
		var q *stream.QuarantineError
		if err := s.WriteGathered(t.Context(), nil); !errors.As(err, &q) || q.First != 1 || len(p.sent) > 0 {
			t.Errorf("%d dead letters, %v; want none, and a quarantine from 1 on", len(p.sent), err)
		}
	}
}

// Where a store can be asked beforehand which rows it will refuse, copies of no other
// records are kept for long, and none is read again: neither for letters that were
// named by it nor for those of its last word.
func TestStoreIsAskedAboutGatheredRecords(t *testing.T) {
	m, p, rereads, asked := sinktest.NewMemory(), new(publisher), 0, 0
	m.Names = true
	values := map[int64]string{}
	for _, at := range []int64{3, 14, 15, 20, 29} {
		values[at] = sinktest.Unwanted
	}
	values[13], values[28] = sinktest.Unreadable, sinktest.Unreadable
	var log []stream.Record
	for at := range int64(30) {
		log = append(log, batch(0, values, at+1).Records...)
	}
	c := claim(0, 0)
	c.Reread = sinktest.Log(func() []stream.Record { rereads++; return log[:10] })
	sink, err := handler(sinktest.Asked{Store: m, Every: 4, Times: &asked}, p, prometheus.NewRegistry()).Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	s := sink.(stream.Gatherer)
	const copies = 64 << 10 // take at least that
	var kept []int          // records of which copies were held
	for rs := range slices.Chunk(log, 10) {
		for one := range slices.Chunk(rs, 2) {
			b := batch(0, nil)
			for i := range one {
				b.Records = append(b.Records, one[i].Clone())
			}
			if _, held := s.Gather(t.Context(), b); held >= copies {
				kept = append(kept, int(one[0].Offset))
			}
			for i := range b.Records {
				clear(b.Records[i].Value)
			}
		}
		if err := s.WriteGathered(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 4 || !slices.Equal(kept, []int{11, 15, 19, 21, 25, 29}) {
		t.Errorf("the store was asked %d times, copies were held from %d on; want twice in each range but the first, and none after that", asked, kept)
	}
	var letters []string
	for i := range p.sent {
		letters = append(letters, string(p.sent[i].Key)+" "+string(p.sent[i].Value))
	}
	slices.Sort(letters)
	if got := strings.Join(letters, ", "); got != "13 unreadable, 14 unwanted, 15 unwanted, 20 unwanted, 28 unreadable, 29 unwanted, 3 unwanted" || rereads != 1 {
		t.Errorf("the dead letters are %s, read again %d times; want them with their bytes, and once for the first", got, rereads)
	}
	var good []int64
	for at := range int64(30) {
		if values[at+1] == "" {
			good = append(good, at+1)
		}
	}
	want(t, m, 0, good...)
}

// Records that cannot be read end no range: they are buried with their own bytes,
// which nobody reads again, whatever comes of the write.
func TestGatheredRecordsThatCannotBeRead(t *testing.T) {
	for _, fault := range []sinktest.Fault{sinktest.None, sinktest.Before, sinktest.Burned} {
		m, p, rereads, faults := sinktest.NewMemory(), new(publisher), 0, 1
		m.Parts = true
		m.Fault = func(sinks.Block) sinktest.Fault {
			if faults--; faults < 0 {
				return sinktest.None
			}
			return fault
		}
		b := batch(0, map[int64]string{2: sinktest.Unreadable, 5: sinktest.Unreadable}, 1, 2, 3, 4, 5, 6)
		s := gathering(t, m, p, nil, &rereads)
		for i := range b.Records {
			one := b
			one.Records = []stream.Record{b.Records[i].Clone()}
			if n, _ := s.Gather(t.Context(), one); n != 1 {
				t.Fatalf("offset %d is not taken", b.Records[i].Offset)
			}
			clear(one.Records[0].Value)
		}
		err := s.WriteGathered(t.Context(), nil)
		if err != nil {
			err = s.WriteGathered(t.Context(), nil)
		}
		if err != nil {
			t.Errorf("fault %v: %v", fault, err)
		}
		want(t, m, 0, 1, 3, 4, 6)
		if len(p.sent) != 2 || string(p.sent[0].Key) != "2" || string(p.sent[1].Key) != "5" || string(p.sent[1].Value) != sinktest.Unreadable || rereads != 0 {
			t.Errorf("fault %v: %d dead letters, %v, read again %d times; want those of 2 and 5, and never", fault, len(p.sent), p.sent, rereads)
		}
	}
}

// A store that takes no row at all has tables that do not fit, also where one record
// could not be read: nobody is helped by dead letters for the others.
func TestABadTableIsNoFaultOfRecords(t *testing.T) {
	values := map[int64]string{}
	var offsets []int64
	for offset := range int64(300) {
		values[offset], offsets = sinktest.Unwanted, append(offsets, offset)
	}
	values[7] = sinktest.Unreadable
	for _, gathers := range []bool{false, true} {
		m, p, rereads := sinktest.NewMemory(), new(publisher), 0
		b := batch(0, values, offsets...)
		s := gathering(t, m, p, b.Records, &rereads)
		write := func() error { return s.Write(t.Context(), b, nil) }
		if gathers {
			s.Gather(t.Context(), b)
			write = func() error { return s.WriteGathered(t.Context(), nil) }
		}
		for range 3 {
			if err := write(); err == nil || !strings.Contains(err.Error(), "pricelake migrate") {
				t.Fatalf("gathered %v: %v", gathers, err)
			}
		}
		for i := range p.sent {
			if string(p.sent[i].Key) != "7" {
				t.Fatalf("gathered %v: %d dead letters, one of offset %s", gathers, len(p.sent), p.sent[i].Key)
			}
		}
	}
}

// A log that holds other records than were gathered is for a person to look at.
func TestGatheredRecordsAreGone(t *testing.T) {
	for _, log := range [][]stream.Record{nil, batch(0, nil, 1, 3).Records, batch(0, map[int64]string{1: "other"}, 1, 2, 3).Records} {
		m, rereads := sinktest.NewMemory(), 0
		b := batch(0, map[int64]string{2: sinktest.Unwanted}, 1, 2, 3)
		s := gathering(t, m, new(publisher), log, &rereads)
		s.Gather(t.Context(), b)
		q := new(stream.QuarantineError)
		if err := s.WriteGathered(t.Context(), nil); !errors.As(err, &q) || q.Last > 3 || len(m.Rows(of(0))) > 0 {
			t.Errorf("%d records are left: %v", len(log), err)
		}
	}
}

// A range of a compacted topic may not be read again as it was: nothing is gathered.
func TestNothingIsGatheredOfCompactedTopics(t *testing.T) {
	c := claim(0, 0)
	c.Reread = sinktest.Log(func() []stream.Record { return nil })
	h := handler(sinktest.Gathering{Store: sinktest.NewMemory()}, new(publisher), prometheus.NewRegistry())
	h.Compacted = func(topic string) bool { return topic == c.Topic }
	s, err := h.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if _, gathers := s.(stream.Gatherer); gathers {
		t.Error("ranges of a compacted topic are gathered")
	}
}

// While something beyond the position is there, nothing is gathered: records are to
// be left out then.
func TestNothingIsGatheredOverRows(t *testing.T) {
	m, rereads := sinktest.NewMemory(), 0
	b := batch(0, nil, 1, 2, 3)
	if err := m.Write(t.Context(), sinks.Block{Range: sinks.Range{Partition: of(0), First: 1, Last: 2}, Records: b.Records[:2]}); err != nil {
		t.Fatal(err)
	}
	s := gathering(t, m, new(publisher), b.Records, &rereads)
	if n, _ := s.Gather(t.Context(), b); n != 0 {
		t.Errorf("%d records were taken", n)
	}
	if err := s.Write(t.Context(), b, nil); err != nil {
		t.Fatal(err)
	}
	want(t, m, 0, 1, 2, 3)
	if n, _ := s.Gather(t.Context(), batch(0, nil, 4, 5)); n != 2 {
		t.Errorf("%d records were taken of the next range, want 2", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
