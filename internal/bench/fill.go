package bench

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/ops"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
)

// config is the product's configuration for the servers.
func (s *Servers) config(partitions int) config.Config {
	cfg := config.Default()
	cfg.Instance = "bench"
	cfg.Kafka.Brokers = []string{s.Kafka}
	cfg.Kafka.Partitions = partitions
	cfg.Kafka.ReplicationFactor = 1
	cfg.Registry.URL = s.Registry
	if s.ClickHouse != nil {
		cfg.ClickHouse.Addr, cfg.ClickHouse.User = s.ClickHouse.NativeAddr(), s.ClickHouse.Owner().User
	}
	return cfg
}

// SetUp makes topics and schemas and, where there is a ClickHouse, the tables.
func (s *Servers) SetUp(ctx context.Context, partitions int) error {
	settings := app.Settings{Config: s.config(partitions), Getenv: func(string) string { return "" }}
	if s.ClickHouse != nil {
		settings.ClickHousePassword = s.ClickHouse.Owner().Password
	}
	a, err := app.New(settings, quiet(), ops.NewRegistry("bench"))
	if err != nil {
		return err
	}
	defer a.Close()
	if _, err := a.ApplyTopics(ctx); err != nil {
		return fmt.Errorf("making the topics: %w", err)
	}
	if _, err := a.RegisterSchemas(ctx); err != nil {
		return err
	}
	if s.ClickHouse == nil {
		return nil
	}
	if _, err := a.Migrate(ctx); err != nil {
		return fmt.Errorf("making the tables: %w", err)
	}
	return nil
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// kafkaConfig is that of a client of this process.
func (s *Servers) kafkaConfig() kafka.Config {
	c := kafka.DefaultConfig()
	c.Brokers = []string{s.Kafka}
	c.ClientID = "pricelake-bench"
	c.Logger = quiet()
	return c
}

// filling is what a topic was filled with.
type filling struct {
	Rows  int64         `json:"rows"`
	Bytes int64         `json:"bytes"` // keys and values, before compression
	Took  time.Duration `json:"-"`
}

// fillBatch is how many records are published at once.
const fillBatch = 20_000

// priceWriter publishes prices in the wire format of the product.
type priceWriter struct {
	topic    string
	codec    *avro.Codec[schemas.Price]
	producer *kafka.Producer
	records  []stream.Record
	arena    []byte
	ends     []int
}

func newPriceWriter(ctx context.Context, s *Servers, topic string) (*priceWriter, error) {
	client, err := avro.NewClient(s.Registry)
	if err != nil {
		return nil, err
	}
	codec, err := avro.NewCodec[schemas.Price](topic, client)
	if err != nil {
		return nil, err
	}
	if err := codec.Prepare(ctx); err != nil {
		return nil, err
	}
	c := s.kafkaConfig()
	c.Registerer = ops.NewRegistry("bench")
	producer, err := kafka.NewHotProducer(c)
	if err != nil {
		return nil, err
	}
	return &priceWriter{topic: topic, codec: codec, producer: producer}, nil
}

func (w *priceWriter) close() { w.producer.Close() }

// add appends a price to the next publication.
func (w *priceWriter) add(p *schemas.Price) (err error) {
	if w.arena, err = w.codec.Append(w.arena, p); err != nil {
		return err
	}
	w.ends = append(w.ends, len(w.arena))
	w.records = append(w.records, stream.Record{Topic: w.topic, Partition: stream.AnyPartition, Key: []byte(p.Instrument)})
	return nil
}

// addBytes appends a record that is none of the product's.
func (w *priceWriter) addBytes(key, value []byte) {
	w.arena = append(w.arena, value...)
	w.ends = append(w.ends, len(w.arena))
	w.records = append(w.records, stream.Record{Topic: w.topic, Partition: stream.AnyPartition, Key: key})
}

// publish sends what was added, and returns its bytes once it is acknowledged.
func (w *priceWriter) publish(ctx context.Context) (bytes int64, err error) {
	from := 0
	for i, end := range w.ends {
		w.records[i].Value = w.arena[from:end:end]
		bytes += int64(end - from + len(w.records[i].Key))
		from = end
	}
	err = w.producer.Publish(ctx, w.records...)
	w.records, w.ends = w.records[:0], w.ends[:0]
	w.arena = slices.Grow([]byte(nil), len(w.arena)) // the client may still hold the old one
	return bytes, err
}

// fill publishes rows prices to a topic of prices.
func fill(ctx context.Context, s *Servers, topic string, rows int64) (f filling, err error) {
	w, err := newPriceWriter(ctx, s, topic)
	if err != nil {
		return f, err
	}
	defer w.close()
	begin := time.Now()
	m := newMarket(marketStart())
	var p schemas.Price
	for f.Rows < rows {
		for range min(fillBatch, rows-f.Rows) {
			m.next(&p)
			if err := w.add(&p); err != nil {
				return f, err
			}
			f.Rows++
		}
		n, err := w.publish(ctx)
		if err != nil {
			return f, fmt.Errorf("filling the topic: %w", err)
		}
		f.Bytes += n
	}
	f.Took = time.Since(begin)
	return f, nil
}

// marketStart is fixed: every run measures the same rows.
func marketStart() time.Time { return time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC) }
