package avro

import (
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"

	"github.com/pricelake/pricelake/schemas"
)

// typicalPrice is a ticker as the normalizer makes it.
func typicalPrice(t testing.TB) *schemas.Price {
	t.Helper()
	number := func(text string) schemas.NullDecimal {
		d, _, err := schemas.ParseDecimal(text)
		if err != nil {
			t.Fatal(err)
		}
		return schemas.NullDecimal{Decimal: d, Valid: true}
	}
	at := time.Date(2026, 9, 21, 12, 30, 0, 123456000, time.UTC)
	return &schemas.Price{
		EventID: schemas.DeriveID("a"), Provider: "kraken", CallID: "kraken-ticker",
		CallVersion: "1f6b2c9d8e7a4b50", Instrument: "BTC-USDT", Base: "BTC", Quote: "USDT",
		Kind: schemas.KindTicker, RateType: schemas.RateLast,
		Price: number("73380.6"), Bid: number("73380.6"), Ask: number("73380.7"),
		EventTime: at, EventTimeKind: schemas.TimeFetched, RequestedAt: at, FetchedAt: at,
		PollID: schemas.DeriveID("b"), ResponseID: schemas.DeriveID("c"), CorrelationID: schemas.DeriveID("d"),
	}
}

func BenchmarkAppendPrice(b *testing.B) {
	codec := newCodec[schemas.Price](b, schemas.TopicPrices)
	price := typicalPrice(b)
	dst, err := codec.Append(nil, price)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(dst)))
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = codec.Append(dst[:0], price)
	}
}

func BenchmarkDecodePrice(b *testing.B) {
	codec := newCodec[schemas.Price](b, schemas.TopicPrices)
	wire, err := codec.Append(nil, typicalPrice(b))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	var price schemas.Price
	for b.Loop() {
		if err := codec.Decode(b.Context(), wire, &price); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecodeOlderPrice reads what another version of the schema wrote.
func BenchmarkDecodeOlderPrice(b *testing.B) {
	codec, wire := olderPrice(b)
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	var price schemas.Price
	for b.Loop() {
		if err := codec.Decode(b.Context(), wire, &price); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGoavroDecodePrice is the reference's pace.
func BenchmarkGoavroDecodePrice(b *testing.B) {
	codec := newCodec[schemas.Price](b, schemas.TopicPrices)
	wire, err := codec.Append(nil, typicalPrice(b))
	if err != nil {
		b.Fatal(err)
	}
	oracle, err := goavro.NewCodec(codec.subject.Schema)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := oracle.NativeFromBinary(wire[wireHeader:]); err != nil {
			b.Fatal(err)
		}
	}
}
