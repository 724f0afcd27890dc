package e2e

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// metricsAreWellNamed lints what the process exports and wants the two figures
// that operators look at first.
func metricsAreWellNamed(u *up) {
	u.t.Helper()
	resp, err := http.Get(u.Ready.Admin + "/metrics")
	if err != nil {
		u.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		u.t.Fatal(err)
	}
	problems, err := promlint.New(bytes.NewReader(body)).Lint()
	if err != nil {
		u.t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "pricelake_") {
			u.t.Errorf("metric %s: %s", p.Metric, p.Text)
		}
	}
	for _, name := range []string{"pricelake_event_age_seconds{", "pricelake_freshness_seconds_bucket{", "pricelake_build_info{"} {
		if !bytes.Contains(body, []byte("\n"+name)) {
			u.t.Errorf("/metrics has no %s…}", name)
		}
	}
	if bytes.Contains(body, []byte("instrument=")) {
		u.t.Error("a metric has a label for instruments: there may be a hundred thousand of them")
	}
}

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
