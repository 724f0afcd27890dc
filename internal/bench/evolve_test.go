package bench

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
)

// TestWritersMayMoveOn: while the lake loads, another producer begins to write
// prices with a field more. Nothing is restarted, and every price is a row once,
// with its values.
func TestWritersMayMoveOn(t *testing.T) {
	s, err := StartServers(t.Context(), withEngine(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := s.SetUp(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	role, err := s.StartRole("lake", 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := role.Stop(); err != nil {
			t.Error(err)
		}
	})
	w, err := newPriceWriter(t.Context(), s, schemas.TopicPrices)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	const batches, each = 20, 500
	newID := uint32(0)
	m := newMarket(marketStart())
	var sum schemas.Decimal
	for batch := range batches {
		if batch == batches/2 {
			newID = registerVenue(t, s)
		}
		for i := range each {
			var p schemas.Price
			m.next(&p)
			sum = plus(t, sum, p.Price)
			begin := len(w.arena)
			if err := w.add(&p); err != nil {
				t.Fatal(err)
			}
			if newID != 0 && i%2 == 1 { // the old producer goes on beside the new one
				w.arena = append(w.arena, "\x02\x08XLON"...)
				binary.BigEndian.PutUint32(w.arena[begin+1:], newID)
				w.ends[len(w.ends)-1] = len(w.arena)
			}
		}
		if _, err := w.publish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	sql := newSQLClient(s.ClickHouse.HTTPURL(), s.ClickHouse.Operator())
	defer sql.close()
	if _, err := sql.awaitRows(t.Context(), "prices", batches*each, time.Now(), role.alive); err != nil {
		t.Fatal(err)
	}
	got, err := sql.query(t.Context(), "SELECT uniqExact(event_id, revision), uniqExact(_partition, _offset), toString(sum(price)) FROM prices")
	if err != nil {
		t.Fatal(err)
	}
	if want := "10000\t10000\t" + sum.String(); got != want {
		t.Errorf("the lake has %s, want %s", got, want)
	}
	if left, err := sql.number(t.Context(), "SELECT count() FROM dead_letters"); err != nil || left != 0 {
		t.Errorf("%d dead letters, %v", left, err)
	}
}

// registerVenue makes a version of prices with one more optional field, last.
func registerVenue(t *testing.T, s *Servers) uint32 {
	t.Helper()
	client, err := avro.NewClient(s.Registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range avro.Schemas() {
		if subject.Topic != schemas.TopicPrices {
			continue
		}
		end := strings.LastIndex(subject.Schema, "]")
		id, err := client.Register(t.Context(), subject.Name, subject.Schema[:end]+`,{"name":"venue","type":["null","string"],"default":null}`+subject.Schema[end:])
		if err != nil {
			t.Fatal(err)
		}
		return uint32(id)
	}
	t.Fatal("there is no schema of prices")
	return 0
}

// plus adds through the words: amounts here are far from the bounds.
func plus(t *testing.T, a schemas.Decimal, b schemas.NullDecimal) schemas.Decimal {
	t.Helper()
	ahi, alo := a.Words()
	bhi, blo := b.Decimal.Words()
	lo := alo + blo
	hi := ahi + bhi
	if lo < alo {
		hi++
	}
	sum, err := schemas.DecimalFromWords(hi, lo)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}
