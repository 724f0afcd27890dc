package sinks_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
	"github.com/pricelake/pricelake/sinks/sinktest"
)

const topic = "prices.v1"

func of(number int32) sinks.Partition { return sinks.Partition{Topic: topic, Number: number} }

// publisher keeps what is published; the next fails publishes fail.
type publisher struct {
	mu    sync.Mutex
	sent  []stream.Record
	fails int
}

func (p *publisher) Publish(_ context.Context, rs ...stream.Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fails > 0 {
		p.fails--
		return errors.New("broker is away")
	}
	for i := range rs {
		p.sent = append(p.sent, rs[i].Clone()) // whose memory is used again
	}
	return nil
}

func handler(store sinks.Store, p *publisher, reg prometheus.Registerer) *sinks.Handler {
	return sinks.NewHandler(sinks.Options{
		Store: store, Publisher: p, Epoch: 1, Log: slog.New(slog.DiscardHandler), Registerer: reg,
		DeadLetter: func(in *stream.Record, reason schemas.DeadReason, cause error) (stream.Record, error) {
			return stream.Record{Topic: schemas.TopicDeadLetters, Key: fmt.Append(nil, in.Offset), Value: in.Value, Headers: []stream.Header{{Key: reason.String()}}}, nil
		},
	})
}

func batch(number int32, values map[int64]string, offsets ...int64) stream.Batch {
	b := stream.Batch{Topic: topic, Partition: number}
	for _, offset := range offsets {
		b.Records = append(b.Records, stream.Record{Topic: topic, Partition: number, Offset: offset, Value: []byte(values[offset])})
	}
	return b
}

func claim(number int32, committed int64) stream.Claim {
	return stream.Claim{TopicPartition: stream.TopicPartition{Topic: topic, Partition: number}, Committed: committed}
}

func open(t *testing.T, h *sinks.Handler, number int32, committed int64) stream.RangeSink {
	t.Helper()
	s, err := h.Open(t.Context(), claim(number, committed))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A new owner skips what its predecessor wrote without committing it, holes
// and all, and writes the rest.
func TestSkipsWhatIsThere(t *testing.T) {
	m, reg := sinktest.NewMemory(), prometheus.NewRegistry()
	h := handler(m, new(publisher), reg)
	first := open(t, h, 0, 0)
	if err := first.Write(t.Context(), batch(0, nil, 1, 2, 5, 6), nil); err != nil {
		t.Fatal(err)
	}
	second := open(t, h, 0, 2)
	for _, b := range []stream.Batch{batch(0, nil, 2, 5, 6, 8, 9), batch(0, nil, 10)} {
		if err := second.Write(t.Context(), b, nil); err != nil {
			t.Fatal(err)
		}
	}
	want(t, m, 0, 1, 2, 5, 6, 8, 9, 10)
	if got, want := outcomes(t, reg), map[string]float64{"written": 7, "skipped": 3}; !maps.Equal(got, want) {
		t.Errorf("pricelake_sink_records_total = %v, want %v", got, want)
	}
}

// outcomes reads pricelake_sink_records_total.
func outcomes(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "pricelake_sink_records_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			got[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
		}
	}
	return got
}

func want(t *testing.T, m *sinktest.Memory, number int32, offsets ...int64) {
	t.Helper()
	rows := m.Rows(of(number))
	for _, offset := range offsets {
		if rows[offset] != 1 {
			t.Errorf("offset %d has %d rows, want 1", offset, rows[offset])
		}
	}
	if len(rows) != len(offsets) {
		t.Errorf("%d offsets have rows, want %d", len(rows), len(offsets))
	}
}

// Records that cannot be rows become dead letters with their bytes, whether the
// writer names them or the server refuses the block they are in; the others go
// on. A dead letter that could not be published comes again.
func TestRefusedRecordsBecomeDeadLetters(t *testing.T) {
	for _, fails := range []int{0, 2} {
		m, p := sinktest.NewMemory(), &publisher{fails: fails}
		s := open(t, handler(m, p, prometheus.NewRegistry()), 0, 0)
		bad := map[int64]string{2: sinktest.Unreadable, 3: sinktest.Unwanted, 11: sinktest.Unwanted, 12: sinktest.Unreadable}
		b := batch(0, bad, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12)
		for try := range fails + 1 {
			if err := s.Write(t.Context(), b, nil); (err == nil) != (try == fails) {
				t.Fatalf("write %d with %d failing publishes: %v", try, fails, err)
			}
		}
		want(t, m, 0, 1, 4, 7, 8, 9, 10)
		var letters []string
		for _, r := range p.sent {
			letters = append(letters, fmt.Sprintf("%s %s %s", r.Key, r.Value, r.Headers[0].Key))
		}
		if want := []string{"2 unreadable decode", "12 unreadable decode", "3 unwanted refused", "11 unwanted refused"}; !slices.Equal(letters, want) {
			t.Errorf("dead letters %q, want %q", letters, want)
		}
	}
}

