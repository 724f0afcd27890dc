package lake

import (
	"context"
	"embed"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/pricelake/pricelake/internal/embed/embedtest"
)

//go:embed testdata/scale
var scale embed.FS

// The lake of the measurement: 1,000 instruments of 5 providers over 90 days, a
// hundredth of the prices restated, and the fixings of 30 currencies.
const (
	scaleSeries = 5000
	scaleDays   = 90
	scaleRows   = 100_000_000
)

// TestScale fills a lake with rows, on the server, and measures what is asked of
// it most: docs/capacity.md. With 100 million rows, which is the default, it
// holds the answers to their bounds. It takes some ten minutes, two processors
// and 12 GB of disk, and gives all of it back.
func TestScale(t *testing.T) {
	if os.Getenv("PRICELAKE_MEASURE") == "" {
		t.Skip("takes ten minutes and only measures: set PRICELAKE_MEASURE=1, and PRICELAKE_MEASURE_ROWS and _PARTITIONS for others than 100000000 and 12")
	}
	rows, partitions := measured(t, "PRICELAKE_MEASURE_ROWS", scaleRows), measured(t, "PRICELAKE_MEASURE_PARTITIONS", 12)
	l := openLake(t)
	began := time.Now()
	offsets := fillScale(t, l, rows, partitions)
	t.Logf("filled in %v: %s", time.Since(began).Round(time.Second),
		ask(t, l, "SELECT formatReadableQuantity(sum(rows)), count(), formatReadableSize(sum(bytes_on_disk)) FROM system.parts WHERE active AND database = currentDatabase() AND table = 'prices'"))
	const day = "event_time >= '2026-02-10 00:00:00' AND event_time < '2026-02-11 00:00:00'"
	for _, m := range []struct {
		name, query string
		bound       time.Duration
	}{
		{"latest of everything", "SELECT * FROM prices_latest", 200 * time.Millisecond},
		{"one instrument's day", "SELECT * FROM prices_current WHERE instrument = 'A0500-CHF' AND " + day, 100 * time.Millisecond},
		{"prices_in, a day of everything", "SELECT count(), max(price_in), max(bid_in), max(ask_in) FROM prices_in(currency = 'EUR') WHERE " + day, time.Second},
		{"bars of an hour, one instrument's month", "SELECT * FROM ohlc_filled(seconds = 3600, start = '2026-02-01 00:00:00', end = '2026-03-01 00:00:00') WHERE instrument = 'A0500-CHF'", 0},
		{"lineage of a million rows", fmt.Sprintf("SELECT _offset FROM prices WHERE _topic_id = '5ca1ab1e-0000-4000-8000-000000000001' AND _partition = 0 AND _offset BETWEEN %d AND %d ORDER BY _offset", offsets/4, offsets/4+1_999_999), 2 * time.Second},
	} {
		c := median(t, l, 20, m.query)
		t.Logf("%-40s %8.1f ms, %6.0f ms of CPU, %d rows of %d and %d MB read", m.name, float64(c.took.Microseconds())/1000, float64(c.cpu.Microseconds())/1000, c.rows, c.read, c.bytes/1e6)
		if m.bound > 0 && rows >= scaleRows && c.took > m.bound {
			t.Errorf("%s takes %v, want at most %v", m.name, c.took, m.bound)
		}
	}
}

func measured(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s: want a number above 0", variable, text)
	}
	return n
}

// fillScale writes the rows and waits for the merges. It returns how many
// offsets a partition has, holes included.
func fillScale(t *testing.T, l *Lake, rows, partitions int) (offsets int) {
	t.Helper()
	prices, err := scale.ReadFile("testdata/scale/prices.sql")
	if err != nil {
		t.Fatal(err)
	}
	fixings, err := scale.ReadFile("testdata/scale/fixings.sql")
	if err != nil {
		t.Fatal(err)
	}
	ticks := max(rows*100/101/scaleSeries/scaleDays, 1)
	run := func(statement string, parameters clickhouse.Parameters) {
		t.Helper()
		ctx := clickhouse.Context(context.WithoutCancel(t.Context()), clickhouse.WithParameters(parameters), clickhouse.WithSettings(clickhouse.Settings{
			"max_insert_block_size": 2_000_000, "min_insert_block_size_rows": 1 << 20, "min_insert_block_size_bytes": 0,
		}))
		if err := l.conn.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	for day := range scaleDays {
		for revision, n := range []int{scaleSeries * ticks, scaleSeries * ticks / 100} {
			run(string(prices), clickhouse.Parameters{"day": strconv.Itoa(day), "ticks": strconv.Itoa(ticks), "revision": strconv.Itoa(revision),
				"partitions": strconv.Itoa(partitions), "first": "0", "rows": strconv.Itoa(n)})
		}
	}
	run(string(fixings), nil)
	for idle := 0; idle < 20; { // no merge for two seconds: those that follow each other are through
		if ask(t, l, "SELECT count() FROM system.merges WHERE database = currentDatabase()") == "0" {
			idle++
		} else {
			idle = 0
		}
		time.Sleep(100 * time.Millisecond)
	}
	return 2 * scaleDays * ticks * (scaleSeries/partitions + 1)
}

// cost is what a question costs: medians of the clock and of the server's CPU
// time, rows answered, and rows and bytes that the server read for it.
type cost struct {
	took, cpu   time.Duration
	rows        int
	read, bytes uint64
}

// median asks a question until the caches are warm, then n times. The rows are
// read as any client does.
func median(t *testing.T, l *Lake, n int, query string) (c cost) {
	t.Helper()
	var took, cpu []time.Duration
	for i := range n + 2 {
		c = cost{}
		ctx := clickhouse.Context(t.Context(), clickhouse.WithProgress(func(p *clickhouse.Progress) {
			c.read += p.Rows
			c.bytes += p.Bytes
		}))
		began, before := time.Now(), serverCPU(t)
		r, err := l.conn.Query(ctx, query)
		if err != nil {
			t.Fatal(err)
		}
		for r.Next() {
			c.rows++
		}
		if err := r.Err(); err != nil {
			t.Fatal(err)
		}
		if i >= 2 {
			took, cpu = append(took, time.Since(began)), append(cpu, serverCPU(t)-before)
		}
	}
	slices.Sort(took)
	slices.Sort(cpu)
	c.took, c.cpu = took[n/2], cpu[n/2]
	return c
}

// serverCPU is the CPU time that the server has had, in steps of 10 ms; 0 where
// there is no /proc.
func serverCPU(t *testing.T) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", embedtest.ClickHouse(t).Pid()))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var ticks time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		ticks += time.Duration(n)
	}
	return ticks * 10 * time.Millisecond
}
