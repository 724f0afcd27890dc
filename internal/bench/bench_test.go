package bench

import (
	"context"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pricelake/pricelake/internal/embed"
	"github.com/pricelake/pricelake/schemas"
)

// childArg makes the test binary be a child of a measurement.
const childArg = "bench-child"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childArg {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		err := RunChild(ctx, os.Args[2:], os.Getenv, os.Stderr)
		stop()
		if err != nil {
			_, _ = io.WriteString(os.Stderr, err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 1 && os.Args[1] == embed.ChildCommand {
		os.Exit(embed.ChildMain(os.Args[2:]))
	}
	goleak.VerifyTestMain(m)
}

func TestMarketMakesValidDifferentPrices(t *testing.T) {
	m, again := newMarket(marketStart()), newMarket(marketStart())
	seen, kinds, instruments := map[schemas.ID]bool{}, map[schemas.Kind]int{}, map[string]bool{}
	const n = 20_000
	for range n {
		var p, q schemas.Price
		m.next(&p)
		again.next(&q)
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		if p.EventID != q.EventID || !p.SameValues(&q) {
			t.Fatalf("the same market made %v and %v", p, q)
		}
		seen[p.EventID], instruments[p.Instrument] = true, true
		kinds[p.Kind]++
	}
	if len(seen) < n*99/100 || len(instruments) != marketInstruments || len(kinds) != 3 {
		t.Errorf("%d prices have %d identities, %d instruments, kinds %v", n, len(seen), len(instruments), kinds)
	}
}

func TestReportTakesMediansAndTheBest(t *testing.T) {
	runs := func(seconds ...int) (rs []Run) {
		for _, s := range seconds {
			rs = append(rs, Run{Rows: 1000, Took: time.Duration(s) * time.Second, Usage: Usage{CPU: time.Duration(s) * time.Second, PeakRSS: uint64(s)}})
		}
		return rs
	}
	r := LakeReport{Sink: runs(1, 4, 2), Engine: runs(20, 10, 40), EngineBest: runs(16), Ceiling: map[int][]Run{1: runs(2), 2: runs(1)},
		CeilingKeptUp: runs(8, 4, 5)}
	r.CeilingKeptUp[2].Rows = 4000
	r.finish()
	if r.RowsPerSecond != 500 || r.CPUSecondsPerMillionRows != 2000 || r.PeakRSSBytes != 4 {
		t.Errorf("%+v", r)
	}
	if r.RatioKafkaEngine != 10 || r.RatioKafkaEngineBest != 8 || r.RatioCeiling != 0.5 || r.RatioCeilingKeptUp != 2 || r.CeilingConnections != 2 || r.Noise != 1.5 {
		t.Errorf("%+v", r)
	}
}

func TestCostOfIntents(t *testing.T) {
	runs := func(seconds ...int) (rs []Run) {
		for _, s := range seconds {
			rs = append(rs, Run{Rows: 1000, Took: time.Duration(s) * time.Second, Usage: Usage{CPU: time.Duration(2*s) * time.Second}})
		}
		return rs
	}
	// A machine that grows slower: the pairs tell, medians of each do not.
	r := IntentsReport{Intended: runs(10, 20, 40), Bare: runs(8, 10, 36), Again: runs(10, 25, 50)}
	r.finish()
	for name, v := range map[string][2]float64{"cost": {r.Cost, 0.2}, "noise": {r.Noise, 0.2}, "CPU": {r.CPUCost, 0.25}, "noise of CPU": {r.CPUNoise, 0.2}} {
		if diff := v[0] - v[1]; diff > 1e-9 || diff < -1e-9 {
			t.Errorf("%s %v, want %v", name, v[0], v[1])
		}
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("what a process uses is measured on Linux only")
	}
	before, err := usageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); time.Since(begin) < 80*time.Millisecond; {
		_ = strings.Repeat("x", 1<<16)
	}
	after, err := usageOf(os.Getpid())
	if err != nil || after.CPU <= before.CPU || after.PeakRSS < 1<<20 {
		t.Errorf("before %+v, after %+v: %v", before, after, err)
	}
}

// TestLake measures a small topic in all three ways.
func TestLake(t *testing.T) {
	o := LakeOptions{Rows: 3000, SweepRows: 0, Runs: 1, Partitions: 2, engineAlso: []string{"kafka_flush_interval_ms = 200"}, Progress: t.Logf,
		Servers: withEngine(t)}
	report, err := Lake(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]float64{"rows": report.RowsPerSecond, "engine": report.RatioKafkaEngine, "best": report.RatioKafkaEngineBest,
		"ceiling": report.RatioCeiling, "ceiling kept up": report.RatioCeilingKeptUp, "CPU": report.CPUSecondsPerMillionRows, "memory": float64(report.PeakRSSBytes)} {
		if value <= 0 {
			t.Errorf("%s: %v in %+v", name, value, report)
		}
	}
}

// ClickHouse goes away for ten seconds under load: everything arrives once, and
// nothing of it becomes a dead letter.
func TestOutage(t *testing.T) {
	r, err := Outage(t.Context(), OutageOptions{Rate: 2000, For: 10 * time.Second, Partitions: 3, Progress: t.Logf,
		Servers: withEngine(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", r)
	if r.Waited < 10_000 || r.Published < 30_000 || r.CatchUpSeconds <= 0 {
		t.Errorf("nothing waited for ClickHouse: %+v", r)
	}
}

func TestLatency(t *testing.T) {
	r, err := Latency(t.Context(), LatencyOptions{Rate: 200, Samples: 100, Partitions: 4, Progress: t.Logf,
		Servers: withEngine(t)})
	if err != nil {
		t.Fatal(err)
	}
	if r.Samples < 100 || r.P50 <= 0 || r.P99 < r.P50 || r.Max < r.P99 || r.InsertsPerSecond <= 0 {
		t.Errorf("%+v", r)
	}
}
