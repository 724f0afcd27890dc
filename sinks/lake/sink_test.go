package lake

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
)

// fromJSON decodes records whose values are JSON, which is easier to write down
// than Avro. "outage" stands for a registry that does not answer.
type fromJSON[T any] struct{}

func (fromJSON[T]) Decode(_ context.Context, wire []byte, v *T) error {
	if string(wire) == "outage" {
		return fmt.Errorf("asking the registry: connection refused")
	}
	d := json.NewDecoder(bytes.NewReader(wire))
	d.DisallowUnknownFields()
	return sinks.Refuse(schemas.DeadDecode, d.Decode(v))
}

func jsonDecoders() Decoders {
	return Decoders{
		Prices: valueRows{fromJSON[schemas.Price]{}}, Rejected: fromJSON[schemas.PriceRejected]{}, Polls: fromJSON[schemas.PollFinished]{},
		Responses: fromJSON[schemas.ResponseReceived]{}, DeadLetters: fromJSON[schemas.DeadLetter]{},
		Instruments: fromJSON[schemas.InstrumentDefined]{}, Calls: fromJSON[schemas.CallDefined]{},
	}
}

func openSink(t testing.TB, l *Lake) *Sink {
	t.Helper()
	return NewSink(l, Options{
		Decoders: jsonDecoders(), Cluster: "test", Now: time.Now,
		Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
}

var topicID = stream.TopicID{1, 2, 3, 15: 4}

// record makes a record of a topic.
func record(t testing.TB, topic string, offset int64, value any) stream.Record {
	t.Helper()
	r := stream.Record{Topic: topic, TopicID: topicID, Offset: offset, Timestamp: utc("2026-01-05 12:00:00").Add(time.Duration(offset) * time.Millisecond)}
	switch v := value.(type) {
	case []byte:
		r.Value = v
	case string:
		r.Value = []byte(v)
	default:
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		r.Value = text
	}
	return r
}

// block makes a block of records of one partition.
func block(rs ...stream.Record) sinks.Block {
	first, last := rs[0], rs[len(rs)-1]
	return sinks.Block{
		Range: sinks.Range{
			Partition: sinks.Partition{Topic: first.Topic, TopicID: first.TopicID, Number: first.Partition},
			First:     first.Offset, Last: last.Offset,
		},
		Epoch: 1, Records: rs,
	}
}

func utc(text string) time.Time {
	t, err := time.Parse(time.DateTime, text)
	if err != nil {
		panic(err)
	}
	return t
}

func dec(t testing.TB, text string) schemas.NullDecimal {
	t.Helper()
	if text == "" {
		return schemas.NullDecimal{}
	}
	d, rounded, err := schemas.ParseDecimal(text)
	if err != nil || rounded {
		t.Fatalf("ParseDecimal(%q): rounded %v, %v", text, rounded, err)
	}
	return schemas.NullDecimal{Decimal: d, Valid: true}
}

// ask runs a query and returns its answer as text: rows by newline, values by
// tab, null as \N.
func ask(t testing.TB, l *Lake, query string) string {
	t.Helper()
	var b bytes.Buffer
	err := l.Query(t.Context(), query, func([]Column) error { return nil }, func(row []*string) error {
		for i, v := range row {
			if i > 0 {
				b.WriteByte('\t')
			}
			if v == nil {
				b.WriteString(`\N`)
			} else {
				b.WriteString(*v)
			}
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

func somePrice(t testing.TB, n int) schemas.Price {
	return schemas.Price{
		EventID: schemas.DeriveID("test", fmt.Sprint(n)), Provider: "kraken", CallID: "kraken-ticker", CallVersion: "v1",
		Instrument: "BTC-USD", Base: "BTC", Quote: "USD", Kind: schemas.KindTicker, RateType: schemas.RateLast,
		Price: dec(t, fmt.Sprintf("73380.%d", n)), EventTime: utc("2026-01-05 11:59:00").Add(time.Duration(n) * time.Second),
		EventTimeKind: schemas.TimeFetched, RequestedAt: utc("2026-01-05 11:59:00"), FetchedAt: utc("2026-01-05 11:59:01"),
		PollID: schemas.DeriveID("poll"), ResponseID: schemas.DeriveID("response"), CorrelationID: schemas.DeriveID("correlation"),
	}
}

func TestWritePrices(t *testing.T) {
	l := openLake(t)
	s := openSink(t, l)
	b := block(record(t, schemas.TopicPrices, 5, somePrice(t, 1)), record(t, schemas.TopicPrices, 7, somePrice(t, 2)))
	for range 2 {
		if err := s.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	got := ask(t, l, "SELECT instrument, price, bid, event_time, event_time_kind, recorded_at, _offset, _topic_id, _lake_epoch FROM prices ORDER BY _offset")
	want := "BTC-USD\t73380.1\t\\N\t2026-01-05 11:59:01.000000\tfetched\t2026-01-05 12:00:00.005000\t5\t01020300-0000-0000-0000-000000000004\t1\n" +
		"BTC-USD\t73380.2\t\\N\t2026-01-05 11:59:02.000000\tfetched\t2026-01-05 12:00:00.007000\t7\t01020300-0000-0000-0000-000000000004\t1"
	if got != want {
		t.Errorf("prices hold\n%s\nwant\n%s", got, want)
	}
	present, err := s.Present(t.Context(), sinks.Range{Partition: b.Partition, First: 0, Last: 1 << 62})
	if err != nil {
		t.Fatal(err)
	}
	if present.Count() != 2 || !present.Has(5) || present.Has(6) || !present.Has(7) {
		t.Errorf("Present = %v", present)
	}
}

// What is written is counted, and how old it is when it can be queried; a repeat
// writes nothing.
func TestMetrics(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	reg := prometheus.NewRegistry()
	now := utc("2026-01-05 11:59:31") // 30 s after the answers
	s := NewSink(l, Options{Decoders: jsonDecoders(), Cluster: "test", Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler), Registerer: reg})
	b := block(record(t, schemas.TopicPrices, 5, somePrice(t, 1)), record(t, schemas.TopicPrices, 7, somePrice(t, 2)))
	for range 2 {
		if err := s.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]float64{
		"pricelake_lake_rows_written_total": 2, "pricelake_lake_inserts_repeated_total": 1,
		"pricelake_lake_insert_duration_seconds count": 2, "pricelake_freshness_seconds count": 2, "pricelake_freshness_seconds sum": 60,
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		m := f.GetMetric()[0]
		if h := m.GetHistogram(); h != nil {
			got[f.GetName()+" count"], got[f.GetName()+" sum"] = float64(h.GetSampleCount()), h.GetSampleSum()
			continue
		}
		got[f.GetName()] = m.GetCounter().GetValue()
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s = %v, want %v", name, got[name], value)
		}
	}
}
