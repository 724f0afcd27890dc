package e2e

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
)

// metric sums the samples of a metric at the admin address.
func (u *up) metric(name string) float64 {
	u.t.Helper()
	resp, err := http.Get(u.Ready.Admin + "/metrics")
	if err != nil {
		u.t.Fatal(err)
	}
	defer resp.Body.Close()
	sum := 0.0
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") {
			continue
		}
		fields := strings.Fields(line)
		v, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		if err != nil {
			u.t.Fatalf("metric line %q: %v", line, err)
		}
		sum += v
	}
	return sum
}

// repeatsCounter is the deduplicator's count of dropped repeats.
func repeatsCounter(u *up) int64 { return int64(u.metric("pricelake_dedupe_repeats_total")) }
