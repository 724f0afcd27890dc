package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/processors/normalize"
	"github.com/pricelake/pricelake/schemas"
)

// runNormalizer makes prices of answers.
func (a *App) runNormalizer(ctx context.Context) error {
	calls, err := a.openCalls(ctx)
	if err != nil {
		return a.stopped(ctx, err)
	}
	responses, err := codec[schemas.ResponseReceived](ctx, a, schemas.TopicResponses)
	if err != nil {
		return a.stopped(ctx, err)
	}
	prices, err := codec[schemas.Price](ctx, a, schemas.TopicObserved)
	if err != nil {
		return a.stopped(ctx, err)
	}
	rejected, err := codec[schemas.PriceRejected](ctx, a, schemas.TopicRejected)
	if err != nil {
		return a.stopped(ctx, err)
	}
	dead, err := codec[schemas.DeadLetter](ctx, a, schemas.TopicDeadLetters)
	if err != nil {
		return a.stopped(ctx, err)
	}
	gate, err := a.gate(ctx, normalize.Role)
	if err != nil {
		return a.stopped(ctx, err)
	}
	stage := normalize.NewStage(normalize.Config{
		Calls:          normalizerCalls{calls},
		Reader:         newMappings(),
		Responses:      finalDecoder[schemas.ResponseReceived]{responses, rejecting, new(strays)},
		Prices:         prices,
		Rejected:       rejected,
		DeadLetters:    dead,
		Registerer:     a.metrics,
		MaxRecordBytes: kafka.MaxRecordBytes,
		Now:            time.Now,
	})
	loop := a.transact(normalize.Role, schemas.TopicResponses, schemas.TopicObserved, schemas.TopicRejected, schemas.TopicDeadLetters)
	loop.Gate = gate
	a.working(normalize.Role)
	return both(ctx, calls.run, func(ctx context.Context) error { return loop.Run(ctx, stage.Open) })
}

// transact makes the loop of a processor, from one topic to others.
func (a *App) transact(role, topic string, outputs ...string) kafka.Transact {
	family := fmt.Sprintf("pricelake-%s-", role)
	return kafka.Transact{
		Config:          a.kafkaConfig(role),
		Group:           "pricelake." + role,
		Topics:          []string{topic},
		Outputs:         outputs,
		TransactionalID: family + a.settings.Config.Instance,
		Family:          family,
		Sessions:        a.settings.Config.Processor.Sessions,
		MaxRecords:      a.settings.Config.Processor.MaxRecords,
	}
}

// normalizerCalls tells the normalizer in its own words that a call is unknown.
type normalizerCalls struct{ view *callView }

func (c normalizerCalls) Call(ctx context.Context, id, version string, asked time.Time) (*schemas.CallDefined, error) {
	def, err := c.view.CallAsOf(ctx, id, version, asked)
	if errors.Is(err, errUnknownCall) {
		return nil, fmt.Errorf("%w: %w", normalize.ErrUnknownCall, err)
	}
	return def, err
}
