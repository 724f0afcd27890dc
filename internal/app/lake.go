package app

import (
	"context"
	"errors"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/processors"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
	"github.com/pricelake/pricelake/sinks"
	"github.com/pricelake/pricelake/sinks/lake"
)

// lakeGroup is the consumer group of the lake.
const lakeGroup = "pricelake." + lake.Role

// runLake loads ClickHouse.
func (a *App) runLake(ctx context.Context) error {
	l, err := a.openLake()
	if err != nil {
		return err
	}
	if err := a.await(ctx, "ClickHouse", bounded(l.CheckSettings)); err != nil {
		return a.stopped(ctx, err)
	}
	var epoch uint32
	err = a.await(ctx, "ClickHouse", bounded(func(ctx context.Context) (err error) {
		epoch, err = l.Epoch(ctx)
		return err
	}))
	if err != nil {
		return a.stopped(ctx, err)
	}
	if err := a.await(ctx, "Kafka", bounded(a.checkSources)); err != nil {
		return a.stopped(ctx, err)
	}
	calls, err := a.openCalls(ctx)
	if err != nil {
		return a.stopped(ctx, err)
	}
	sink, err := a.lakeSink(ctx, l, calls)
	if err != nil {
		return a.stopped(ctx, err)
	}
	dead, err := codec[schemas.DeadLetter](ctx, a, schemas.TopicDeadLetters)
	if err != nil {
		return a.stopped(ctx, err)
	}
	gate, err := a.gate(ctx, lake.Role)
	if err != nil {
		return a.stopped(ctx, err)
	}
	producer, err := kafka.NewHotProducer(a.kafkaConfig(lake.Role))
	if err != nil {
		return err
	}
	defer producer.Close()
	letters := &processors.DeadLetters{Role: lake.Role, Encoder: dead}
	held := new(heldPartitions)
	a.metrics.MustRegister(newHeldMetric(held))
	handler := sinks.NewHandler(sinks.Options{
		Store:     sink,
		Publisher: producer,
		DeadLetter: func(in *stream.Record, reason schemas.DeadReason, cause error) (stream.Record, error) {
			return letters.Record(new(processors.Buffer), in, reason, cause)
		},
		Epoch:      epoch,
		Transform:  lake.Transform,
		Writer:     a.settings.Config.Instance,
		Compacted:  lake.Compacted,
		NoIntents:  a.settings.NoIntents,
		Failpoints: a.settings.Failpoints,
		Log:        a.log.With("part", lake.Role),
		Registerer: a.metrics,
	})
	loop := kafka.Range{Config: a.kafkaConfig(lake.Role), Group: lakeGroup, Gate: gate, Topics: a.lakeFlushes(),
		BufferBytes: int64(a.settings.Config.Lake.BufferBytes)}
	still := new(stillPartitions)
	loop.Stopped = still.note
	a.health.Add(lake.Role+" partitions", func(context.Context) error { return still.now() })
	a.workingUnless(lake.Role, held.now)
	audit := lake.NewAuditMetrics(a.metrics)
	return both(ctx, calls.run, func(ctx context.Context) error {
		return both(ctx, func(ctx context.Context) error { return a.audit(ctx, l, audit) },
			func(ctx context.Context) error { return loop.Run(ctx, held.ranges(handler.Open)) })
	})
}

// checkSources says whether the topics that are loaded as logs of events are such.
func (a *App) checkSources(ctx context.Context) error {
	admin, err := kafka.NewAdmin(a.kafkaConfig(lake.Role))
	if err != nil {
		return err
	}
	defer admin.Close()
	var topics []string
	for _, t := range lake.Tables() {
		if !t.Latest {
			topics = append(topics, t.Topic)
		}
	}
	seen, err := admin.CheckSources(ctx, a.kafkaConfig(lake.Role), topics...)
	if err == nil && !seen {
		a.log.DebugContext(ctx, "the account may not see the settings of topics and brokers; `pricelake doctor` checks them")
	}
	return err
}

