package normalize

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/processors"
	"github.com/pricelake/pricelake/schemas"
)

var (
	slot    = time.Date(2026, 3, 4, 5, 6, 0, 0, time.UTC)
	fetched = slot.Add(1234567 * time.Microsecond)
	errAway = errors.New("the catalog is away")
)

// calls is a catalog of one call.
type calls struct{ err error }

func (c calls) Call(_ context.Context, id, version string, _ time.Time) (*schemas.CallDefined, error) {
	if c.err != nil {
		return nil, c.err
	}
	if id != "coinbase.btc" || version != "v7" {
		return nil, fmt.Errorf("looking: %w", ErrUnknownCall)
	}
	return &schemas.CallDefined{CallID: id, Version: version, Provider: "coinbase"}, nil
}

// reads returns a reader that finds the same in every answer.
type reads func() schemas.Reading

func (r reads) Read(*schemas.CallDefined, *schemas.ResponseReceived) schemas.Reading { return r() }

func answer(status int32) schemas.ResponseReceived {
	poll := schemas.PollID("coinbase.btc", slot, schemas.OriginSchedule)
	return schemas.ResponseReceived{
		ResponseID: schemas.ResponseID(poll, 2), PollID: poll, CorrelationID: schemas.ID{7},
		CallID: "coinbase.btc", CallVersion: "v7", Provider: "coinbase", Attempt: 2, Slot: slot,
		RequestedAt: slot.Add(time.Second), FetchedAt: fetched, Status: status, Body: []byte("{}"),
	}
}

func decimal(text string) schemas.NullDecimal {
	d, _, err := schemas.ParseDecimal(text)
	if err != nil {
		panic(err)
	}
	return schemas.NullDecimal{Decimal: d, Valid: true}
}

// ticker is what a mapping reads where the source says no time.
func ticker(price string) schemas.Price {
	return schemas.Price{
		Instrument: "BTC-USD", Base: "BTC", Quote: "USD", Kind: schemas.KindTicker, RateType: schemas.RateLast,
		Price: decimal(price), EventTimeKind: schemas.TimeFetched,
	}
}

// trade is one without an id of the source.
func trade(at time.Time, price string) schemas.Price {
	p := ticker(price)
	p.Kind, p.EventTime, p.EventTimeKind, p.Size = schemas.KindTrade, at, schemas.TimeSource, decimal("1")
	return p
}

func process(t *testing.T, reading schemas.Reading) []Output {
	t.Helper()
	n := &Normalizer{Calls: calls{}, Reader: reads(func() schemas.Reading { return reading })}
	outs, err := n.Process(t.Context(), answer(200))
	if err != nil {
		t.Fatal(err)
	}
	return outs
}

func TestProcessCompletesPrices(t *testing.T) {
	date := schemas.DateOf(2026, 3, 3)
	fixing := ticker("2")
	fixing.Kind, fixing.RateType, fixing.ValueDate, fixing.EventTimeKind = schemas.KindFixing, schemas.RateOfficial, &date, schemas.TimeValueDate
	source := ticker("3")
	source.EventTimeKind, source.EventTime = schemas.TimeSource, slot.Add(time.Millisecond)
	source.Revision, source.CallID = 5, "stale"
	outs := process(t, schemas.Reading{Outcome: schemas.PollValued, Prices: []schemas.Price{ticker("1"), fixing, source}})
	if len(outs) != 3 {
		t.Fatalf("%d outputs, want 3", len(outs))
	}
	resp := answer(200)
	for i, want := range []time.Time{fetched, time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC), slot.Add(time.Millisecond)} {
		p := outs[i].Price
		if p == nil {
			t.Fatalf("output %d is a rejection: %+v", i, outs[i].Rejected)
		}
		if !p.EventTime.Equal(want) {
			t.Errorf("price %d has the event time %v, want %v", i, p.EventTime, want)
		}
		if p.EventID != schemas.EventID(p, slot, 0) {
			t.Errorf("price %d has the event id %s", i, p.EventID)
		}
		got := [...]any{p.Revision, p.Provider, p.CallID, p.CallVersion, p.RequestedAt, p.FetchedAt, p.PollID, p.ResponseID, p.CorrelationID}
		if want := [...]any{int32(0), resp.Provider, resp.CallID, resp.CallVersion, resp.RequestedAt, resp.FetchedAt, resp.PollID, resp.ResponseID, resp.CorrelationID}; got != want {
			t.Errorf("price %d says of its poll %v, want %v", i, got, want)
		}
	}
}

