// Package promtest gives tests a real Prometheus: the server as a process of its
// own that scrapes what the test names, and promtool.
package promtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/servers"
)

// Promtool returns the path of promtool. Where it cannot be had the test skips;
// in CI it fails.
func Promtool(t testing.TB) string { return find(t, "promtool") }

// find looks where .ci/prometheus puts both programs, then on PATH.
func find(t testing.TB, program string) string {
	t.Helper()
	cache := os.Getenv("PRICELAKE_CACHE_DIR")
	if cache == "" {
		if dir, err := os.UserCacheDir(); err == nil {
			cache = filepath.Join(dir, "pricelake")
		}
	}
	if path, err := exec.LookPath(filepath.Join(cache, "prometheus", "usr", "bin", program)); err == nil {
		return path
	}
	path, err := exec.LookPath(program)
	switch {
	case err == nil:
		return path
	case os.Getenv("CI") == "true":
		t.Fatalf("no %s on this machine: run .ci/prometheus", program)
	default:
		t.Skipf("no %s on this machine; .ci/prometheus fetches it", program)
	}
	return ""
}

// Config says what a Prometheus does beside its defaults.
type Config struct {
	// Rules is the text of a rules file, perhaps empty.
	Rules string
	// Interval is that of scrapes and of the rules; a second when zero.
	Interval time.Duration
}

// Server is a running Prometheus.
type Server struct {
	t       testing.TB
	url     string
	targets string // path of what is scraped
	log     *bytes.Buffer
}

// startPatience is for a machine whose cores are busy with other tests.
const startPatience = 2 * time.Minute

// Start starts a Prometheus that ends with the test.
func Start(t testing.TB, c Config) *Server {
	t.Helper()
	program := find(t, "prometheus")
	dir := t.TempDir()
	if c.Interval == 0 {
		c.Interval = time.Second
	}
	write(t, filepath.Join(dir, "rules.yml"), c.Rules)
	write(t, filepath.Join(dir, "prometheus.yml"), c.yaml())
	write(t, filepath.Join(dir, "targets.json"), "[]")
	addr := servers.FreeAddr(t)
	s := &Server{t: t, url: "http://" + addr, targets: filepath.Join(dir, "targets.json"), log: new(bytes.Buffer)}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatalf("starting Prometheus: %v", err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // killed: its data is of no more use
		if t.Failed() {
			t.Logf("Prometheus said:\n%s", s.log)
		}
	})
	for end := time.Now().Add(startPatience); ; time.Sleep(50 * time.Millisecond) {
		if s.get("/-/ready", nil, nil) == nil {
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("Prometheus was not ready after %s", startPatience)
		}
	}
}

func (c Config) yaml() string {
	var b strings.Builder
	fmt.Fprintf(&b, "global: {scrape_interval: %[1]s, scrape_timeout: %[1]s, evaluation_interval: %[1]s}\n", milliseconds(c.Interval))
	b.WriteString("rule_files: [rules.yml]\nscrape_configs:\n- job_name: pricelake\n  file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]\n")
	return b.String()
}

// Scrape replaces what is scraped as job pricelake: host:port by the label
// service.
func (s *Server) Scrape(targets map[string]string) {
	s.t.Helper()
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	groups := make([]group, 0, len(targets))
	for service, addr := range targets {
		groups = append(groups, group{[]string{addr}, map[string]string{"service": service}})
	}
	text, err := json.Marshal(groups)
	if err != nil {
		s.t.Fatal(err)
	}
	write(s.t, s.targets+".new", string(text))
	if err := os.Rename(s.targets+".new", s.targets); err != nil {
		s.t.Fatal(err)
	}
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) + "ms" }

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Sample is one element of an answer.
type Sample struct {
	Labels map[string]string
	Value  float64
	At     time.Time // when it was evaluated
}

// Query evaluates an expression now.
func (s *Server) Query(expr string) ([]Sample, error) {
	var answer struct {
		Result []struct {
			Metric map[string]string `json:"metric"`
			Value  [2]any            `json:"value"`
		} `json:"result"`
	}
	if err := s.get("/api/v1/query", url.Values{"query": {expr}}, &answer); err != nil {
		return nil, fmt.Errorf("asking Prometheus for %q: %w", expr, err)
	}
	samples := make([]Sample, len(answer.Result))
	for i, r := range answer.Result {
		at, _ := r.Value[0].(float64)
		text, _ := r.Value[1].(string)
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("asking Prometheus for %q: value %v", expr, r.Value)
		}
		samples[i] = Sample{Labels: r.Metric, Value: value, At: time.UnixMicro(int64(at * 1e6))}
	}
	return samples, nil
}

// Alert is one alert that is pending or fires.
type Alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	State       string            `json:"state"` // pending or firing
}

// Firing returns the alerts of that name that fire.
func (s *Server) Firing(name string) ([]Alert, error) {
	var answer struct {
		Alerts []Alert `json:"alerts"`
	}
	if err := s.get("/api/v1/alerts", nil, &answer); err != nil {
		return nil, fmt.Errorf("asking Prometheus for its alerts: %w", err)
	}
	var firing []Alert
	for _, a := range answer.Alerts {
		if a.Labels["alertname"] == name && a.State == "firing" {
			firing = append(firing, a)
		}
	}
	return firing, nil
}

// get asks the HTTP interface; data receives what the answer holds, unless nil.
func (s *Server) get(path string, query url.Values, data any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d: %s", resp.StatusCode, body)
	case data == nil:
		return nil
	}
	answer := struct{ Data any }{data}
	return json.Unmarshal(body, &answer)
}
