package sinks_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/sinks"
	"github.com/pricelake/pricelake/sinks/sinktest"
)

// counting counts writes, and is gone after some.
type counting struct {
	*sinktest.Memory
	writes, until int
	records       int
}

func (c *counting) Write(ctx context.Context, b sinks.Block) error {
	if c.until > 0 && c.writes >= c.until {
		return errors.New("killed")
	}
	c.writes++
	c.records += len(b.Records)
	return c.Memory.Write(ctx, b)
}

// One bad record in 100,000 costs one dead letter and at most twenty writes more,
// wherever it is, also when the search for it is killed in the middle and gone on
// with by another.
func TestOneBadRecordIsFoundInTwentyWrites(t *testing.T) {
	f := func(n, bad int64, most int, kills ...int) {
		t.Helper()
		offsets := make([]int64, n)
		for i := range offsets {
			offsets[i] = int64(i)
		}
		for _, kill := range kills {
			m, p := sinktest.NewMemory(), new(publisher)
			b := batch(0, map[int64]string{bad: sinktest.Unwanted}, offsets...)
			metadata := ""
			intend := func(_ context.Context, _ int64, text string) error { metadata = text; return nil }
			store := &counting{Memory: m, until: kill}
			write := func() error {
				c := claim(0, 0)
				c.Metadata, c.Intend = metadata, intend
				c.Reread = sinktest.Log(func() []stream.Record { return slices.Clone(b.Records) })
				s, err := handler(store, p, prometheus.NewRegistry()).Open(t.Context(), c)
				if err != nil {
					return err
				}
				return s.Write(t.Context(), b, intend)
			}
			if err := write(); (err != nil) != (kill > 0) {
				t.Fatalf("record %d, kill after %d writes: %v", bad, kill, err)
			}
			store.until = 0
			if err := write(); err != nil {
				t.Fatal(err)
			}
			if len(p.sent) != 1 || int64(len(m.Rows(of(0)))) != n-1 {
				t.Errorf("record %d: %d rows and %d dead letters, want %d and 1", bad, len(m.Rows(of(0))), len(p.sent), n-1)
			}
			if extra := store.writes - 1; extra > most {
				t.Errorf("record %d, kill after %d writes: %d writes more than one, want at most %d", bad, kill, extra, most)
			}
		}
	}
	f(100_000, 77_777, 20, 0, 9)
	for _, bad := range []int64{0, 1, 499, 500, 777, 999} {
		f(1000, bad, 13, 0, 2, 7, 9)
	}
}

// Many bad records cost a few writes each and the writing of the range a few times
// over, not once for each: whether the store names them, names the wrong ones or
// none. The dead letters are exact.
func TestManyBadRecords(t *testing.T) {
	const n, every = 4_000, 100
	values, offsets, bad := map[int64]string{}, make([]int64, n), 0
	for i := range int64(n) {
		if offsets[i] = i; i%every == 7*i/n { // at another place of each hundred
			values[i] = sinktest.Unwanted
			bad++
		}
	}
	for name, tc := range map[string]struct {
		blame func(int) int
		most  int // writes for each
	}{
		"named":         {func(i int) int { return i }, 5},
		"named wrongly": {func(i int) int { return i + 1 }, 14},
		"not named":     {nil, 12},
	} {
		m, p := sinktest.NewMemory(), new(publisher)
		m.Blame = tc.blame
		store := &counting{Memory: m}
		intents := 0
		intend := func(context.Context, int64, string) error { intents++; return nil }
		if err := open(t, handler(store, p, prometheus.NewRegistry()), 0, 0).Write(t.Context(), batch(0, values, offsets...), intend); err != nil {
			t.Fatal(err)
		}
		letters := map[string]int{}
		for i := range p.sent {
			letters[string(p.sent[i].Key)]++
		}
		if len(p.sent) != bad || len(letters) != bad || len(m.Rows(of(0))) != n-bad {
			t.Errorf("%s: %d dead letters of %d records and %d rows, want %d, %[5]d and %d", name, len(p.sent), len(letters), len(m.Rows(of(0))), bad, n-bad)
		}
		t.Logf("%s: of %d records %d bad: %d writes of %d records, %d intents", name, n, bad, store.writes, store.records, intents)
		if store.writes > tc.most*bad || store.records > 12*n {
			t.Errorf("%s: %d writes of %d records for %d bad ones, want at most %d for each and the range written 12 times over", name, store.writes, store.records, bad, tc.most)
		}
	}
}