// A record that is given up again, because its partition was lost before that was
// noted, has two letters of one id, and counts once.
func TestRecordsCountOnceWhenGivenUpAgain(t *testing.T) {
	m, p, reg := sinktest.NewMemory(), new(publisher), prometheus.NewRegistry()
	h := handler(m, p, reg)
	counted := func() string {
		t.Helper()
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		sums := map[string]float64{}
		for _, f := range families {
			for _, v := range f.GetMetric() {
				for _, l := range v.GetLabel() {
					if l.GetName() == "reason" || l.GetValue() == "refused" {
						sums[f.GetName()] += v.GetCounter().GetValue()
					}
				}
			}
		}
		return fmt.Sprint(sums["pricelake_sink_dead_letters_total"], sums["pricelake_sink_records_total"])
	}
	bad := map[int64]string{2: sinktest.Unwanted, 4: sinktest.Unreadable, 6: sinktest.Unreadable}
	write := func(number int32, committed int64, letters int, count string, offsets ...int64) {
		t.Helper()
		before := len(p.sent)
		if err := open(t, h, number, committed).Write(t.Context(), batch(number, bad, offsets...), nil); err != nil {
			t.Fatal(err)
		}
		if got := len(p.sent) - before; got != letters || counted() != count {
			t.Errorf("%d letters, counted %s; want %d, %s", got, counted(), letters, count)
		}
	}
	write(0, 0, 2, "2 2", 1, 2, 3, 4)
	write(0, 0, 2, "2 2", 1, 2, 3, 4) // the commit was lost
	write(0, 3, 2, "3 3", 3, 4, 5, 6) // cut otherwise
	write(1, 0, 1, "4 4", 1, 2)       // of another partition
}

// A server that takes nothing of a large batch has another schema; that is no
// reason to bury everything. A few bad records must not block the partition.
func TestRefusalOfEverything(t *testing.T) {
	for _, tc := range []struct {
		records, good int64
		buried        int
	}{
		{records: 1, buried: 1},
		{records: 2, buried: 2},
		{records: 100, buried: 100},
		{records: 101, buried: 0},
		{records: 101, good: 1, buried: 100},
	} {
		m, p := sinktest.NewMemory(), new(publisher)
		s := open(t, handler(m, p, prometheus.NewRegistry()), 0, 0)
		bad, offsets := map[int64]string{}, make([]int64, tc.records)
		for i := range tc.records {
			if offsets[i] = i; i >= tc.good {
				bad[i] = sinktest.Unwanted
			}
		}
		err := s.Write(t.Context(), batch(0, bad, offsets...), nil)
		if len(p.sent) != tc.buried || (err == nil) != (tc.buried > 0) {
			t.Errorf("Write of %d records, %d good = %v with %d dead letters, want %d", tc.records, tc.good, err, len(p.sent), tc.buried)
		}
	}
}

// A dead letter that cannot be a row makes no further dead letter, or there
// would be no end.
func TestDeadLettersMakeNoDeadLetters(t *testing.T) {
	m, p := sinktest.NewMemory(), new(publisher)
	s := open(t, handler(m, p, prometheus.NewRegistry()), 0, 0)
	b := stream.Batch{Topic: schemas.TopicDeadLetters, Records: []stream.Record{{Topic: schemas.TopicDeadLetters, Value: []byte(sinktest.Unreadable)}}}
	if err := s.Write(t.Context(), b, nil); err != nil || len(p.sent) != 0 {
		t.Errorf("Write = %v with %d dead letters, want none", err, len(p.sent))
	}
}

// Whatever goes wrong with a write and whenever the owner is replaced, in the
// end each record has one row or one refusal. The loop around the handler does
// what internal/kafka does: it commits after Write has returned nil and hands
// the same records over again otherwise, cut differently after a new claim.
func TestEveryRecordOnceUnderFaults(t *testing.T) {
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		m, p := sinktest.NewMemory(), new(publisher)
		m.Lies = seed%2 == 0
		m.Fault = func(sinks.Block) sinktest.Fault { return sinktest.Fault(max(0, rng.IntN(9)-4)) }
		h := handler(m, p, prometheus.NewRegistry())
		offsets, values, good := history(rng, 30)
		committed, pos := int64(0), 0
		s := open(t, h, 0, committed)
		for pos < len(offsets) {
			end := min(len(offsets), pos+1+rng.IntN(8))
			b := batch(0, values, offsets[pos:end]...)
			err := s.Write(t.Context(), b, nil)
			for tries := rng.IntN(3); err != nil && tries > 0; tries-- {
				err = s.Write(t.Context(), b, nil)
			}
			if err == nil && rng.IntN(4) > 0 { // else killed before the commit
				committed, pos = offsets[end-1]+1, end
				continue
			}
			s = open(t, h, 0, committed)
		}
		want(t, m, 0, good...)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// history makes n offsets with holes, some of them of bad records, and returns
// the good ones apart.
func history(rng *rand.Rand, n int) (offsets []int64, values map[int64]string, good []int64) {
	values = map[int64]string{}
	offset := int64(0)
	for range n {
		offset += 1 + int64(rng.IntN(3)/2)
		offsets = append(offsets, offset)
		switch rng.IntN(12) {
		case 0:
			values[offset] = sinktest.Unreadable
		case 1:
			if n := len(offsets); n > 1 && values[offsets[n-2]] == "" {
				values[offset] = sinktest.Unwanted
				break
			}
			fallthrough
		default:
			good = append(good, offset)
		}
	}
	return offsets, values, good
}
