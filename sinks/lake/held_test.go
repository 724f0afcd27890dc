package lake

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// pricesHeld reads the rows of a range of partition 0.
func pricesHeld(t *testing.T, l *Lake, id stream.TopicID, from, to int64) map[int64]schemas.Price {
	t.Helper()
	got := map[int64]schemas.Price{}
	err := l.Prices(t.Context(), id, 0, from, to, func(offset int64, p *schemas.Price) error {
		if _, twice := got[offset]; twice {
			t.Errorf("offset %d came twice", offset)
		}
		got[offset] = *p
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// What a deduplicator takes back from the lake is what was said, to the last
// digit, and says from which topic it came.
func TestHeld(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	s := openSink(t, l)
	if got, err := l.Held(t.Context(), 0); err != nil || len(got) > 0 {
		t.Fatalf("an empty lake holds %v, %v", got, err)
	}
	const digits = "12345678901234567890.123456789012345678"
	want := map[int64]schemas.Price{}
	for n, values := range [][4]string{
		{"1", "", "", ""}, {"", "-1", "1", ""}, {"-" + digits, digits, "0", "-0.000000000000000001"},
		{"99999999999999999999.999999999999999999", "18.446744073709551616", "-18.446744073709551616", "9223372036.854775808"},
	} {
		p := somePrice(t, n)
		p.Revision, p.Withdrawn = int32(n), n == 1
		to := []*schemas.NullDecimal{&p.Price, &p.Bid, &p.Ask, &p.Size}
		for i, text := range values {
			if *to[i] = (schemas.NullDecimal{}); text != "" {
				*to[i] = dec(t, text)
			}
		}
		offset := int64(10 + n)
		if err := s.Write(t.Context(), block(record(t, schemas.TopicPrices, offset, p))); err != nil {
			t.Fatal(err)
		}
		want[offset] = schemas.Price{EventID: p.EventID, Revision: p.Revision, Withdrawn: p.Withdrawn, Price: p.Price, Bid: p.Bid, Ask: p.Ask, Size: p.Size}
	}
	if got := pricesHeld(t, l, topicID, 0, 100); !reflect.DeepEqual(got, want) {
		t.Errorf("the lake holds\n%+v\nwant\n%+v", got, want)
	}
	delete(want, 10)
	delete(want, 13)
	if got := pricesHeld(t, l, topicID, 11, 13); !reflect.DeepEqual(got, want) {
		t.Errorf("of offsets [11,13) the lake holds\n%+v\nwant\n%+v", got, want)
	}

	other := block(record(t, schemas.TopicPrices, 5, somePrice(t, 9)))
	other.TopicID[0]++
	for i := range other.Records {
		other.Records[i].TopicID = other.TopicID
	}
	if err := s.Write(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	held, err := l.Held(t.Context(), 0)
	if wantHeld := []Held{{topicID, 10, 13, 4}, {other.TopicID, 5, 5, 1}}; err != nil || !slices.Equal(held, wantHeld) {
		t.Errorf("held %v, %v, want %v", held, err, wantHeld)
	}
	if got := pricesHeld(t, l, other.TopicID, 0, 100); len(got) != 1 {
		t.Errorf("of the other topic the lake holds %v", got)
	}
	if held, err := l.Held(t.Context(), 1); err != nil || len(held) > 0 {
		t.Errorf("of another partition the lake holds %v, %v", held, err)
	}
	stop := errors.New("enough")
	if err := l.Prices(t.Context(), topicID, 0, 0, 100, func(int64, *schemas.Price) error { return stop }); err != stop { //nolint:errorlint // as it is
		t.Errorf("stopped by its reader it returned %v", err)
	}
}

// BenchmarkPrices reads back what a partition has said: what restoring a lost
// state costs on the lake's side.
func BenchmarkPrices(b *testing.B) {
	l := openLake(b)
	err := l.conn.Exec(b.Context(), fmt.Sprintf(`
		INSERT INTO prices (event_id, price, bid, ask, event_time, instrument, _topic_id, _offset)
		SELECT reinterpretAsUUID(sipHash128(number)), number, number, number, toDateTime64('2026-01-01 00:00:00', 6) + number, concat('I', toString(number %% 100)), '%s', number
		FROM numbers(1000000)`, schemas.ID(topicID)))
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		rows := 0
		err := l.Prices(b.Context(), topicID, 0, 0, 1<<40, func(int64, *schemas.Price) error { rows++; return nil })
		if err != nil || rows != 1_000_000 {
			b.Fatal(rows, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1e6, "ns/row")
}