// A range that is not what it was is nobody's to guess: the partition stops with
// the gap. Only where retention took records whose rows are all there does it go
// on.
func TestChangedRangesAreQuarantined(t *testing.T) {
	values := map[int64]string{}
	whole := batch(0, values, 10, 11, 12, 14, 15).Records
	intended := func(t *testing.T, m *sinktest.Memory, fault sinktest.Fault) (metadata string) {
		m.Fault = func(sinks.Block) sinktest.Fault { return fault }
		s := open(t, handler(m, new(publisher), prometheus.NewRegistry()), 0, 10)
		_ = s.Write(t.Context(), batch(0, values, 10, 11, 12, 14, 15), func(_ context.Context, _ int64, text string) error { metadata = text; return nil })
		m.Fault = nil
		return metadata
	}
	other := slices.Clone(whole)
	other[2].Value = []byte("another")
	for _, tc := range []struct {
		name        string
		fault       sinktest.Fault
		committed   int64
		now         []stream.Record
		id          byte
		first, last int64 // of the gap; 0: none
	}{
		{name: "as it was", fault: sinktest.Half, committed: 10, now: whole},
		{name: "truncated", fault: sinktest.Before, committed: 10, now: whole[:3], first: 14, last: 15},
		{name: "compacted", fault: sinktest.Before, committed: 10, now: slices.Concat(whole[:1], whole[3:]), first: 11, last: 12},
		{name: "gone", fault: sinktest.Before, committed: 10, now: nil, first: 10, last: 15},
		{name: "retention, rows missing", fault: sinktest.Half, committed: 12, now: whole[2:], first: 10, last: 11},
		{name: "retention, rows there", fault: sinktest.After, committed: 12, now: whole[2:]},
		{name: "compacted, rows there", fault: sinktest.After, committed: 10, now: slices.Concat(whole[:1], whole[3:]), first: 11, last: 12},
		{name: "other content", fault: sinktest.Before, committed: 10, now: other, first: 10, last: 15},
		{name: "another topic", fault: sinktest.Before, committed: 10, now: whole, id: 1, first: 0, last: 9},
	} {
		m := sinktest.NewMemory()
		c := claim(0, tc.committed)
		c.Metadata = intended(t, m, tc.fault)
		c.TopicID[0] = tc.id
		c.Reread = sinktest.Log(func() []stream.Record { return tc.now })
		_, err := handler(m, new(publisher), prometheus.NewRegistry()).Open(t.Context(), c)
		var q *stream.QuarantineError
		switch {
		case tc.last == 0 && err != nil:
			t.Errorf("%s: %v", tc.name, err)
		case tc.last > 0 && (!errors.As(err, &q) || q.First != tc.first || q.Last != tc.last):
			t.Errorf("%s: %v, want a quarantine of %d-%d", tc.name, err, tc.first, tc.last)
		}
		for offset, rows := range m.Rows(of(0)) {
			if rows != 1 {
				t.Errorf("%s: offset %d has %d rows", tc.name, offset, rows)
			}
		}
	}
}

// Metadata that is no intent of ours says nothing: what is in the store decides.
func TestForeignMetadata(t *testing.T) {
	for _, text := range []string{"consumer-7", "pl0 x=1", "pl1", string(make([]byte, 4096))} {
		m := sinktest.NewMemory()
		if err := open(t, handler(m, new(publisher), prometheus.NewRegistry()), 0, 0).Write(t.Context(), batch(0, nil, 0, 1, 2), nil); err != nil {
			t.Fatal(err)
		}
		c := claim(0, 0)
		c.Metadata = text
		s, err := handler(m, new(publisher), prometheus.NewRegistry()).Open(t.Context(), c)
		if err != nil {
			t.Fatalf("%.20q: %v", text, err)
		}
		if err := s.Write(t.Context(), batch(0, nil, 0, 1, 2, 3), nil); err != nil {
			t.Fatal(err)
		}
		want(t, m, 0, 0, 1, 2, 3)
	}
}
