package bench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/ops"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
)

// answers are calls of one kind and what they bring.
type answers struct {
	name    string
	symbols int    // prices of an answer
	mapping string // producers/mapping
	body    func(answer int64) string
}

const (
	answerCalls  = 24 // so that every partition has some
	batchSymbols = 500
	answerBytes  = 1000 // of an answer with one price
	answerBatch  = 64   // answers published at once
	callVersion  = "bench-v1"
)

// single is an answer of 1 kB with one price, batch one with 500 symbols: what
// exchanges answer to a call for one ticker and for all of them.
func kindsOfAnswers() []answers {
	return []answers{
		{"single", 1, `{"kind":{"value":"ticker"},"price":".price","bid":".bid","ask":".ask","size":".size","trade_id":".trade_id","event_time":{"path":".time"}}`, func(n int64) string {
			head := fmt.Sprintf(`{"trade_id":%d,"price":"%d.48","size":"0.00698254","time":"%s","bid":"%d.15","ask":"%d.71","volume":"53602.03940154","note":"`,
				86_326_522+n, 6000+n%500, marketStart().Add(time.Duration(n)*time.Millisecond).Format(time.RFC3339Nano), 6000+n%500, 6001+n%500)
			return head + strings.Repeat("x", answerBytes-len(head)-2) + `"}`
		}},
		{"batch", batchSymbols, `{"rows":[".[]"],"symbol":".symbol","kind":{"value":"quote"},"bid":".bidPrice","ask":".askPrice"}`, func(n int64) string {
			rows := make([]string, batchSymbols)
			for i := range rows {
				rows[i] = fmt.Sprintf(`{"symbol":"S%03dUSDT","bidPrice":"%d.55000000","bidQty":"0.16356700","askPrice":"%d.10000000","askQty":"0.18635000"}`,
					i, int64(i)+1000+n%100, int64(i)+1001+n%100)
			}
			return "[" + strings.Join(rows, ",") + "]"
		}},
	}
}

// call is one of the calls that bring these answers.
func (a answers) call(n int) (*schemas.CallDefined, error) {
	one, _, err := schemas.ParseDecimal("1")
	if err != nil {
		return nil, err
	}
	def := &schemas.CallDefined{CallID: fmt.Sprintf("bench-%s-%d", a.name, n), Version: callVersion, Provider: "bench", Account: "bench", Mapping: a.mapping, DefinedAt: marketStart()}
	for i := range a.symbols {
		base := fmt.Sprintf("S%03d", i)
		def.Symbols = append(def.Symbols, schemas.CallSymbol{Symbol: base + "USDT", Instrument: base + "-USDT", Base: base, Quote: "USDT", Factor: one})
	}
	return def, nil
}

// publisher writes calls and answers as the product does.
type publisher struct {
	calls     *avro.Codec[schemas.CallDefined]
	responses *avro.Codec[schemas.ResponseReceived]
	producer  *kafka.Producer
}

func (s *Servers) newPublisher(ctx context.Context) (*publisher, error) {
	client, err := avro.NewClient(s.Registry)
	if err != nil {
		return nil, err
	}
	p := &publisher{}
	if p.calls, err = avro.NewCodec[schemas.CallDefined](schemas.TopicCalls, client); err != nil {
		return nil, err
	}
	if p.responses, err = avro.NewCodec[schemas.ResponseReceived](schemas.TopicResponses, client); err != nil {
		return nil, err
	}
	if err := p.calls.Prepare(ctx); err != nil {
		return nil, err
	}
	if err := p.responses.Prepare(ctx); err != nil {
		return nil, err
	}
	c := s.kafkaConfig()
	c.Registerer = ops.NewRegistry("bench")
	p.producer, err = kafka.NewProducer(c)
	return p, err
}

// define publishes the calls.
func (p *publisher) define(ctx context.Context, a answers) error {
	for n := range answerCalls {
		def, err := a.call(n)
		if err != nil {
			return err
		}
		value, err := p.calls.Append(nil, def)
		if err != nil {
			return err
		}
		if err := p.producer.Publish(ctx, stream.Record{Topic: schemas.TopicCalls, Partition: stream.AnyPartition, Key: []byte(def.CallID), Value: value}); err != nil {
			return fmt.Errorf("publishing a call: %w", err)
		}
	}
	return nil
}

// answer publishes so many answers.
func (p *publisher) answer(ctx context.Context, a answers, count int64) error {
	for n := int64(0); n < count; {
		var records []stream.Record
		for range min(answerBatch, count-n) {
			r, err := p.response(a, n)
			if err != nil {
				return err
			}
			records = append(records, r)
			n++
		}
		if err := p.producer.Publish(ctx, records...); err != nil {
			return fmt.Errorf("publishing answers: %w", err)
		}
	}
	return nil
}

func (p *publisher) response(a answers, n int64) (stream.Record, error) {
	resp := a.response(n)
	value, err := p.responses.Append(nil, &resp)
	return stream.Record{Topic: schemas.TopicResponses, Partition: stream.AnyPartition, Key: []byte(resp.CallID), Value: value}, err
}

// response is the n-th answer.
func (a answers) response(n int64) schemas.ResponseReceived {
	callID := fmt.Sprintf("bench-%s-%d", a.name, n%answerCalls)
	slot := marketStart().Add(time.Duration(n/answerCalls) * time.Second)
	poll := schemas.PollID(callID, slot, schemas.OriginSchedule)
	return schemas.ResponseReceived{
		ResponseID: schemas.ResponseID(poll, 1), PollID: poll, CorrelationID: schemas.DeriveID("bench", callID, fmt.Sprint(n)),
		CallID: callID, CallVersion: callVersion, Provider: "bench", Attempt: 1, Slot: slot, RequestedAt: slot, FetchedAt: slot.Add(200 * time.Millisecond),
		Method: "GET", URL: "https://bench.example.com/ticker", Status: 200, Headers: map[string]string{"content-type": "application/json"}, Body: []byte(a.body(n)),
	}
}

// normalizer measures answers with one price, then answers with 500.
func (b *processorBench) normalizer(ctx context.Context) error {
	p, err := b.servers.newPublisher(ctx)
	if err != nil {
		return err
	}
	defer p.producer.Close()
	before := int64(0)
	for _, a := range kindsOfAnswers() {
		if err := p.define(ctx, a); err != nil {
			return err
		}
		count := max(1, b.Events/int64(a.symbols))
		if err := p.answer(ctx, a, count); err != nil {
			return err
		}
		d, err := b.drain(ctx, normalizer, schemas.TopicResponses, count*int64(a.symbols), b.profileOf(normalizer+"-"+a.name))
		if err != nil {
			return err
		}
		n, err := b.count(ctx, schemas.TopicObserved)
		if err != nil {
			return err
		}
		if n-before != d.Events {
			return fmt.Errorf("%d answers with %d prices each gave %d", count, a.symbols, n-before)
		}
		before = n
		b.Progress("normalizer %d, %d answers with %d price(s): %v", b.number+1, count, a.symbols, d)
		if a.symbols == 1 {
			b.report.Normalizer.Singles = append(b.report.Normalizer.Singles, d)
		} else {
			b.report.Normalizer.Batches = append(b.report.Normalizer.Batches, d)
		}
	}
	return nil
}
