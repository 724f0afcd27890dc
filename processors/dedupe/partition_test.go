package dedupe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/processors"
	"github.com/pricelake/pricelake/schemas"
)

func withdrawn(p *schemas.Price) *schemas.Price {
	p.Withdrawn = true
	return p
}

func TestHandle(t *testing.T) {
	eur := func(price string) *schemas.Price { return fixing("EUR-USD", 0, price) }
	btc := func(price string) *schemas.Price { return slotted("BTC-USD", 0, price) }
	for _, c := range []struct {
		name    string
		batches [][]*schemas.Price
		want    []string
	}{
		{"new and repeated", [][]*schemas.Price{{eur("1")}, {eur("1")}}, []string{"EUR-USD 01-01 r0 1"}},
		{"repeated in one batch", [][]*schemas.Price{{eur("1"), eur("1.0")}}, []string{"EUR-USD 01-01 r0 1"}},
		{"restated", [][]*schemas.Price{{eur("1")}, {eur("2")}, {eur("2")}}, []string{"EUR-USD 01-01 r0 1", "EUR-USD 01-01 r1 2"}},
		{"restated in one batch", [][]*schemas.Price{{eur("1"), eur("2"), eur("2"), eur("3")}},
			[]string{"EUR-USD 01-01 r0 1", "EUR-USD 01-01 r1 2", "EUR-USD 01-01 r2 3"}},
		{"to and fro", [][]*schemas.Price{{eur("1")}, {eur("2")}, {eur("1")}, {eur("1")}},
			[]string{"EUR-USD 01-01 r0 1", "EUR-USD 01-01 r1 2", "EUR-USD 01-01 r2 1"}},
		{"withdrawn", [][]*schemas.Price{{eur("1")}, {withdrawn(eur("1"))}, {eur("1")}},
			[]string{"EUR-USD 01-01 r0 1", "EUR-USD 01-01 r1 1 withdrawn", "EUR-USD 01-01 r2 1"}},
		{"a slot's second answer", [][]*schemas.Price{{btc("1")}, {btc("2")}, {btc("3"), btc("1")}}, []string{"BTC-USD 01-01 r0 1"}},
		{"two slots", [][]*schemas.Price{{slotted("BTC-USD", 0, "1"), slotted("BTC-USD", 1, "1")}},
			[]string{"BTC-USD 01-01 r0 1", "BTC-USD 01-02 r0 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, 3)
			r.start()
			defer r.stop()
			s := r.open(2)
			defer mustClose(t, s)
			var got []string
			for _, prices := range c.batches {
				r.run(s, input(t, 2, prices...), false) // an abort changes nothing
				got = append(got, told(r.prices(r.run(s, input(t, 2, prices...), true)))...)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// Bytes that need no change are not changed, but copied: they outlive the batch.
func TestHandlePassesBytesOn(t *testing.T) {
	r := newRig(t, 3)
	r.start()
	defer r.stop()
	s := r.open(1)
	defer mustClose(t, s)
	b := input(t, 1, fixing("EUR-USD", 0, "1.10"))
	b.Records[0].Value = append(b.Records[0].Value, " \n"...) // what no encoder of ours writes
	want := slices.Clone(b.Records[0].Value)
	out, err := s.Handle(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b.Records[0].Value {
		b.Records[0].Value[i] = 'x'
	}
	got := out.Records[0]
	if !bytes.Equal(got.Value, want) || string(got.Key) != "EUR-USD" || got.Partition != 1 || got.Topic != schemas.TopicPrices {
		t.Errorf("published %s/%d %q %q, want the bytes that came in, on the same partition", got.Topic, got.Partition, got.Key, got.Value)
	}
}

func TestHandleNumbersRevisionsAnew(t *testing.T) {
	r := newRig(t, 1)
	r.start()
	defer r.stop()
	s := r.open(0)
	defer mustClose(t, s)
	p := fixing("EUR-USD", 0, "1")
	p.Revision = 9 // not the sender's to say
	if got := told(r.prices(r.run(s, input(t, 0, p), true))); !slices.Equal(got, []string{"EUR-USD 01-01 r0 1"}) {
		t.Errorf("got %q", got)
	}
}

func TestHandleBuriesWhatItCannotRead(t *testing.T) {
	r := newRig(t, 1)
	r.start()
	defer r.stop()
	s := r.open(0)
	defer mustClose(t, s)
	b := input(t, 0, fixing("EUR-USD", 0, "1"), fixing("EUR-USD", 1, "1"), &schemas.Price{Instrument: "EUR-USD"}, fixing("EUR-USD", 2, "1"))
	b.Records[1].Value = []byte("garbage")
	out := r.run(s, b, true)
	if got, want := told(r.prices(out)), []string{"EUR-USD 01-01 r0 1", "EUR-USD 01-03 r0 1"}; !slices.Equal(got, want) {
		t.Errorf("passed %q, want %q", got, want)
	}
	var reasons []schemas.DeadReason
	for _, rec := range out {
		if rec.Topic != schemas.TopicDeadLetters {
			continue
		}
		var letter schemas.DeadLetter
		if err := (jsonCodec[schemas.DeadLetter]{}).Decode(t.Context(), rec.Value, &letter); err != nil {
			t.Fatal(err)
		}
		reasons = append(reasons, letter.Reason)
		if want := b.Records[letter.OriginOffset]; !bytes.Equal(letter.Value, want.Value) || letter.Role != Role || !letter.FailedAt.Equal(want.Timestamp) {
			t.Errorf("dead letter %+v does not show the record it is about", letter)
		}
	}
	if want := []schemas.DeadReason{schemas.DeadDecode, schemas.DeadInvalid}; !slices.Equal(reasons, want) {
		t.Errorf("dead letters for %v, want %v", reasons, want)
	}
	if got := r.metric("pricelake_processor_dead_letters_total"); got != 2 {
		t.Errorf("%v dead letters counted, want 2", got)
	}
}

// failing fails a decode now and then, as a registry that is away does.
type failing struct {
	jsonCodec[schemas.Price]
	calls, at int
}

func (f *failing) Decode(ctx context.Context, wire []byte, v *schemas.Price) error {
	if f.calls++; f.calls == f.at {
		return errBroken
	}
	return f.jsonCodec.Decode(ctx, wire, v)
}

func TestHandleTriesAgain(t *testing.T) {
	for at := 1; at <= 3; at++ { // 3: when the restated price is written
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			codec := &failing{at: at}
			r := newRig(t, 1)
			r.decoder = codec
			r.start()
			defer r.stop()
			s := r.open(0)
			defer mustClose(t, s)
			b := input(t, 0, fixing("EUR-USD", 0, "1"), fixing("EUR-USD", 0, "2"))
			if out, err := s.Handle(t.Context(), b); !errors.Is(err, errBroken) || len(out.Records) > 0 {
				t.Fatalf("got %d records and %v, want the decoder's error", len(out.Records), err)
			}
			got := told(r.prices(r.run(s, b, true)))
			if want := []string{"EUR-USD 01-01 r0 1", "EUR-USD 01-01 r1 2"}; !slices.Equal(got, want) {
				t.Errorf("the second time it published %q, want %q", got, want)
			}
		})
	}
}

func TestCommittedOutOfTurn(t *testing.T) {
	r := newRig(t, 1)
	r.start()
	defer r.stop()
	s := r.open(0)
	defer mustClose(t, s)
	handle := func(p *schemas.Price) (stream.Output, []stream.Record) {
		out, err := s.Handle(t.Context(), input(t, 0, p))
		if err != nil {
			t.Fatal(err)
		}
		return out, r.log.transact(0, out.Records, true)
	}
	early, published := handle(fixing("EUR-USD", 0, "1"))
	late, publishedLate := handle(fixing("EUR-USD", 1, "1"))
	if err := early.Committed(t.Context(), published); err == nil {
		t.Error("a batch was taken as committed after the next one was handled")
	}
	if err := late.Committed(t.Context(), publishedLate[:0]); err == nil {
		t.Error("a batch was taken as committed without its records")
	}
	if err := late.Committed(t.Context(), publishedLate); err != nil {
		t.Error(err)
	}
	if err := late.Committed(t.Context(), publishedLate); err == nil {
		t.Error("a batch was taken as committed twice")
	}
	again, publishedAgain := handle(fixing("EUR-USD", 2, "1"))
	publishedAgain[0].Offset = 0
	if err := again.Committed(t.Context(), publishedAgain); err == nil || !strings.Contains(err.Error(), "another owner") {
		t.Errorf("records below the checkpoint: got %v", err)
	}
}

func TestMetrics(t *testing.T) {
	r := newRig(t, 1)
	r.start()
	defer r.stop()
	s := r.open(0)
	defer mustClose(t, s)
	b := input(t, 0, fixing("EUR-USD", 0, "1"), fixing("EUR-USD", 0, "1"), fixing("EUR-USD", 0, "2"), slotted("BTC-USD", 0, "1"), slotted("BTC-USD", 0, "2"))
	r.run(s, b, false) // what is not committed does not count
	r.run(s, b, true)
	r.run(s, b, true) // all repeats but one: to and fro
	for name, want := range map[string]float64{
		"pricelake_dedupe_repeats_total":    2 + 3,
		"pricelake_dedupe_revisions_total":  1 + 2,
		"pricelake_processor_records_total": 10,
		"pricelake_processor_outputs_total": 3 + 2,
	} {
		if got := r.metric(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if got := r.metric("pricelake_dedupe_state_bytes"); got <= 0 {
		t.Errorf("the state takes %v bytes", got)
	}
}

func TestDiskNearlyFull(t *testing.T) {
	r := newRig(t, 1)
	disk := r.fs.(*vfs.MemFS)
	r.start()
	defer r.stop()
	s := r.open(0)
	defer mustClose(t, s)
	disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: minFreeBytes - 1})
	b := input(t, 0, fixing("EUR-USD", 0, "1"))
	if _, err := s.Handle(t.Context(), b); err == nil || !strings.Contains(err.Error(), "free at least 64 MiB") {
		t.Errorf("got %v, want an error that says what to do", err)
	}
	disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: minFreeBytes})
	if got := r.run(s, b, true); len(got) != 1 {
		t.Errorf("with space again %d records were published, want 1", len(got))
	}
}

// Partitions share a cache and nothing else.
func TestPartitionsInParallel(t *testing.T) {
	const partitions, batches = 4, 30
	r := newRig(t, partitions)
	r.start()
	defer r.stop()
	var wg sync.WaitGroup
	for p := range int32(partitions) {
		s := r.open(p)
		wg.Go(func() {
			defer mustClose(t, s)
			for n := range batches {
				b := input(t, p, fixing("EUR-USD", n, "1"), fixing("EUR-USD", max(0, n-1), "1"), fixing("EUR-CHF", n, fmt.Sprint(p+1)))
				out, err := s.Handle(t.Context(), b)
				if err != nil {
					t.Error(err)
					return
				}
				if err := out.Committed(t.Context(), r.log.transact(p, out.Records, true)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 20 {
		r.metric("pricelake_dedupe_state_bytes") // scraped meanwhile
	}
	wg.Wait()
	for p := range int32(partitions) {
		if got := len(r.log.committed(p)); got != 2*batches {
			t.Errorf("partition %d published %d prices, want %d", p, got, 2*batches)
		}
	}
}

var _ processors.Decoder[schemas.Price] = (*failing)(nil)
