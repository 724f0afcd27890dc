package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// maxSeries is what one process may cost whoever stores its metrics.
const maxSeries = 2000

// metricsAreWellNamed lints what the process exports and wants the two figures
// that operators look at first.
func metricsAreWellNamed(u *up) {
	u.t.Helper()
	var body []byte
	for _, text := range u.metrics() {
		problems, err := promlint.New(strings.NewReader(text)).Lint()
		if err != nil {
			u.t.Fatal(err)
		}
		for _, p := range problems {
			if strings.HasPrefix(p.Metric, "pricelake_") {
				u.t.Errorf("metric %s: %s", p.Metric, p.Text)
			}
		}
		if n := strings.Count(text, "\npricelake_"); n > maxSeries {
			u.t.Errorf("a process has %d series, it may have %d", n, maxSeries)
		}
		body = append(body, text...)
	}
	for _, name := range []string{"pricelake_event_age_seconds{", "pricelake_freshness_seconds_bucket{", "pricelake_build_info{"} {
		if !bytes.Contains(body, []byte("\n"+name)) {
			u.t.Errorf("/metrics has no %s…}", name)
		}
	}
	documented, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		u.t.Fatal(err)
	}
	for _, help := range regexp.MustCompile(`(?m)^# HELP (pricelake_\w+)`).FindAllSubmatch(body, -1) {
		if !bytes.Contains(documented, fmt.Appendf(nil, "`%s`", help[1])) {
			u.t.Errorf("docs/metrics.md does not know %s", help[1])
		}
	}
	if bytes.Contains(body, []byte("instrument=")) {
		u.t.Error("a metric has a label for instruments: there may be a hundred thousand of them")
	}
}

// metrics is what each process exports.
func (u *up) metrics() []string {
	u.t.Helper()
	var all []string
	for _, url := range u.Admins {
		status, text, err := ask(url + "/metrics")
		if err != nil || status != http.StatusOK {
			u.t.Fatalf("%s/metrics: %v %d", url, err, status)
		}
		all = append(all, text)
	}
	return all
}

// metric sums the samples of a metric over all processes.
func (u *up) metric(name string) float64 {
	u.t.Helper()
	sum := 0.0
	for line := range strings.Lines(strings.Join(u.metrics(), "")) {
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
