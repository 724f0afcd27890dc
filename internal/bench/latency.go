package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pricelake/pricelake/schemas"
)

// LatencyOptions say how fresh rows are measured to be.
type LatencyOptions struct {
	Servers    ServerOptions
	Rate       int // prices a second, over all partitions in turn
	Samples    int
	Partitions int
	Progress   func(format string, args ...any)
}

// LatencyReport is how long it took from just before a price was published until
// its row was seen, in seconds.
type LatencyReport struct {
	Rate             int     `json:"rate"`
	Partitions       int     `json:"partitions"`
	Samples          int     `json:"samples"`
	P50              float64 `json:"latency_p50_seconds"`
	P90              float64 `json:"latency_p90_seconds"`
	P99              float64 `json:"latency_p99_seconds"`
	Max              float64 `json:"latency_max_seconds"`
	InsertsPerSecond float64 `json:"inserts_per_second"` // into prices, of the whole process
}

const (
	// warmUp is what is published before samples count: the first inserts make
	// connections.
	warmUp = 5 * time.Second
	// lookEvery is how often rows are looked for, and what a sample may be too
	// long by.
	lookEvery = 10 * time.Millisecond
	// overdue is when a row counts as lost.
	overdue = 30 * time.Second
)

// Latency feeds the role lake at a rate below saturation.
func Latency(ctx context.Context, o LatencyOptions) (_ *LatencyReport, err error) {
	s, err := StartServers(ctx, o.Servers)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	sql := newSQLClient(s.ClickHouse.HTTPURL(), s.ClickHouse.Operator())
	defer sql.close()
	if err := s.SetUp(ctx, o.Partitions); err != nil {
		return nil, err
	}
	role, err := s.StartRole("lake", o.Partitions)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, role.Stop()) }()
	w, err := newPriceWriter(ctx, s, schemas.TopicPrices)
	if err != nil {
		return nil, err
	}
	defer w.close()
	l := &latency{LatencyOptions: o, sql: sql, writer: w, alive: role.alive, sent: map[int]time.Time{}}
	return l.run(ctx)
}

// latency is one measurement under way.
type latency struct {
	LatencyOptions
	sql    *sqlClient
	writer *priceWriter
	alive  func() error

	mu    sync.Mutex
	sent  map[int]time.Time // by number, until its row was seen
	taken []time.Duration
}

func (l *latency) run(ctx context.Context) (*LatencyReport, error) {
	warm := max(1, int(warmUp.Seconds())*l.Rate)
	total := warm + l.Samples
	l.Progress("%d prices a second over %d partitions: %d samples, %d s", l.Rate, l.Partitions, l.Samples, total/l.Rate)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	published := make(chan error, 1)
	go func() { published <- l.publish(ctx, total) }()
	begin := time.Now()
	err := l.watch(ctx, warm, total)
	took := time.Since(begin)
	if err != nil {
		cancel()
	}
	if err := errors.Join(err, <-published); err != nil {
		return nil, err
	}
	if _, err := l.sql.query(ctx, "SYSTEM FLUSH LOGS"); err != nil {
		return nil, err
	}
	inserts, err := l.sql.number(ctx, "SELECT count() FROM system.part_log WHERE table = 'prices' AND event_type = 'NewPart'")
	if err != nil {
		return nil, err
	}
	return l.result(float64(inserts) / took.Seconds()), nil
}

func (l *latency) result(inserts float64) *LatencyReport {
	slices.Sort(l.taken)
	at := func(permille int) float64 { return percentile(l.taken, permille).Seconds() }
	return &LatencyReport{Rate: l.Rate, Partitions: l.Partitions, Samples: len(l.taken), InsertsPerSecond: inserts,
		P50: at(500), P90: at(900), P99: at(990), Max: at(1000)}
}

// publish sends one price at a time, its number as trade id, at moments that do
// not keep step with the flushes.
func (l *latency) publish(ctx context.Context, total int) error {
	m, random := newMarket(time.Now()), rand.New(rand.NewPCG(3, 4))
	step := time.Second / time.Duration(l.Rate)
	var p schemas.Price
	next := time.Now()
	for i := range total {
		next = next.Add(step)
		pause := time.NewTimer(time.Until(next.Add(time.Duration(random.Int64N(int64(step))) / 2)))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
		m.next(&p)
		p.EventTime, p.FetchedAt = time.Now(), time.Now()
		p.TradeID = strconv.Itoa(i)
		if err := l.writer.add(&p); err != nil {
			return err
		}
		l.writer.records[0].Partition = int32(i % l.Partitions)
		l.mu.Lock()
		l.sent[i] = time.Now()
		l.mu.Unlock()
		if _, err := l.writer.publish(ctx); err != nil {
			return fmt.Errorf("publishing price %d: %w", i, err)
		}
	}
	return nil
}

// watch looks for rows until all are there.
func (l *latency) watch(ctx context.Context, warm, total int) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	known, begin := int64(0), time.Now()
	for len(l.taken) < total-warm {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := errors.Join(l.alive(), l.late(begin)); err != nil {
			return err
		}
		rows, err := l.sql.number(ctx, "SELECT count() FROM prices")
		if err != nil {
			return err
		}
		if rows == known {
			continue
		}
		known = rows
		if err := l.arrived(ctx, warm); err != nil {
			return err
		}
	}
	return nil
}

// arrived notes which rows are there.
func (l *latency) arrived(ctx context.Context, warm int) error {
	text, err := l.sql.query(ctx, "SELECT trade_id FROM prices WHERE recorded_at > now64() - INTERVAL 2 MINUTE")
	if err != nil {
		return err
	}
	seen := time.Now() // after the answer: a sample is rather too long
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(text) {
		i, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			return err
		}
		if at, waits := l.sent[i]; waits {
			delete(l.sent, i)
			if i >= warm {
				l.taken = append(l.taken, seen.Sub(at))
			}
		}
	}
	return nil
}

// late is an error when a row does not come. The role has a while to start.
func (l *latency) late(begin time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(begin) < startPatience {
		return nil
	}
	for _, i := range slices.Sorted(maps.Keys(l.sent)) {
		if waited := time.Since(l.sent[i]); waited > overdue {
			return fmt.Errorf("price %d is no row after %v", i, waited.Round(time.Second))
		}
	}
	return nil
}
