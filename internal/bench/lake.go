package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/schemas"
)

// LakeOptions say how the lake is measured.
type LakeOptions struct {
	Servers    ServerOptions
	Rows       int64 // to drain, in each run
	SweepRows  int64 // to find the best setting of the Kafka engine with; 0: no sweep
	Runs       int
	Partitions int
	Profile    string // folder for profiles of the role; empty: none
	// Pairs, if not 0, measures what intents cost, in so many pairs of runs, and
	// nothing else.
	Pairs int
	// Only, if not empty, says what is measured of sink, ceiling and engine.
	// The ceiling needs the sink, which is measured with it.
	Only []string
	// engineAlso is added to every setting of the Kafka engine, for tests.
	engineAlso []string
	// Progress is told what was measured, line by line.
	Progress func(format string, args ...any)
}

// lakeGroup is the consumer group of the role.
const lakeGroup = "pricelake.lake"

// lakeBench is one measurement under way.
type lakeBench struct {
	LakeOptions
	servers *Servers
	sql     *sqlClient
	report  *LakeReport
}

// Lake drains the topic of prices into the lake: through the product, through
// ClickHouse's own Kafka engine, and as ready-made blocks, which is the most
// that this server takes on this machine.
func Lake(ctx context.Context, o LakeOptions) (_ *LakeReport, err error) {
	s, err := StartServers(ctx, o.Servers)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	b := &lakeBench{LakeOptions: o, servers: s, report: &LakeReport{Ceiling: map[int][]Run{}},
		sql: newSQLClient(s.ClickHouse.HTTPURL(), s.ClickHouse.Operator())}
	defer b.sql.close()
	if err := s.SetUp(ctx, o.Partitions); err != nil {
		return nil, err
	}
	if err := b.fill(ctx); err != nil {
		return nil, err
	}
	if o.Pairs > 0 {
		return b.report, b.intents(ctx)
	}
	if b.wants("sink") || b.wants("ceiling") {
		if err := b.rounds(ctx); err != nil {
			return b.report, err
		}
	}
	if b.wants("engine") {
		if err := b.engine(ctx); err != nil {
			return b.report, fmt.Errorf("measuring the engine: %w", err)
		}
	}
	b.report.finish()
	return b.report, nil
}

func (b *lakeBench) fill(ctx context.Context) error {
	f, err := fill(ctx, b.servers, schemas.TopicPrices, b.Rows)
	if err != nil {
		return err
	}
	b.report.Rows, b.report.Bytes, b.report.Partitions = f.Rows, f.Bytes, b.Partitions
	b.Progress("%d prices in %d partitions, %d bytes each, published in %.1f s", f.Rows, b.Partitions, f.Bytes/max(f.Rows, 1), f.Took.Seconds())
	return nil
}

// wants says whether a part of the measurement was asked for.
func (b *lakeBench) wants(part string) bool { return len(b.Only) == 0 || slices.Contains(b.Only, part) }

// rounds measures the product and the ceiling in turn: what else the machine does, and
// what its file system has to do for what was deleted before, meets both of them.
func (b *lakeBench) rounds(ctx context.Context) error {
	var blocks [][]byte
	for i := range b.Runs {
		run, err := b.sinkRun(ctx, i)
		if err != nil {
			return fmt.Errorf("measuring the sink: %w", err)
		}
		b.report.Sink = append(b.report.Sink, run)
		b.Progress("pricelake %d: %v", i+1, run)
		if !b.wants("ceiling") {
			continue
		}
		if blocks == nil {
			if blocks, err = b.readyBlocks(ctx); err != nil {
				return err
			}
		}
		if err := b.ceiling(ctx, blocks, i+1); err != nil {
			return fmt.Errorf("measuring the ceiling: %w", err)
		}
	}
	return nil
}

// sinkRun drains the topic once through the role, from the start of its process
// to the last row that can be read.
func (b *lakeBench) sinkRun(ctx context.Context, number int, env ...string) (run Run, err error) {
	if err := b.reset(ctx); err != nil {
		return run, err
	}
	folder := ""
	if number == 0 {
		folder = b.Profile
	}
	profiles, err := profilesIn(folder)
	if err != nil {
		return run, err
	}
	before, start := b.servers.used(), time.Now()
	role, err := b.servers.StartRole("lake", b.Partitions, append(env, profiles)...)
	if err != nil {
		return run, err
	}
	took, err := b.sql.awaitRows(ctx, "prices", b.Rows, start, role.alive)
	if err == nil {
		run, err = b.finished(ctx, took, before)
	}
	if err == nil { // later: this takes the server a second
		err = b.onceEach(ctx)
	}
	if err == nil {
		run.Usage, err = role.Usage()
	}
	return run, errors.Join(err, role.Stop())
}