// lakeSink makes the sink with a decoder for every topic.
func (a *App) lakeSink(ctx context.Context, l *lake.Lake, calls *callView) (*lake.Sink, error) {
	d, err := a.lakeDecoders(ctx)
	if err != nil {
		return nil, err
	}
	var cluster string
	err = a.await(ctx, "Kafka", bounded(func(ctx context.Context) (err error) {
		cluster, err = kafka.ClusterID(ctx, a.kafkaConfig(lake.Role))
		return err
	}))
	if err != nil {
		return nil, err
	}
	return lake.NewSink(l, lake.Options{
		Decoders:   d,
		Cluster:    cluster,
		Retention:  retention(calls),
		Now:        time.Now,
		Failpoints: a.settings.Failpoints,
		Log:        a.log.With("part", lake.Role),
		Registerer: a.metrics,
	}), nil
}

func (a *App) lakeDecoders(ctx context.Context) (d lake.Decoders, err error) {
	if d.Prices, err = a.priceRows(ctx); err != nil {
		return d, err
	}
	if d.Rejected, err = sinkDecoder[schemas.PriceRejected](ctx, a, schemas.TopicRejected); err != nil {
		return d, err
	}
	if d.Polls, err = sinkDecoder[schemas.PollFinished](ctx, a, schemas.TopicPolls); err != nil {
		return d, err
	}
	if d.Responses, err = sinkDecoder[schemas.ResponseReceived](ctx, a, schemas.TopicResponses); err != nil {
		return d, err
	}
	if d.DeadLetters, err = sinkDecoder[schemas.DeadLetter](ctx, a, schemas.TopicDeadLetters); err != nil {
		return d, err
	}
	if d.Instruments, err = sinkDecoder[schemas.InstrumentDefined](ctx, a, schemas.TopicInstruments); err != nil {
		return d, err
	}
	d.Calls, err = sinkDecoder[schemas.CallDefined](ctx, a, schemas.TopicCalls)
	return d, err
}

// sinkDecoder is a codec whose final errors the sinks understand.
func sinkDecoder[T any](ctx context.Context, a *App, topic string) (sinks.Decoder[T], error) {
	c, err := codec[T](ctx, a, topic)
	if err != nil {
		return nil, err
	}
	return sinkRecords[T]{c}, nil
}

// priceRows reads prices without making any. Until our schema is registered no
// record has it.
func (a *App) priceRows(ctx context.Context) (lake.RowReader, error) {
	if _, err := codec[schemas.Price](ctx, a, schemas.TopicPrices); err != nil {
		return nil, err
	}
	rows, err := avro.NewRows[schemas.Price](schemas.TopicPrices, a.registry)
	if err != nil {
		return nil, err
	}
	return finalRows{rows}, nil
}

// sinkRecords and finalRows tell the lake that no repetition can make a record
// readable. Anything else is about a schema or the registry: the topic waits for
// it.
type sinkRecords[T any] struct{ decoder[T] }

func (d sinkRecords[T]) Decode(ctx context.Context, wire []byte, v *T) error {
	return refuseBad(d.decoder.Decode(ctx, wire, v))
}

type finalRows struct{ lake.RowReader }

func (r finalRows) Read(ctx context.Context, wire []byte, row []schemas.Field) ([]string, error) {
	unknown, err := r.RowReader.Read(ctx, wire, row)
	return unknown, refuseBad(err)
}

func refuseBad(err error) error {
	if errors.Is(err, avro.ErrBadRecord) && !errors.Is(err, avro.ErrUnreadable) {
		return sinks.Refuse(schemas.DeadDecode, err)
	}
	return err
}

// lakeFlushes says how each topic's records are cut into blocks.
func (a *App) lakeFlushes() map[string]kafka.Flush {
	cfg := a.settings.Config.Lake
	flushes := map[string]kafka.Flush{}
	for _, t := range lake.Tables() {
		f := kafka.Flush{Rows: cfg.MaxRows, Bytes: cfg.MaxBytes, Interval: cfg.OtherFlushInterval, Linger: lakeLinger}
		if t.Topic == schemas.TopicPrices {
			f.Interval = cfg.FlushInterval
			f.Apart = true // what processes of this role are added for
		}
		flushes[t.Topic] = f
	}
	return flushes
}

// lakeLinger is how long the first record after a quiet time waits for company:
// the records of one answer arrive together.
const lakeLinger = 30 * time.Millisecond
