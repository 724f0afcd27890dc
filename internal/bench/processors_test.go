package bench

import (
	"os"
	"testing"
	"time"
)

// TestProcessors measures a few events of both processors.
func TestProcessors(t *testing.T) {
	servers := serverOptions(t)
	r, err := Processors(t.Context(), ProcessorOptions{Events: 2000, Runs: 1, Partitions: 2, Progress: t.Logf, Servers: servers})
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]float64{"new": r.Deduplicator.EventsPerSecondPerCore, "repeats": r.Deduplicator.RepeatsPerSecondPerCore,
		"state": r.Deduplicator.StateBytesPerID, "identities": float64(r.Deduplicator.Identities), "memory": float64(r.Deduplicator.PeakRSSBytes),
		"batch": r.Normalizer.EventsPerSecondPerCore, "single": r.Normalizer.SingleEventsPerSecondPerCore} {
		if value <= 0 {
			t.Errorf("%s: %v in %+v", name, value, r)
		}
	}
	if left, err := os.ReadDir(servers.Dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left behind, %v", left, err)
	}
}

func TestSummaryIsOfTheMiddle(t *testing.T) {
	var ds []Drain
	for _, seconds := range []int64{4, 1, 2} {
		ds = append(ds, Drain{Events: 400, Took: time.Duration(seconds) * 2 * time.Second, Usage: Usage{CPU: time.Duration(seconds) * time.Second, PeakRSS: uint64(seconds)}})
	}
	perCore, perSecond, rss, noise := summary(ds)
	if perCore != 200 || perSecond != 100 || rss != 4 || noise != 1.5 {
		t.Errorf("%v, %v, %v, %v", perCore, perSecond, rss, noise)
	}
	if perCore, _, _, _ = summary(ds[:2]); perCore != 100 {
		t.Errorf("of two runs %v counts, want the lower one", perCore)
	}
}
