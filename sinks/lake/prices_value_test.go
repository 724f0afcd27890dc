package lake

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
)

// valueRows is a RowReader that goes through the Go value of a price.
type valueRows struct{ sinks.Decoder[schemas.Price] }

func (valueRows) Width() int { return 27 }

func (r valueRows) Read(ctx context.Context, wire []byte, row []schemas.Field) ([]string, error) {
	var p schemas.Price
	if err := r.Decode(ctx, wire, &p); err != nil {
		return nil, err
	}
	copy(row, fieldsOf(&p))
	return nil, nil
}

func fieldsOf(p *schemas.Price) []schemas.Field {
	text := func(s string) schemas.Field { return schemas.Field{Bytes: []byte(s)} }
	id := func(id schemas.ID) schemas.Field { return schemas.Field{Bytes: id[:]} }
	number := func(n int64) schemas.Field { return schemas.Field{Int: n} }
	at := func(t time.Time) schemas.Field { return number(t.UnixMicro()) }
	decimal := func(d schemas.NullDecimal) schemas.Field {
		if !d.Valid {
			return schemas.Field{Null: true}
		}
		b := d.Decimal.Bytes()
		return schemas.Field{Bytes: b[:]}
	}
	withdrawn, date, published := number(0), schemas.Field{Null: true}, schemas.Field{Null: true}
	if p.Withdrawn {
		withdrawn = number(1)
	}
	if p.ValueDate != nil {
		date = number(int64(*p.ValueDate))
	}
	if p.PublishedAt != nil {
		published = at(*p.PublishedAt)
	}
	return []schemas.Field{
		id(p.EventID), number(int64(p.Revision)), withdrawn, text(p.Provider), text(p.CallID), text(p.CallVersion), text(p.Instrument), text(p.Base), text(p.Quote),
		number(int64(p.Kind)), number(int64(p.RateType)), text(p.Session), decimal(p.Price), decimal(p.Bid), decimal(p.Ask), decimal(p.Size),
		at(p.EventTime), number(int64(p.EventTimeKind)), date, published, at(p.RequestedAt), at(p.FetchedAt), text(p.TradeID), number(int64(p.Quality)),
		id(p.PollID), id(p.ResponseID), id(p.CorrelationID),
	}
}

// prices is the columns of table prices, in the order of its DDL.
func prices() []column[schemas.Price] {
	type row = schemas.Price
	return append([]column[row]{
		ids("event_id", func(p *row) schemas.ID { return p.EventID }),
		int32s("revision", func(p *row) int32 { return p.Revision }),
		bools("withdrawn", func(p *row) bool { return p.Withdrawn }),
		names("provider", func(p *row) string { return p.Provider }),
		names("call_id", func(p *row) string { return p.CallID }),
		names("call_version", func(p *row) string { return p.CallVersion }),
		names("instrument", func(p *row) string { return p.Instrument }),
		names("base", func(p *row) string { return p.Base }),
		names("quote", func(p *row) string { return p.Quote }),
		enums("kind", func(p *row) schemas.Kind { return p.Kind }),
		enums("rate_type", func(p *row) schemas.RateType { return p.RateType }),
		names("session", func(p *row) string { return p.Session }),
		nullDecimals("price", func(p *row) schemas.NullDecimal { return p.Price }),
		nullDecimals("bid", func(p *row) schemas.NullDecimal { return p.Bid }),
		nullDecimals("ask", func(p *row) schemas.NullDecimal { return p.Ask }),
		nullDecimals("size", func(p *row) schemas.NullDecimal { return p.Size }),
		times("event_time", func(p *row) time.Time { return p.EventTime }),
		enums("event_time_kind", func(p *row) schemas.EventTimeKind { return p.EventTimeKind }),
		nullDates("value_date", func(p *row) *schemas.Date { return p.ValueDate }),
		nullTimes("published_at", func(p *row) *time.Time { return p.PublishedAt }),
		times("requested_at", func(p *row) time.Time { return p.RequestedAt }),
		times("fetched_at", func(p *row) time.Time { return p.FetchedAt }),
		texts("trade_id", func(p *row) string { return p.TradeID }),
		int32s("quality", func(p *row) int32 { return int32(p.Quality) }),
		ids("poll_id", func(p *row) schemas.ID { return p.PollID }),
		ids("response_id", func(p *row) schemas.ID { return p.ResponseID }),
		ids("correlation_id", func(p *row) schemas.ID { return p.CorrelationID }),
	}, origins[row]()...)
}

