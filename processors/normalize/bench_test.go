package normalize

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/producers/mapping"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
)

// compiled is a catalog of one call with its mapping.
type compiled struct {
	def     *schemas.CallDefined
	program *mapping.Program
}

func (c *compiled) Call(context.Context, string, string, time.Time) (*schemas.CallDefined, error) {
	return c.def, nil
}

func (c *compiled) Read(_ *schemas.CallDefined, resp *schemas.ResponseReceived) schemas.Reading {
	return c.program.Read(resp)
}

func compile(b *testing.B, m *mapping.Mapping, symbols int) *compiled {
	b.Helper()
	text, err := m.JSON()
	if err != nil {
		b.Fatal(err)
	}
	one := decimal("1").Decimal
	def := &schemas.CallDefined{CallID: "bench", Version: "v1", Provider: "bench", Mapping: text}
	for i := range symbols {
		def.Symbols = append(def.Symbols, schemas.CallSymbol{
			Symbol: fmt.Sprintf("S%03dUSDT", i), Instrument: fmt.Sprintf("S%03d-USDT", i), Base: fmt.Sprintf("S%03d", i), Quote: "USDT", Factor: one,
		})
	}
	program, err := mapping.Compile(def)
	if err != nil {
		b.Fatal(err)
	}
	return &compiled{def, program}
}

func codec[T any](b *testing.B, client *avro.Client, topic string) *avro.Codec[T] {
	b.Helper()
	for _, s := range avro.Schemas() {
		if s.Topic == topic {
			if _, err := client.Register(b.Context(), s.Name, s.Schema); err != nil {
				b.Fatal(err)
			}
		}
	}
	c, err := avro.NewCodec[T](topic, client)
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Prepare(b.Context()); err != nil {
		b.Fatal(err)
	}
	return c
}

// benchmark normalizes one answer again and again: decode, map, identify,
// validate, encode.
func benchmark(b *testing.B, call *compiled, body string, prices int) {
	b.Helper()
	server := httptest.NewServer(srfake.NewRegistry().Handler())
	b.Cleanup(server.Close)
	client, err := avro.NewClient(server.URL)
	if err != nil {
		b.Fatal(err)
	}
	responses := codec[schemas.ResponseReceived](b, client, schemas.TopicResponses)
	stage := NewStage(Config{
		Calls: call, Reader: call, Responses: responses,
		Prices:      codec[schemas.Price](b, client, schemas.TopicObserved),
		Rejected:    codec[schemas.PriceRejected](b, client, schemas.TopicRejected),
		DeadLetters: codec[schemas.DeadLetter](b, client, schemas.TopicDeadLetters),
		Registerer:  prometheus.NewRegistry(), Now: time.Now,
	})
	s, err := stage.Open(b.Context(), stream.TopicPartition{Topic: schemas.TopicResponses})
	if err != nil {
		b.Fatal(err)
	}
	resp := answer(200)
	resp.Body = []byte(body)
	value, err := responses.Append(nil, &resp)
	if err != nil {
		b.Fatal(err)
	}
	batch := stream.Batch{Topic: schemas.TopicResponses, Records: []stream.Record{{Topic: schemas.TopicResponses, Value: value}}}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		out, err := s.Handle(b.Context(), batch)
		if err != nil || len(out.Records) != prices || out.Records[0].Topic != schemas.TopicObserved {
			b.Fatalf("%d records, %v, want %d prices", len(out.Records), err, prices)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(prices), "ns/price")
}

// BenchmarkTicker is an answer of 1 kB with one price.
func BenchmarkTicker(b *testing.B) {
	call := compile(b, &mapping.Mapping{
		Price: ".price", Bid: ".bid", Ask: ".ask", Size: ".size", TradeID: ".trade_id",
		Kind: mapping.Choice{Value: "ticker"}, EventTime: &mapping.Time{Path: ".time"},
	}, 1)
	head := `{"trade_id":86326522,"price":"6268.48","size":"0.00698254","time":"2026-03-20T00:22:57.833897Z","bid":"6265.15","ask":"6267.71","volume":"53602.03940154","note":"`
	benchmark(b, call, head+strings.Repeat("x", 1022-len(head))+`"}`, 1)
}

// BenchmarkBatch is an answer with 500 symbols.
func BenchmarkBatch(b *testing.B) {
	call := compile(b, &mapping.Mapping{
		Rows: []string{".[]"}, Symbol: ".symbol", Bid: ".bidPrice", Ask: ".askPrice", Kind: mapping.Choice{Value: "quote"},
	}, 500)
	var rows []string
	for i := range 500 {
		rows = append(rows, fmt.Sprintf(`{"symbol":"S%03dUSDT","bidPrice":"%d.55000000","bidQty":"0.16356700","askPrice":"%d.10000000","askQty":"0.18635000"}`, i, i+1000, i+1001))
	}
	benchmark(b, call, "["+strings.Join(rows, ",")+"]", 500)
}
