package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/schemas"
)

// OutageOptions say how an outage of ClickHouse is measured.
type OutageOptions struct {
	Servers    ServerOptions
	Rate       int // prices a second, before, during and after
	For        time.Duration
	Partitions int
	Progress   func(format string, args ...any)
}

// OutageReport is what an outage of ClickHouse did to the role lake. Lost, Doubled
// and DeadLetters are 0 or the measurement has found an error.
type OutageReport struct {
	Rate          int     `json:"rate"`
	Partitions    int     `json:"partitions"`
	OutageSeconds float64 `json:"outage_seconds"`
	Published     int64   `json:"published"`
	Waited        int64   `json:"waited"` // prices in Kafka when ClickHouse came back
	// CatchUpSeconds is from then until no more waited than come in a second.
	CatchUpSeconds float64 `json:"catch_up_seconds"`
	PeakRSSBytes   uint64  `json:"peak_rss_bytes"` // of the role, over all
	Lost           int64   `json:"lost"`
	Doubled        int64   `json:"doubled"`
	DeadLetters    int64   `json:"dead_letters"`
}

// steady is how long prices flow before and after the outage.
const steady = 3 * time.Second

// Outage stops ClickHouse while prices are loaded, and starts it again.
func Outage(ctx context.Context, o OutageOptions) (_ *OutageReport, err error) {
	s, err := StartServers(ctx, o.Servers)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if err := s.SetUp(ctx, o.Partitions); err != nil {
		return nil, err
	}
	role, err := s.StartRole("lake", o.Partitions)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, role.Stop()) }()
	admin, err := kafka.NewAdmin(s.kafkaConfig())
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	m := &outage{OutageOptions: o, servers: s, admin: admin, role: role,
		report: &OutageReport{Rate: o.Rate, Partitions: o.Partitions, OutageSeconds: o.For.Seconds()}}
	return m.report, m.run(ctx)
}

// outage is one measurement under way.
type outage struct {
	OutageOptions
	servers *Servers
	admin   *kafka.Admin
	role    *Process
	report  *OutageReport
}

func (m *outage) run(ctx context.Context) error {
	flowing, stop := context.WithCancel(ctx)
	defer stop()
	type end struct {
		published int64
		err       error
	}
	ended := make(chan end, 1)
	go func() {
		n, err := m.publish(ctx, flowing)
		ended <- end{n, err}
	}()
	err := m.interrupt(ctx)
	stop()
	e := <-ended
	m.report.Published = e.published
	if err := errors.Join(err, e.err); err != nil {
		return err
	}
	return m.count(ctx)
}

// publish sends prices at the rate until flowing ends.
func (m *outage) publish(ctx, flowing context.Context) (published int64, err error) {
	w, err := newPriceWriter(ctx, m.servers, schemas.TopicPrices)
	if err != nil {
		return 0, err
	}
	defer w.close()
	market, begin := newMarket(marketStart()), time.Now()
	var p schemas.Price
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-flowing.Done():
			return published, nil
		}
		due := int64(time.Since(begin).Seconds() * float64(m.Rate))
		for ; published < due; published++ {
			market.next(&p)
			if err := w.add(&p); err != nil {
				return published, err
			}
		}
		if _, err := w.publish(ctx); err != nil {
			return published, fmt.Errorf("publishing prices: %w", err)
		}
	}
}

// interrupt takes ClickHouse away in the middle, and waits until the role has
// caught up while prices go on.
func (m *outage) interrupt(ctx context.Context) error {
	if err := m.caughtUp(ctx, startPatience); err != nil {
		return err
	}
	if err := sleep(ctx, steady); err != nil {
		return err
	}
	m.Progress("ClickHouse stops for %v", m.For)
	if err := m.servers.ClickHouse.Stop(ctx); err != nil {
		return err
	}
	if err := sleep(ctx, m.For); err != nil {
		return err
	}
	if err := m.servers.restart(ctx); err != nil {
		return err
	}
	waited, err := m.waiting(ctx)
	if err != nil {
		return err
	}
	m.report.Waited = waited
	m.Progress("ClickHouse is back: %d prices wait", waited)
	begin := time.Now()
	if err := m.caughtUp(ctx, startPatience+5*m.For); err != nil {
		return err
	}
	m.report.CatchUpSeconds = time.Since(begin).Seconds()
	return sleep(ctx, steady)
}

// waiting is how many prices the role has not settled, of which some may be rows.
func (m *outage) waiting(ctx context.Context) (n int64, err error) {
	positions, err := m.admin.Positions(ctx, lakeGroup, schemas.TopicPrices)
	for _, p := range positions {
		n += p.Lag()
	}
	return n, err
}

// caughtUp returns when no more prices wait than come in two seconds, which is how
// long they do without any outage.
func (m *outage) caughtUp(ctx context.Context, patience time.Duration) error {
	return m.role.await(ctx, patience, func(ctx context.Context) error {
		n, err := m.waiting(ctx)
		if err == nil && n > 2*int64(m.Rate) {
			err = fmt.Errorf("%d prices wait", n)
		}
		return errors.Join(err, sleep(ctx, 100*time.Millisecond))
	})
}

// count compares what was published with what is there.
func (m *outage) count(ctx context.Context) error {
	r, sql := m.report, newSQLClient(m.servers.ClickHouse.HTTPURL(), m.servers.ClickHouse.Operator())
	defer sql.close()
	// Without prices nothing but the end of the last range is to be settled.
	err := m.role.await(ctx, startPatience, func(ctx context.Context) error {
		n, err := m.waiting(ctx)
		if err == nil && n > 0 {
			err = fmt.Errorf("%d prices wait", n)
		}
		return errors.Join(err, sleep(ctx, 100*time.Millisecond))
	})
	if err != nil {
		return err
	}
	rows, err := sql.number(ctx, "SELECT count() FROM prices")
	if err != nil {
		return err
	}
	records, err := sql.number(ctx, "SELECT uniqExact(_partition, _offset) FROM prices")
	if err != nil {
		return err
	}
	letters, err := m.admin.Positions(ctx, lakeGroup, schemas.TopicDeadLetters)
	if err != nil {
		return err
	}
	for _, p := range letters {
		r.DeadLetters += p.End
	}
	r.Lost, r.Doubled = r.Published-records, rows-records
	usage, err := m.role.Usage()
	if err != nil {
		return err
	}
	if r.PeakRSSBytes = usage.PeakRSS; r.Lost != 0 || r.Doubled != 0 || r.DeadLetters != 0 {
		return fmt.Errorf("of %d prices %d are lost, %d are there twice, and there are %d dead letters", r.Published, r.Lost, r.Doubled, r.DeadLetters)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
