package app

import (
	"context"
	"flag"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/ops"
	"github.com/pricelake/pricelake/processors"
	"github.com/pricelake/pricelake/processors/dedupe"
	"github.com/pricelake/pricelake/processors/normalize"
	"github.com/pricelake/pricelake/producers/poller"
	"github.com/pricelake/pricelake/producers/scheduler"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
	"github.com/pricelake/pricelake/sinks/lake"
)

var update = flag.Bool("update", false, "write docs/metrics.md anew")

const metricsDoc = "../../docs/metrics.md"

// docs/metrics.md holds what the roles register, and nothing else.
func TestMetricsAreDocumented(t *testing.T) {
	want := metricsPage(t)
	if *update {
		if err := os.WriteFile(metricsDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(metricsDoc)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/metrics.md is not what the roles register: run `go test ./internal/app -run Metrics -update`")
	}
	// The page is made from the constructors named below. One that is missing
	// there is found by the names in the sources.
	for name, file := range metricNames(t) {
		if !strings.Contains(want, "`"+name+"`") {
			t.Errorf("%s defines %s, which this test does not register", file, name)
		}
	}
}

// described is one metric as it is registered.
type described struct{ name, help, labels string }

// recorder is a Registerer that only notes what it is given.
type recorder struct{ all []described }

var descText = regexp.MustCompile(`^Desc\{fqName: "([^"]*)", help: "(.*?)"(?:, unit: "[^"]*")?, constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}\}$`)

func (r *recorder) Register(c prometheus.Collector) error {
	descs := make(chan *prometheus.Desc)
	go func() { defer close(descs); c.Describe(descs) }()
	for d := range descs {
		m := descText.FindStringSubmatch(d.String())
		if m == nil {
			panic("a Desc prints in another way: " + d.String())
		}
		if !strings.HasPrefix(m[1], "pricelake_") {
			continue
		}
		labels := strings.Split(m[4], ",")
		if constant, _, ok := strings.Cut(m[3], "="); ok {
			labels = append(labels, constant)
		}
		labels = slices.DeleteFunc(labels, func(l string) bool { return l == "" })
		slices.Sort(labels)
		r.all = append(r.all, described{m[1], strings.ReplaceAll(m[2], `\"`, `"`), strings.Join(labels, ", ")})
	}
	return nil
}

func (r *recorder) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		_ = r.Register(c) // never fails
	}
}

func (r *recorder) Unregister(prometheus.Collector) bool { return true }

// metricsPage makes the page out of what each part registers.
func metricsPage(t *testing.T) string {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	cfg := kafka.DefaultConfig()
	cfg.Brokers = []string{"127.0.0.1:1"}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	l, err := lake.Open(lake.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	a, err := New(Settings{Config: config.Default()}, log, ops.NewRegistry("test"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	var page strings.Builder
	page.WriteString(metricsIntroduction)
	for _, part := range []struct {
		title, text string
		register    func(*recorder) error
	}{
		{"Every process", "Beside `go_…` and `process_…` of the Prometheus library.", func(r *recorder) error {
			a.switches.observe(lake.Role)
			return r.Register(a.metrics)
		}},
		{"monitor", "Of all groups, from outside: also of those nobody works for. Several monitors export the same; take the `max` by group, topic and partition.", func(r *recorder) error {
			cfg.Registerer = r
			return kafka.Lag{Config: cfg}.Run(done)
		}},
		{"scheduler", "", func(r *recorder) error { scheduler.NewMetrics(r); return nil }},
		{"poller", "", func(r *recorder) error { poller.NewMetrics(r); return nil }},
		{"normalizer, deduplicator", "", func(r *recorder) error { processors.NewMetrics(r, normalize.Role); return nil }},
		{"deduplicator", "", func(r *recorder) error {
			dedupe.New(dedupe.Config{Registerer: r, Logger: log, Dir: t.TempDir()})
			r.all = slices.DeleteFunc(r.all, func(d described) bool { return strings.HasPrefix(d.name, "pricelake_processor_") })
			return nil
		}},
		{"lake", "", func(r *recorder) error {
			lake.NewAuditMetrics(r)
			r.MustRegister(newHeldMetric(new(heldPartitions)))
			lake.NewSink(l, lake.Options{Registerer: r, Log: log, Now: time.Now})
			sinks.NewHandler(sinks.Options{Registerer: r, Log: log})
			return nil
		}},
		{"What reads a topic: poller, normalizer, deduplicator, lake", "What a member of a group knows of its own partitions. The monitor's figures are those to watch.", func(r *recorder) error {
			cfg.Registerer = r
			return kafka.Range{Config: cfg, Group: "g", Topics: map[string]kafka.Flush{schemas.TopicPrices: {Rows: 1, Bytes: 1, Interval: time.Second}}}.Run(done, nil)
		}},
	} {
		var r recorder
		if err := part.register(&r); err != nil {
			t.Fatalf("%s: %v", part.title, err)
		}
		if len(r.all) == 0 {
			t.Fatalf("%s registers nothing", part.title)
		}
		page.WriteString("\n## " + part.title + "\n\n")
		if part.text != "" {
			page.WriteString(part.text + "\n\n")
		}
		page.WriteString("| metric | labels | meaning |\n|---|---|---|\n")
		slices.SortFunc(r.all, func(a, b described) int { return strings.Compare(a.name, b.name) })
		for _, d := range r.all {
			page.WriteString("| `" + d.name + "` | " + d.labels + " | " + strings.ReplaceAll(d.help, "|", `\|`) + " |\n")
		}
	}
	return page.String()
}

const metricsIntroduction = `# Metrics

Made by ` + "`go test ./internal/app -run Metrics -update`" + ` from what the roles register; do not edit.

Each process serves its own on ` + "`/metrics`" + ` of its admin address. Units are in the names: seconds, bytes. A name that ends in
` + "`_total`" + ` is a counter. What is distributed (freshness, lateness, durations) is a histogram, with ` + "`_bucket`, `_sum` and `_count`" + `. No metric
has a label for instruments, of which there may be a hundred thousand; providers, topics, tables and reasons are few. How to
watch with them is in [observability.md](observability.md).
`

// metricNames finds the metrics in the sources: the name, and a file that
// defines it.
func metricNames(t *testing.T) map[string]string {
	t.Helper()
	defined := regexp.MustCompile(`(?:Name:\s*|NewDesc\()"(pricelake_[a-z0-9_]+[a-z0-9])"`)
	names := map[string]string{}
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range defined.FindAllSubmatch(text, -1) {
			names[string(m[1])] = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 20 {
		t.Fatalf("only %d metrics found in the sources", len(names))
	}
	return names
}
