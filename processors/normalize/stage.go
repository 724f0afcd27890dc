package normalize

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/processors"
	"github.com/pricelake/pricelake/schemas"
)

// Config is what the normalizer's stage needs. Every field is needed but
// MaxRecordBytes.
type Config struct {
	Calls       Calls
	Reader      Reader
	Responses   processors.Decoder[schemas.ResponseReceived]
	Prices      processors.Encoder[schemas.Price]
	Rejected    processors.Encoder[schemas.PriceRejected]
	DeadLetters processors.Encoder[schemas.DeadLetter]
	Registerer  prometheus.Registerer
	// MaxRecordBytes is that of processors.Stage.
	MaxRecordBytes func(topic string) int
	// Now is the clock of the duration metric and of nothing else.
	Now func() time.Time
}

// NewStage returns the stage between responses.v1 and prices.observed.v1; its
// Open is the stream.OpenStage.
func NewStage(c Config) *processors.Stage[schemas.ResponseReceived, Output] {
	return &processors.Stage[schemas.ResponseReceived, Output]{
		Decoder:   c.Responses,
		Processor: &Normalizer{Calls: c.Calls, Reader: c.Reader},
		Outlet: &outlet{
			prices: processors.Topic[schemas.Price]{
				Name:    schemas.TopicObserved,
				Encoder: c.Prices,
				Key:     func(p *schemas.Price) string { return p.Instrument },
			},
			rejected: processors.Topic[schemas.PriceRejected]{
				Name:    schemas.TopicRejected,
				Encoder: c.Rejected,
				Key:     rejectedKey,
			},
		},
		Dead:           &processors.DeadLetters{Role: Role, Encoder: c.DeadLetters},
		Metrics:        processors.NewMetrics(c.Registerer, Role),
		MaxRecordBytes: c.MaxRecordBytes,
		Now:            c.Now,
	}
}

// outlet sends prices and rejections to their topics.
type outlet struct {
	prices   processors.Topic[schemas.Price]
	rejected processors.Topic[schemas.PriceRejected]
}

func (o *outlet) Record(b *processors.Buffer, in *stream.Record, out *Output) (stream.Record, error) {
	if out.Price != nil {
		return o.prices.Record(b, in, out.Price)
	}
	return o.rejected.Record(b, in, out.Rejected)
}

// rejectedKey is the instrument, or the call where a rejection is about the
// whole answer or a symbol that stands for no instrument.
func rejectedKey(r *schemas.PriceRejected) string {
	if r.Instrument != "" {
		return r.Instrument
	}
	return r.CallID
}
