package bench

import (
	"math"
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
	const rate, good = 300, 300 * 9
	only := []string{"lake/every", "normalizer/html", "deduplicator/nameless"}
	r, err := Poison(t.Context(), PoisonOptions{Rows: good, Rate: rate, Share: 0.01, Pairs: 1, Partitions: 2, Progress: t.Logf, Only: only, Servers: servers})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Classes) != len(only) {
		t.Errorf("%d classes", len(r.Classes))
	}
	for _, c := range r.Classes {
		if c.Good != good || c.Bad != good/99 || c.Kept <= 0 || c.Latency == nil || c.LatencyWithout == nil {
			t.Fatalf("%+v", c)
		}
		if c.Offered < leastOffered*rate {
			t.Errorf("%s: %.0f records came a second", c.Class, c.Offered)
		}
		for _, l := range []*PoisonLatency{c.Latency, c.LatencyWithout} {
			if l.P50 <= 0 || l.P99 < l.P50 || l.P99 > 60 {
				t.Errorf("%+v", l)
			}
		}
	}
}

// steadyFlow is 1,000 records a second for ten seconds, published every 100 ms and
// worked off in steps of 1,000, half a second after the last of them was due.
func steadyFlow() *flow {
	f := &flow{began: time.Now()}
	at := func(n int64, after time.Duration) mark { return mark{n, f.began.Add(after)} }
	for i := range int64(100) {
		f.sent = append(f.sent, at(100*(i+1), time.Duration(i+1)*100*time.Millisecond))
	}
	for i := range int64(10) {
		f.seen = append(f.seen, at(1000*(i+1), time.Duration(i+1)*time.Second+500*time.Millisecond))
	}
	return f
}

// The pace of what is worked off in steps is that of the records. What is due before
// the role has worked for the warm-up does not count: here all before 6.5 s.
func TestFlow(t *testing.T) {
	f := steadyFlow()
	got, err := f.result(10_000, 10_000, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if pace := got.perSecond(); pace < 950 || pace > 1150 || got.records != 3500-875 {
		t.Errorf("%d records in %v: %.1f a second", got.records, got.took, pace)
	}
	if p50, p99 := 928*time.Millisecond, 1480*time.Millisecond; got.p50 < p50 || got.p50 > p50+150*time.Millisecond || got.p99 < p99 || got.p99 > p99+10*time.Millisecond {
		t.Errorf("p50 %v, p99 %v", got.p50, got.p99)
	}
	if half, err := f.result(10_000, 5000, 500); err != nil || half.records != got.records/2 || half.took != got.took || half.p99 != got.p99 || half.offered*2 != got.offered {
		t.Errorf("half of them are good: %+v, %v", half, err)
	}
	// Each step comes a tenth of a second later than the one before: a tenth slower.
	for i := range f.seen[1:] {
		f.seen[1+i].at = f.seen[1+i].at.Add(time.Duration(i+1) * 100 * time.Millisecond)
	}
	if slower, err := f.result(10_000, 10_000, 1000); err != nil || slower.perSecond() > 0.93*got.perSecond() {
		t.Errorf("%+v, %v", slower, err)
	}
}

// Records that could not be published when they were due are late by that as well.
func TestFlowThatIsHeldUp(t *testing.T) {
	f := steadyFlow()
	for i := range f.seen[8:] {
		f.sent[80+i].at, f.seen[8+i].at = f.sent[80+i].at.Add(time.Second), f.seen[8+i].at.Add(time.Second)
	}
	if got, err := f.result(10_000, 10_000, 1000); err != nil || got.p99 < 2480*time.Millisecond {
		t.Errorf("%+v, %v", got, err)
	}
	for i := range f.sent {
		f.sent[i].at = f.began.Add(time.Duration(float64(f.sent[i].at.Sub(f.began)) * 1.05))
	}
	if got, err := f.result(10_000, 10_000, 1000); err == nil {
		t.Errorf("a publisher that is 5 %% too slow is not told of: %+v", got)
	}
}

func TestFlowWithoutResult(t *testing.T) {
	f := steadyFlow()
	f.seen = f.seen[:9]
	if _, err := f.result(10_000, 10_000, 1000); err == nil {
		t.Error("records that were never seen have a latency")
	}
	if _, err := f.result(6000, 6000, 1000); err == nil {
		t.Error("records of the warm-up alone have a latency")
	}
	if _, err := (&flow{}).result(1, 1, 1); err == nil {
		t.Error("nothing has a latency")
	}
}

// Bad records are as many as was said, spread over all of the good ones.
func TestBadRecordsAreSpread(t *testing.T) {
	for _, share := range []float64{0.01, 0.15, 0.4, 0.5} {
		for _, rows := range []int64{100, 1000, 99_999} {
			p := &poisonRun{PoisonOptions: PoisonOptions{Rows: rows, Share: share}}
			p.bad = p.Bad()
			var made []int64
			for good := int64(1); good <= rows; good++ {
				for p.due(good) {
					made = append(made, good)
				}
			}
			if want := float64(rows) * share / (1 - share); int64(len(made)) != p.bad || float64(p.bad) > want || float64(p.bad) < want-1 {
				t.Fatalf("%d bad records to %d good ones, want %.1f", len(made), rows, want)
			}
			longest := made[0]
			for i := 1; i < len(made); i++ {
				longest = max(longest, made[i]-made[i-1])
			}
			if longest = max(longest, rows-made[len(made)-1]); longest > 3*(rows/p.bad+1) {
				t.Errorf("%g: nothing bad among %d of %d", share, longest, rows)
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
	is := func(kept float64) bool { return math.Abs(kept-0.8) < 1e-9 }
	if !is(c.Kept) || !is(c.KeptCPU) || !is(c.KeptAllCPU) || c.NoiseCPU != 0 || c.Noise < 0.99 || c.Noise > 1.01 {
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
	if math.Abs(c.Kept-1) > 1e-9 || c.KeptCPU != c.Kept {
		t.Errorf("%+v", c)
	}
}
