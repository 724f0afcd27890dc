package bench

import (
	"os"
	"testing"
	"time"
)

// TestPoison measures a pair of every class with a handful of records: all that it
// counts is counted.
func TestPoison(t *testing.T) {
	servers := withEngine(t)
	r, err := Poison(t.Context(), PoisonOptions{Rows: 1000, Share: 0.05, Pairs: 1, Partitions: 2, Progress: t.Logf, Only: []string{"lake/refused", "lake/cut", "normalizer/large", "normalizer/type", "deduplicator/nameless", "deduplicator/schema"}, Servers: servers})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Classes) != 6 {
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
