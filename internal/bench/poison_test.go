package bench

import (
	"os"
	"testing"
	"time"
)

// TestPoison measures a pair with a handful of records of every kind: all that it
// counts is counted.
func TestPoison(t *testing.T) {
	servers := withEngine(t)
	r, err := Poison(t.Context(), PoisonOptions{Rows: 1000, Share: 0.05, Pairs: 1, Partitions: 2, Progress: t.Logf, Only: []string{"lake/refused", "lake/every", "normalizer/every", "deduplicator/every"}, Servers: servers})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Classes) != 4 {
		t.Errorf("%d classes", len(r.Classes))
	}
	for _, c := range r.Classes {
		if c.Good != 1000 || c.Bad != 52 || c.Kept <= 0 || c.KeptCPU <= 0 || c.KeptAllCPU <= 0 {
			t.Errorf("%+v", c)
		}
	}
	if left, err := os.ReadDir(servers.Dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left behind, %v", left, err)
	}
}

// TestPoisonAtARate has good records come at a rate while the role runs. The
// normalizer has to know the calls of the very first answers.
func TestPoisonAtARate(t *testing.T) {
	servers := withEngine(t)
	const rate = 300 // for 8 s
	r, err := Poison(t.Context(), PoisonOptions{Rows: 8 * rate, Rate: rate, Share: 0.01, Pairs: 1, Partitions: 2, Progress: t.Logf, Only: []string{"lake/every", "normalizer/html"}, Servers: servers})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Classes {
		if c.Good != 8*rate || c.Bad != 24 || c.Kept <= 0 || c.Latency == nil || c.LatencyWithout == nil {
			t.Fatalf("%+v", c)
		}
		for _, l := range []*PoisonLatency{c.Latency, c.LatencyWithout} {
			if l.P50 <= 0 || l.P99 < l.P50 || l.P99 > 60 {
				t.Errorf("%+v", l)
			}
		}
	}
}

// Records are matched with when they were published by their number, and those of the
// warm-up do not count. The pace of what is worked off in steps is that of the records.
func TestFlow(t *testing.T) {
	start := time.Now()
	at := func(n int64, after time.Duration) mark { return mark{n, start.Add(after)} }
	f := &flow{sent: []mark{at(1000, 0)}, seen: []mark{at(0, 0)}}
	for i := range int64(80) { // 100 every 100 ms, worked off in steps of 1000 a second after the last
		f.sent = append(f.sent, at(1100+100*i, warmUp+time.Duration(i)*100*time.Millisecond))
	}
	for i := range int64(9) {
		f.seen = append(f.seen, at(1000+1000*i, warmUp+time.Duration(i)*time.Second))
	}
	got, err := f.result(9000, 9000)
	if err != nil {
		t.Fatal(err)
	}
	if pace := float64(got.records) / got.took.Seconds(); got.records != 6000 || pace < 999 || pace > 1001 {
		t.Errorf("%d records in %v: %.1f a second", got.records, got.took, pace)
	}
	if got.p50 != 600*time.Millisecond || got.p99 != time.Second {
		t.Errorf("p50 %v, p99 %v", got.p50, got.p99)
	}
	if half, err := f.result(9000, 4500); err != nil || half.records != 3000 || half.took != got.took {
		t.Errorf("half of them are good: %+v, %v", half, err)
	}
	// Each step comes a tenth of a second later than the one before: a tenth slower.
	for i := range f.seen[2:] {
		f.seen[2+i].at = f.seen[2+i].at.Add(time.Duration(i+1) * 100 * time.Millisecond)
	}
	if got, err = f.result(9000, 9000); err != nil || float64(got.records)/got.took.Seconds() > 920 {
		t.Errorf("%+v, %v", got, err)
	}
	f.seen = f.seen[:5]
	if _, err := f.result(9000, 9000); err == nil {
		t.Error("records that were never seen have a latency")
	}
	if _, err := (&flow{sent: f.sent[:1], seen: f.seen}).result(1000, 1000); err == nil {
		t.Error("records of the warm-up alone have a latency")
	}
}

// Bad records are as many as was said, spread over the good ones.
func TestBadRecordsAreSpread(t *testing.T) {
	for _, rows := range []int64{100, 1000, 99_999} {
		p := &poisonRun{PoisonOptions: PoisonOptions{Rows: rows, Share: 0.01}}
		p.bad = p.PoisonOptions.bad()
		made := []int64{}
		for good := int64(1); good <= rows; good++ {
			for p.due(good) {
				made = append(made, good)
			}
		}
		if int64(len(made)) != p.bad || p.bad != rows/99 {
			t.Errorf("%d bad records to %d good ones, want %d", len(made), rows, rows/99)
		}
		for i := 1; i < len(made); i++ {
			if gap := made[i] - made[i-1]; gap > 3*rows/p.bad {
				t.Errorf("nothing bad among %d of %d", gap, rows)
			}
		}
	}
}

func TestWhatIsKept(t *testing.T) {
	run := func(took, role, others time.Duration) Poisoned {
		return Poisoned{Good: 1000, Took: took, Usage: Usage{CPU: role}, Others: Others{ClickHouse: others}}
	}
	c := PoisonClass{clean: []Poisoned{run(8, 4, 4), run(10, 4, 4), run(40, 4, 4)}, poisoned: []Poisoned{run(10, 5, 5), run(10, 8, 0), run(50, 4, 12)}}
	c.finish()
	if c.Kept != 0.8 || c.KeptCPU != 0.8 || c.KeptAllCPU != 0.8 || c.NoiseCPU != 0 || c.Noise < 0.99 || c.Noise > 1.01 {
		t.Errorf("%+v", c)
	}
}

// Where the second run of a pair is slower by as much each time, pairs that take
// turns say nothing is lost.
func TestTurnsOfPairsCancel(t *testing.T) {
	run := func(took time.Duration) Poisoned {
		return Poisoned{Good: 1000, Took: took, Usage: Usage{CPU: took}}
	}
	c := PoisonClass{clean: []Poisoned{run(100), run(110), run(100), run(110)}, poisoned: []Poisoned{run(110), run(100), run(110), run(100)}}
	c.finish()
	if c.Kept < 0.99 || c.Kept > 1.01 || c.KeptCPU != c.Kept {
		t.Errorf("%+v", c)
	}
}