// Two answers for one slot give one event; another slot gives another.
func TestEventIDOfASlot(t *testing.T) {
	id := func(resp schemas.ResponseReceived) schemas.ID {
		n := &Normalizer{Calls: calls{}, Reader: reads(func() schemas.Reading { return schemas.Reading{Prices: []schemas.Price{ticker("1")}} })}
		outs, err := n.Process(t.Context(), resp)
		if err != nil || len(outs) != 1 {
			t.Fatalf("%d outputs, %v", len(outs), err)
		}
		return outs[0].Price.EventID
	}
	first, again, later := answer(200), answer(200), answer(200)
	again.FetchedAt, again.Attempt = fetched.Add(time.Hour), 3
	later.Slot = slot.Add(time.Minute)
	if id(first) != id(again) {
		t.Error("a repeated poll of a slot is another event")
	}
	if id(first) == id(later) {
		t.Error("the next slot is the same event")
	}
}

func TestOrdinalsTellEqualTradesApart(t *testing.T) {
	t1, t2 := slot, slot.Add(time.Microsecond)
	named := trade(t1, "1")
	named.TradeID = "t-1"
	other := trade(t1, "1")
	other.Instrument = "ETH-USD"
	prices := []schemas.Price{trade(t1, "1"), trade(t1, "1"), trade(t2, "1"), other, trade(t1, "2"), named, named, ticker("1"), ticker("2")}
	ids := func() (ids []schemas.ID) {
		for _, o := range process(t, schemas.Reading{Prices: slices.Clone(prices)}) {
			ids = append(ids, o.Price.EventID)
		}
		return ids
	}
	got := ids()
	var want []schemas.ID
	for i, ordinal := range []int{0, 1, 0, 0, 2, 0, 0, 0, 0} {
		p := prices[i]
		p.Provider = "coinbase"
		want = append(want, schemas.EventID(&p, slot, ordinal))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if !slices.Equal(got, ids()) {
		t.Error("the same answer gave other ids")
	}
	if got[5] != got[6] || got[7] != got[8] {
		t.Error("what has an identity of its own was told apart by its place")
	}
}

func TestProcessRejects(t *testing.T) {
	bad := schemas.PriceRejected{Reason: schemas.RejectBadNumber, Detail: "no number", Symbol: "X", Fragment: strings.Repeat("é", 4000)}
	empty := ticker("1")
	empty.Price, empty.RateType = schemas.NullDecimal{}, schemas.RateNone
	for _, c := range []struct {
		name    string
		reading schemas.Reading
		want    []string
	}{
		{"what the mapping rejects", schemas.Reading{Outcome: schemas.PollPartial, Prices: []schemas.Price{ticker("1")}, Rejected: []schemas.PriceRejected{bad, bad}},
			[]string{"price", "bad_number no number", "bad_number no number"}},
		{"what breaks a rule", schemas.Reading{Outcome: schemas.PollValued, Prices: []schemas.Price{empty, ticker("1")}, Rejected: []schemas.PriceRejected{bad}},
			[]string{"price", "bad_number no number", "invalid none of price, bid and ask is set"}},
		{"an unparsable answer that the mapping rejects", schemas.Reading{Outcome: schemas.PollUnparsable, Error: "html", Rejected: []schemas.PriceRejected{{Reason: schemas.RejectUnparsable, Detail: "html"}}},
			[]string{"unparsable html"}},
		{"an unparsable answer that it says nothing of", schemas.Reading{Outcome: schemas.PollUnparsable, Error: "html"}, []string{"unparsable html"}},
		{"an error answer that it says nothing of", schemas.Reading{Outcome: schemas.PollErrorAnswer, Error: "no such pair"}, []string{"error_answer no such pair"}},
		{"an answer without values", schemas.Reading{Outcome: schemas.PollAbsent}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp := answer(200)
			var got []string
			rejections := 0
			for _, o := range process(t, c.reading) {
				if o.Price != nil {
					got = append(got, "price")
					continue
				}
				r := o.Rejected
				got = append(got, r.Reason.String()+" "+r.Detail)
				if r.RejectID != schemas.RejectID(resp.ResponseID, rejections) || len(r.Fragment) > 4<<10 || strings.Contains(r.Fragment, "\uFFFD") {
					t.Errorf("rejection %d has the id %s and a fragment of %d bytes", rejections, r.RejectID, len(r.Fragment))
				}
				if r.PollID != resp.PollID || r.ResponseID != resp.ResponseID || r.CorrelationID != resp.CorrelationID || r.CallID != resp.CallID || !r.FetchedAt.Equal(resp.FetchedAt) {
					t.Errorf("rejection %+v does not lead back to its answer", r)
				}
				rejections++
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestProcessCalls(t *testing.T) {
	never := reads(func() schemas.Reading { t.Error("an answer was read"); return schemas.Reading{} })
	t.Run("unknown", func(t *testing.T) {
		resp := answer(200)
		resp.CallVersion = "v8"
		outs, err := (&Normalizer{Calls: calls{}, Reader: never}).Process(t.Context(), resp)
		if err != nil || len(outs) != 1 || outs[0].Rejected == nil || outs[0].Rejected.Reason != schemas.RejectUnknownCall {
			t.Errorf("got %+v, %v, want one rejection", outs, err)
		}
	})
	t.Run("away", func(t *testing.T) {
		_, err := (&Normalizer{Calls: calls{err: errAway}, Reader: never}).Process(t.Context(), answer(200))
		if _, final := processors.Rejected(err); final || !errors.Is(err, errAway) {
			t.Errorf("got %v, want an error that means try again", err)
		}
	})
	for _, status := range []int32{0, 199, 300, 304, 404, 429, 500} {
		outs, err := (&Normalizer{Calls: calls{err: errAway}, Reader: never}).Process(t.Context(), answer(status))
		if err != nil || len(outs) > 0 {
			t.Errorf("status %d: got %d outputs, %v, want none", status, len(outs), err)
		}
	}
}

// jsonCodec stands for the Avro codecs.
type jsonCodec[T any] struct{}

func (jsonCodec[T]) Decode(_ context.Context, wire []byte, v *T) error {
	return processors.Reject(schemas.DeadDecode, json.Unmarshal(wire, v))
}

func (jsonCodec[T]) Append(dst []byte, v *T) ([]byte, error) {
	p, err := json.Marshal(v)
	return append(dst, p...), err
}

func TestStageTopicsAndKeys(t *testing.T) {
	reading := func() schemas.Reading {
		return schemas.Reading{
			Prices:   []schemas.Price{ticker("1"), ticker("2")},
			Rejected: []schemas.PriceRejected{{Reason: schemas.RejectBadNumber, Instrument: "ETH-USD"}, {Reason: schemas.RejectUnknownSymbol, Symbol: "?"}},
		}
	}
	stage := NewStage(Config{
		Calls: calls{}, Reader: reads(reading),
		Responses: jsonCodec[schemas.ResponseReceived]{}, Prices: jsonCodec[schemas.Price]{},
		Rejected: jsonCodec[schemas.PriceRejected]{}, DeadLetters: jsonCodec[schemas.DeadLetter]{},
		Registerer: prometheus.NewRegistry(), Now: time.Now,
	})
	resp := answer(200)
	value, err := jsonCodec[schemas.ResponseReceived]{}.Append(nil, &resp)
	if err != nil {
		t.Fatal(err)
	}
	handle := func() []stream.Record {
		s, err := stage.Open(t.Context(), stream.TopicPartition{Topic: schemas.TopicResponses})
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.Handle(t.Context(), stream.Batch{Topic: schemas.TopicResponses, Records: []stream.Record{
			{Topic: schemas.TopicResponses, Value: []byte("garbage")}, {Topic: schemas.TopicResponses, Offset: 1, Value: value},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return out.Records
	}
	first := handle()
	var got []string
	for _, r := range first {
		if r.Partition != stream.AnyPartition {
			t.Errorf("%s goes to partition %d, want its key's", r.Topic, r.Partition)
		}
		got = append(got, r.Topic+" "+string(r.Key))
	}
	want := []string{
		"deadletters.v1 responses.v1/0/0",
		"prices.observed.v1 BTC-USD", "prices.observed.v1 BTC-USD",
		"prices.rejected.v1 ETH-USD", "prices.rejected.v1 coinbase.btc",
	}
	if !slices.Equal(got, want) {
		t.Errorf("published %q, want %q", got, want)
	}
	if !reflect.DeepEqual(first, handle()) {
		t.Error("the same input gave other bytes")
	}
}
