package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pricelake/pricelake/schemas"
)

// engineSetting is how the Kafka engine is set up.
type engineSetting struct {
	name     string
	table    []string // further settings of its table
	sessions []string // settings of who makes it, which it keeps
}

// documented is the example of ClickHouse's documentation of the engine and
// nothing else.
func documented() engineSetting { return engineSetting{name: "as documented"} }

// engineSweep is what may make it faster.
func engineSweep() []engineSetting {
	one := func(name string, table ...string) engineSetting { return engineSetting{name: name, table: table} }
	return []engineSetting{
		documented(),
		one("2 consumers", "kafka_num_consumers = 2"),
		one("2 consumers, a thread each", "kafka_num_consumers = 2", "kafka_thread_per_consumer = 1"),
		one("blocks of 262144", "kafka_max_block_size = 262144", "kafka_poll_max_batch_size = 65536"),
		one("2 consumers, a thread each, blocks of 262144", "kafka_num_consumers = 2", "kafka_thread_per_consumer = 1",
			"kafka_max_block_size = 262144", "kafka_poll_max_batch_size = 65536"),
		one("2 consumers, a thread each, blocks of 65536, flush 1 s", "kafka_num_consumers = 2", "kafka_thread_per_consumer = 1",
			"kafka_max_block_size = 65536", "kafka_poll_max_batch_size = 65536", "kafka_flush_interval_ms = 1000"),
		one("2 consumers, a thread each, blocks of 1048576, flush 15 s", "kafka_num_consumers = 2", "kafka_thread_per_consumer = 1",
			"kafka_max_block_size = 1048576", "kafka_poll_max_batch_size = 65536", "kafka_flush_interval_ms = 15000"),
	}
}

// engine measures ClickHouse's own Kafka engine, as documented and at its best.
func (b *lakeBench) engine(ctx context.Context) error {
	best := documented()
	if b.SweepRows > 0 {
		most := 0.0
		for _, s := range engineSweep() {
			run, err := b.engineRun(ctx, s, b.SweepRows)
			if err != nil {
				return err
			}
			b.Progress("Kafka engine, %d rows, %s: %.0f rows/s", b.SweepRows, s.name, run.RowsPerSecond())
			if run.RowsPerSecond() > most {
				most, best = run.RowsPerSecond(), s
			}
		}
	}
	b.report.KafkaEngineBest = best.name
	type measured struct {
		setting engineSetting
		runs    *[]Run
	}
	all := []measured{{documented(), &b.report.Engine}}
	if best.name != documented().name {
		all = append(all, measured{best, &b.report.EngineBest})
	}
	for i := range b.Runs {
		for _, m := range all {
			run, err := b.engineRun(ctx, m.setting, b.Rows)
			if err != nil {
				return err
			}
			*m.runs = append(*m.runs, run)
			b.Progress("Kafka engine %d, %s: %v", i+1, m.setting.name, run)
		}
	}
	return nil
}

// engineRun lets the engine drain rows of the topic, from the making of its view
// to the last row that can be read.
func (b *lakeBench) engineRun(ctx context.Context, s engineSetting, rows int64) (run Run, err error) {
	if err := b.dropEngine(ctx); err != nil {
		return run, err
	}
	if err := b.reset(ctx); err != nil {
		return run, err
	}
	if _, err := b.sql.query(ctx, b.engineTable(s), s.sessions...); err != nil {
		return run, err
	}
	before, start := b.servers.used(), time.Now()
	if _, err := b.sql.query(ctx, engineView); err != nil {
		return run, err
	}
	if rows == b.Rows {
		if run.Took, err = b.sql.awaitRows(ctx, "prices", rows, start, nil); err != nil {
			return run, err
		}
		if run, err = b.finished(ctx, run.Took, before); err == nil {
			err = b.onceEach(ctx)
		}
	} else {
		run.Rows, run.Took, err = b.sql.awaitSome(ctx, rows, start)
	}
	if err != nil {
		return run, err
	}
	return run, b.dropEngine(ctx)
}

