package bench

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestPathReportAddsUp(t *testing.T) {
	begin := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	var samples []pathSample
	for i := range 200 {
		var s pathSample
		at := begin.Add(time.Duration(i) * time.Second)
		for m := range moments {
			s.at[m] = at
			at = at.Add(time.Duration(i+1) * time.Duration(m+1) * time.Millisecond)
		}
		samples = append(samples, s)
	}
	looks := []time.Duration{5 * time.Millisecond, 3 * time.Millisecond, 4 * time.Millisecond}
	r := pathReport(PathOptions{Polls: 200, Every: time.Second, Flush: time.Second}, samples, looks)
	if len(r.Stages) != int(moments)-1 || len(stageNames()) != len(r.Stages) {
		t.Fatalf("%d stages between %d moments", len(r.Stages), moments)
	}
	var sum PathStage
	for i, s := range r.Stages {
		weight := float64(i + 1)
		// 200 samples of 1 to 200 ms: the middle, and the mean of the last two.
		if near(s.P50, 0.101*weight) && near(s.P99, 0.199*weight) && near(s.Max, 0.2*weight) && near(s.Slowest, 0.1995*weight) {
			sum.P50, sum.Slowest = sum.P50+s.P50, sum.Slowest+s.Slowest
			continue
		}
		t.Errorf("%+v", s)
	}
	if !near(r.Total.P50, sum.P50) || !near(r.Total.Slowest, sum.Slowest) || r.ResolutionSeconds != 0.005 || r.Samples != 200 {
		t.Errorf("%+v, the stages add up to %+v", r, sum)
	}
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

func TestReadPathRow(t *testing.T) {
	now := time.Now()
	row, err := readPathRow("0188d0b4-0000-7000-8000-000000000001\t1000001\t1000002\t1000003\t1000004", now)
	if err != nil || row.at.at[momentEvent].UnixMicro() != 1000001 || row.at.at[momentFetched].UnixMicro() != 1000002 ||
		row.at.at[momentRecorded].UnixMicro() != 1000003 || row.at.at[momentInserted].UnixMicro() != 1000004 || !row.at.at[momentRow].Equal(now) {
		t.Errorf("%+v, %v", row, err)
	}
	for _, line := range []string{"", "x\t1\t2\t3\t4", "0188d0b4-0000-7000-8000-000000000001\t1\t2\t3", "0188d0b4-0000-7000-8000-000000000001\t1\t2\t3\tx"} {
		if _, err := readPathRow(line, now); err == nil {
			t.Errorf("%q is a row", line)
		}
	}
}

// TestPath measures the whole stack for a few polls. No answer may be lost, and no
// moment may come much before the one that it follows: one clock, one order.
func TestPath(t *testing.T) {
	o := PathOptions{Polls: 20, Every: 200 * time.Millisecond, Flush: 300 * time.Millisecond, Progress: t.Logf,
		Servers: withEngine(t)}
	r, err := Path(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", r)
	if r.Samples != 20 || r.Total.P50 <= 0 || r.Total.P99 < r.Total.P50 || r.Total.Max < r.Total.P99 || r.ResolutionSeconds <= 0 {
		t.Errorf("%+v", r)
	}
	waits := r.Stages[momentPublished]
	if !strings.Contains(waits.Stage, "flush") || waits.P50 < 0.02 || waits.P50 > r.Total.Max {
		t.Errorf("prices wait for the flush for %+v of %+v", waits, r.Total)
	}
}