// anyPrice is a price with every field drawn at random.
func anyPrice(r *rand.Rand) schemas.Price {
	id := func() (id schemas.ID) {
		binary.LittleEndian.PutUint64(id[:], r.Uint64())
		binary.LittleEndian.PutUint64(id[8:], r.Uint64())
		return id
	}
	at := func() time.Time {
		return utc("2026-01-01 00:00:00").Add(time.Duration(r.Int64N(90*86400e6)) * time.Microsecond)
	}
	decimal := func() (n schemas.NullDecimal) {
		if r.IntN(3) > 0 {
			d, err := schemas.DecimalFromWords(r.Int64N(5421010862427522170)-r.Int64N(5421010862427522170), r.Uint64())
			n = schemas.NullDecimal{Decimal: d, Valid: err == nil}
		}
		return n
	}
	text := func(n int) string { return fmt.Sprintf("%x", r.IntN(n)) }
	p := schemas.Price{
		EventID: id(), Revision: int32(r.Uint32()), Withdrawn: r.IntN(2) == 1, Provider: text(5), CallID: text(50), CallVersion: text(2),
		Instrument: text(100_000), Base: text(300), Quote: text(9), Kind: schemas.Kind(r.IntN(6)), RateType: schemas.RateType(r.IntN(9)), Session: text(1),
		Price: decimal(), Bid: decimal(), Ask: decimal(), Size: decimal(), EventTime: at(), EventTimeKind: schemas.EventTimeKind(r.IntN(5)),
		RequestedAt: at(), FetchedAt: at(), TradeID: text(1 << 30), Quality: schemas.Quality(r.IntN(4)), PollID: id(), ResponseID: id(), CorrelationID: id(),
	}
	if !p.Price.Valid && !p.Bid.Valid {
		p.Ask = schemas.NullDecimal{Valid: true} // one there must be
	}
	if r.IntN(2) == 1 {
		d := schemas.DateOfTime(at())
		p.ValueDate = &d
	}
	if r.IntN(2) == 1 {
		t := at()
		p.PublishedAt = &t
	}
	return p
}

// The columns filled from fields hold, byte for byte, what those filled from Go
// values by another implementation hold; a block that was freed leaves nothing
// in the next.
func TestFieldsBecomeTheSameBytesAsValues(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	fields := newFieldTable("prices", priceFields(), valueRows{fromJSON[schemas.Price]{}}, "event_time", "fetched_at", nil)
	values := newTable("prices", prices, plain[schemas.Price](fromJSON[schemas.Price]{}), func(p *schemas.Price) time.Time { return p.EventTime })
	for round := range 4 {
		b := block(record(t, schemas.TopicPrices, 0, anyPrice(r)))
		for i := range 1_000 * (4 - round) {
			b.Records = append(b.Records, record(t, schemas.TopicPrices, int64(1+2*i), anyPrice(r)))
		}
		base := origin{topicID: topicID, partition: 3, epoch: 9, insertedAt: utc("2026-02-03 04:05:06")}
		got, err := fields.load(t.Context(), b, base)
		if err != nil {
			t.Fatal(err)
		}
		want, err := values.load(t.Context(), b, base)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) || len(got) < 3 {
			t.Fatalf("%d parts, want %d", len(got), len(want))
		}
		for i := range got {
			samePart(t, &got[i], &want[i])
			got[i].free()
		}
	}
}

func samePart(t *testing.T, got, want *part) {
	t.Helper()
	if got.rows != want.rows || got.month != want.month || len(got.cols) != len(want.cols) {
		t.Fatalf("part of %d with %d rows, want %d with %d", got.month, got.rows, want.month, want.rows)
	}
	for i := range got.cols {
		g, w := got.cols[i], want.cols[i]
		if g.name != w.name || g.typ != w.typ || g.data.Rows() != got.rows {
			t.Fatalf("column %s %s with %d rows, want %s %s", g.name, g.typ, g.data.Rows(), w.name, w.typ)
		}
		if !bytes.Equal(encoded(t, g.data), encoded(t, w.data)) {
			t.Errorf("column %s has other bytes than its values", g.name)
		}
	}
}

func encoded(t *testing.T, d data) []byte {
	t.Helper()
	var b proto.Buffer
	if p, ok := d.(proto.Preparable); ok {
		if err := p.Prepare(); err != nil {
			t.Fatal(err)
		}
	}
	if s, ok := d.(proto.StateEncoder); ok {
		s.EncodeState(&b)
	}
	d.EncodeColumn(&b)
	return b.Buf
}