func (b *lakeBench) dropEngine(ctx context.Context) error {
	for _, name := range []string{"bench_view", "bench_queue"} {
		if _, err := b.sql.query(ctx, "DROP TABLE IF EXISTS "+name+" SYNC"); err != nil {
			return err
		}
	}
	return nil
}

// awaitSome is awaitRows for at least so many rows; it says how many there were.
func (c *sqlClient) awaitSome(ctx context.Context, rows int64, start time.Time) (int64, time.Duration, error) {
	deadline := start.Add(2 * time.Minute)
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-wait.C:
		case <-ctx.Done():
			return 0, time.Since(start), ctx.Err()
		}
		n, err := c.number(ctx, "SELECT count() FROM prices")
		now := time.Now()
		if err != nil || n >= rows {
			return n, now.Sub(start), err
		}
		if now.After(deadline) {
			return n, now.Sub(start), fmt.Errorf("%d rows of %d after %v", n, rows, now.Sub(start))
		}
		wait.Reset(nextCount(n, rows, now.Sub(start)))
	}
}

// engineTable is the table that reads the topic: the fields of the record with
// the types of the lake, an id as the bytes it is.
func (b *lakeBench) engineTable(s engineSetting) string {
	settings := append([]string{
		fmt.Sprintf("kafka_broker_list = '%s'", b.servers.Kafka),
		fmt.Sprintf("kafka_topic_list = '%s'", schemas.TopicPrices),
		fmt.Sprintf("kafka_group_name = 'bench-%d'", time.Now().UnixNano()),
		"kafka_format = 'AvroConfluent'",
		fmt.Sprintf("format_avro_schema_registry_url = '%s'", b.servers.Registry),
	}, slices.Concat(s.table, b.engineAlso)...)
	return "CREATE TABLE bench_queue (" + engineColumns + ") ENGINE = Kafka SETTINGS " + strings.Join(settings, ", ")
}

const engineColumns = `
	event_id FixedString(16), revision Int32, withdrawn Bool, provider LowCardinality(String), call_id LowCardinality(String),
	call_version LowCardinality(String), instrument LowCardinality(String), base LowCardinality(String), quote LowCardinality(String),
	kind Enum8('unknown' = 0, 'ticker' = 1, 'quote' = 2, 'trade' = 3, 'fixing' = 4, 'index' = 5),
	rate_type Enum8('none' = 0, 'last' = 1, 'mid' = 2, 'official' = 3, 'buy' = 4, 'sell' = 5, 'close' = 6, 'settlement' = 7, 'index' = 8),
	session LowCardinality(String), price Nullable(Decimal(38, 18)), bid Nullable(Decimal(38, 18)), ask Nullable(Decimal(38, 18)),
	size Nullable(Decimal(38, 18)), event_time DateTime64(6, 'UTC'),
	event_time_kind Enum8('unknown' = 0, 'source' = 1, 'publish' = 2, 'value_date' = 3, 'fetched' = 4),
	value_date Nullable(Date32), published_at Nullable(DateTime64(6, 'UTC')), requested_at DateTime64(6, 'UTC'), fetched_at DateTime64(6, 'UTC'),
	trade_id String, quality Int32, poll_id FixedString(16), response_id FixedString(16), correlation_id FixedString(16)`

const engineView = `
	CREATE MATERIALIZED VIEW bench_view TO prices AS
	SELECT * REPLACE (
		toUUID(UUIDNumToString(event_id)) AS event_id, toUUID(UUIDNumToString(poll_id)) AS poll_id,
		toUUID(UUIDNumToString(response_id)) AS response_id, toUUID(UUIDNumToString(correlation_id)) AS correlation_id),
		_timestamp_ms AS recorded_at, now64(6) AS inserted_at, toUUID('00000000-0000-0000-0000-000000000000') AS _topic_id,
		toInt32(_partition) AS _partition, toInt64(_offset) AS _offset, toUInt32(0) AS _lake_epoch
	FROM bench_queue`
