package processors_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/processors"
	"github.com/pricelake/pricelake/schemas"
)

// A processor is a function from one input to its outputs, and a stage says
// where they come from and go to. This one turns prices into alerts.
func Example() {
	type alert struct{ Instrument, Text string }

	watch := processors.Func[schemas.Price, alert](func(_ context.Context, p schemas.Price) ([]alert, error) {
		switch {
		case p.Instrument == "":
			return nil, processors.Reject(schemas.DeadInvalid, errors.New("a price of nothing"))
		case p.Price.Valid && p.Price.Decimal.Sign() < 0:
			return []alert{{p.Instrument, "below zero: " + p.Price.Decimal.String()}}, nil
		}
		return nil, nil // filtered
	})
	stage := &processors.Stage[schemas.Price, alert]{
		Decoder:   jsonCodec[schemas.Price]{},
		Processor: watch,
		Outlet:    &processors.Topic[alert]{Name: "alerts.v1", Encoder: jsonCodec[alert]{}, Key: func(a *alert) string { return a.Instrument }},
		Dead:      &processors.DeadLetters{Role: "alerter", Encoder: jsonCodec[schemas.DeadLetter]{}},
		Metrics:   processors.NewMetrics(prometheus.NewRegistry(), "alerter"),
		Now:       time.Now,
	}

	// The loop that owns the transactions does this for every assigned
	// partition, with stage.Open.
	ctx := context.Background()
	partition, _ := stage.Open(ctx, stream.TopicPartition{Topic: schemas.TopicPrices})
	out, _ := partition.Handle(ctx, stream.Batch{Topic: schemas.TopicPrices, Records: []stream.Record{
		{Topic: schemas.TopicPrices, Offset: 0, Value: []byte(`{"instrument":"CL-USD","price":"-37.63"}`)},
		{Topic: schemas.TopicPrices, Offset: 2, Value: []byte(`{"instrument":"BTC-USD","price":"73380.6"}`)},
		{Topic: schemas.TopicPrices, Offset: 3, Value: []byte(`{"price":"1"}`)},
	}})
	for _, r := range out.Records {
		fmt.Printf("%s key %s\n", r.Topic, r.Key)
	}
	// Output:
	// alerts.v1 key CL-USD
	// deadletters.v1 key prices.v1/0/3
}
