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
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
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
		t.Skip("takes ten minutes and only measures: set PRICELAKE_MEASURE=1, and PRICELAKE_MEASURE_ROWS and _PARTITIONS for others than 100000000 and 12; " +
			"a folder PRICELAKE_MEASURE_DIR keeps the lake for the next time")
	}
	rows, partitions := measured(t, "PRICELAKE_MEASURE_ROWS", scaleRows), measured(t, "PRICELAKE_MEASURE_PARTITIONS", 12)
	l, pid := scaleLake(t)
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
	} {
		c := median(t, l, pid, 20, m.query)
		t.Logf("%-40s %8.1f ms, %6.0f ms of CPU, %d rows of %d and %d MB read", m.name, float64(c.took.Microseconds())/1000, float64(c.cpu.Microseconds())/1000, c.rows, c.read, c.bytes/1e6)
		if m.bound > 0 && rows >= scaleRows && c.took > m.bound {
			t.Errorf("%s takes %v, want at most %v", m.name, c.took, m.bound)
		}
	}
	verifyScale(t, l, pid, offsets)
}

// verifyScale compares a million records of the middle of a partition with the
// lake, without the reading of the log.
func verifyScale(t *testing.T, l *Lake, pid, offsets int) {
	t.Helper()
	of := sinks.Partition{Topic: schemas.TopicPrices, TopicID: [16]byte{0x5c, 0xa1, 0xab, 0x1e, 6: 0x40, 8: 0x80, 15: 1}}
	var marks []mark
	first := int64(offsets / 4) // of the offsets of restatements few are taken
	if err := l.marks(t.Context(), "prices", sinks.Range{Partition: of, First: first, Last: first + 2_500_000}, func(m mark) { marks = append(marks, m) }); err != nil {
		t.Fatal(err)
	}
	marks = marks[:min(len(marks), 1_000_000)]
	var took, cpu []time.Duration
	for range 20 {
		began, before := time.Now(), serverCPU(t, pid)
		v, err := l.Verify(of, first)
		if err != nil {
			t.Fatal(err)
		}
		var r stream.Record
		for _, m := range marks {
			r.Offset, r.Timestamp = m.offset, time.UnixMicro(m.micros)
			if err := v.Record(t.Context(), &r); err != nil {
				t.Fatal(err)
			}
		}
		report, err := v.Report(t.Context(), r.Offset+1)
		if err != nil || !report.OK() || report.Rows != int64(len(marks)) {
			t.Fatalf("%+v, %v", report, err)
		}
		took, cpu = append(took, time.Since(began)), append(cpu, serverCPU(t, pid)-before)
	}
	slices.Sort(took)
	slices.Sort(cpu)
	t.Logf("%-40s %8.1f ms, %6.0f ms of CPU, %d records", "verify, without the log", float64(took[10].Microseconds())/1000, float64(cpu[10].Microseconds())/1000, len(marks))
	if len(marks) == 1_000_000 && took[10] > 2*time.Second {
		t.Errorf("verify takes %v, want at most 2 s", took[10])
	}
}

// scaleLake is a lake, and the process of its server, that is gone after the test, unless PRICELAKE_MEASURE_DIR
// names where it is to stay.
func scaleLake(t *testing.T) (l *Lake, pid int) {
	t.Helper()
	if dir := os.Getenv("PRICELAKE_MEASURE_DIR"); dir != "" {
		ch := embedtest.In(t, dir)
		return lakeIn(t, ch, "pricelake"), ch.Pid()
	}
	return openLake(t), embedtest.ClickHouse(t).Pid()
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

// fillScale writes the rows, unless they are there, and lets them rest. It
// returns how many offsets a partition has, holes included.
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
	days := scaleDays
	switch kept := ask(t, l, "SELECT count() FROM prices WHERE kind != 'fixing'"); kept {
	case "0":
	case strconv.Itoa(scaleDays * (scaleSeries*ticks + scaleSeries*ticks/100)):
		days = 0 // from an earlier run
	default:
		t.Fatalf("a lake of %s prices was kept: measure as many, or elsewhere", kept)
	}
	for day := range days {
		for revision, n := range []int{scaleSeries * ticks, scaleSeries * ticks / 100} {
			run(string(prices), clickhouse.Parameters{"day": strconv.Itoa(day), "ticks": strconv.Itoa(ticks), "revision": strconv.Itoa(revision),
				"partitions": strconv.Itoa(partitions), "first": "0", "rows": strconv.Itoa(n)})
		}
	}
	if days > 0 {
		run(string(fixings), nil)
	}
	rest(t, l)
	return 2 * scaleDays * ticks * (scaleSeries/partitions + 1)
}

// rest merges the parts as those of ninety days are. The server merges fewer parts
// at a time the older they are: those of prices, twenty when they are new, may be
// two after 18 days (SimpleMergeSelector.h, max_age_to_lower_base). Here none is
// older than ten minutes, so it is told five, which is its own default.
func rest(t *testing.T, l *Lake) {
	t.Helper()
	base := ask(t, l, "SELECT extract(create_table_query, 'merge_selector_base = [0-9]+') FROM system.tables WHERE database = currentDatabase() AND name = 'prices'")
	set := func(setting string) {
		t.Helper()
		if err := l.conn.Exec(t.Context(), "ALTER TABLE prices MODIFY SETTING "+setting); err != nil {
			t.Fatal(err)
		}
	}
	set("merge_selector_base = 5")
	for idle := 0; idle < 100; { // no merge for ten seconds: those that follow each other are through
		if ask(t, l, "SELECT count() FROM system.merges WHERE database = currentDatabase()") == "0" {
			idle++
		} else {
			idle = 0
		}
		time.Sleep(100 * time.Millisecond)
	}
	set(base)
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
func median(t *testing.T, l *Lake, pid int, n int, query string) (c cost) {
	t.Helper()
	var took, cpu []time.Duration
	for i := range n + 2 {
		c = cost{}
		ctx := clickhouse.Context(t.Context(), clickhouse.WithProgress(func(p *clickhouse.Progress) {
			c.read += p.Rows
			c.bytes += p.Bytes
		}))
		began, before := time.Now(), serverCPU(t, pid)
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
			took, cpu = append(took, time.Since(began)), append(cpu, serverCPU(t, pid)-before)
		}
	}
	slices.Sort(took)
	slices.Sort(cpu)
	c.took, c.cpu = took[n/2], cpu[n/2]
	return c
}

// serverCPU is the CPU time that the server has had, in steps of 10 ms; 0 where
// there is no /proc.
func serverCPU(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
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