// used is what the servers have used so far, as well as it can be told: it
// explains a rate and is no part of it.
func (s *Servers) used() (o Others) {
	if s.ClickHouse != nil {
		if u, err := usageOf(s.ClickHouse.Pid()); err == nil {
			o.ClickHouse = u.CPU
		}
	}
	if u, err := s.broker.Usage(); err == nil {
		o.Broker = u.CPU
	}
	return o
}

// finished makes the result of a drain that took so long.
func (b *lakeBench) finished(ctx context.Context, took time.Duration, before Others) (Run, error) {
	after := b.servers.used()
	rows, err := b.sql.number(ctx, "SELECT count() FROM prices")
	if err != nil {
		return Run{}, err
	}
	run := Run{Rows: rows, Bytes: b.report.Bytes / max(b.Rows, 1) * rows, Took: took,
		Others: Others{ClickHouse: after.ClickHouse - before.ClickHouse, Broker: after.Broker - before.Broker}}
	// The last seconds of the log are flushed now and then only.
	if _, err := b.sql.query(ctx, "SYSTEM FLUSH LOGS"); err != nil {
		return run, err
	}
	run.Parts, err = b.sql.number(ctx, "SELECT count() FROM system.part_log WHERE table = 'prices' AND event_type = 'NewPart' AND event_time_microseconds >= "+
		"(SELECT max(event_time_microseconds) FROM system.part_log WHERE table = 'prices' AND event_type = 'NewPart') - INTERVAL "+
		fmt.Sprint(took.Milliseconds()+50)+" MILLISECOND")
	return run, err
}

// onceEach makes sure that the rows are those of all records, none of them twice.
func (b *lakeBench) onceEach(ctx context.Context) error {
	rows, err := b.sql.number(ctx, "SELECT count() FROM prices")
	if err != nil {
		return err
	}
	unique, err := b.sql.number(ctx, "SELECT uniqExact(_partition, _offset) FROM prices")
	if err == nil && (unique != b.Rows || rows != b.Rows) {
		err = fmt.Errorf("%d records are %d rows of %d records", b.Rows, rows, unique)
	}
	return err
}

// empty empties the table, and the server's memory of what it did not give back: so
// begins whatever is measured.
func (b *lakeBench) empty(ctx context.Context) error {
	for _, text := range []string{"TRUNCATE TABLE prices SYNC", "SYSTEM JEMALLOC PURGE"} {
		if _, err := b.sql.query(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// reset empties the table and makes the product forget where it was.
func (b *lakeBench) reset(ctx context.Context) error {
	if err := b.empty(ctx); err != nil {
		return err
	}
	admin, err := kafka.NewAdmin(b.servers.kafkaConfig())
	if err != nil {
		return err
	}
	defer admin.Close()
	return admin.ForgetGroup(ctx, lakeGroup)
}

// StartRole starts a role of the product in a process of its own.
func (s *Servers) StartRole(role string, partitions int, env ...string) (*Process, error) {
	cfg := s.config(partitions)
	set := []string{
		"PRICELAKE_INSTANCE=bench-" + role,
		"PRICELAKE_ADMIN_ADDR=127.0.0.1:0",
		"PRICELAKE_DATA_DIR=" + filepath.Join(s.dir, role),
		"PRICELAKE_KAFKA_BROKERS=" + s.Kafka,
		fmt.Sprintf("PRICELAKE_KAFKA_PARTITIONS=%d", cfg.Kafka.Partitions),
		"PRICELAKE_REGISTRY_URL=" + s.Registry,
		"PRICELAKE_LOG_LEVEL=warn",
	}
	if s.ClickHouse == nil {
		set = append(set, "PRICELAKE_CLICKHOUSE_ADDR=127.0.0.1:1") // nobody's
	} else {
		set = append(set,
			"PRICELAKE_CLICKHOUSE_ADDR="+cfg.ClickHouse.Addr,
			"PRICELAKE_CLICKHOUSE_USER="+cfg.ClickHouse.User,
			"PRICELAKE_CLICKHOUSE_PASSWORD=env:"+childPasswordEnv,
			childPasswordEnv+"="+s.ClickHouse.Owner().Password)
	}
	return s.Start(role, append(set, env...), childRole, role)
}

// alive is nil while the process runs.
func (p *Process) alive() error {
	select {
	case <-p.done:
		return p.ended()
	default:
		return nil
	}
}
