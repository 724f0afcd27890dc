//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/cmd/pricelake-chaos/fault"
	"github.com/pricelake/pricelake/internal/embed"
)

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"--events", "0"}, {"--nonsense"}, {"extra"}, {"--kinds", "flood"}, {"--on", "pulsar"}, {"--failpoints", "nowhere"}, {"--clickhouse", "a:1"},
		{"--gap", "1ms"}, {"--session", "10ms"}, {"--recount", "/no/such/folder"}, {"--disk", "5"}} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), args, &out, &errs); code != exitUsage || errs.Len() == 0 {
			t.Errorf("%v: status %d, said %q", args, code, errs.String())
		}
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"--help"}, &out, &errs); code != exitOK || !strings.Contains(errs.String(), "--waive") && !strings.Contains(errs.String(), "-waive") {
		t.Errorf("--help: status %d, said %q", code, errs.String())
	}
	full := filepath.Join(t.TempDir(), "full")
	if err := os.MkdirAll(filepath.Join(full, "something"), 0o700); err != nil {
		t.Fatal(err)
	}
	if code := run(t.Context(), []string{"--keep", full}, &out, &errs); code != exitUsage {
		t.Errorf("a folder that is not empty: status %d", code)
	}
}

// TestPlanIsPrinted: the same seed prints the same plan, and nothing is started.
func TestPlanIsPrinted(t *testing.T) {
	printed := make([]string, 2)
	for i := range printed {
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{"--plan", "--seed", "7", "--kills", "40", "--failpoints", "common", "--json"}, &out, &errs); code != exitOK {
			t.Fatalf("status %d: %s", code, errs.String())
		}
		printed[i] = out.String()
	}
	if printed[0] != printed[1] {
		t.Error("one seed, two plans")
	}
	kills := 0
	for line := range strings.Lines(printed[0]) {
		var m struct{ Value fault.Step }
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		switch m.Value.Kind {
		case fault.Kill, fault.KillAll, fault.Failpoint:
			kills++
		}
	}
	if kills != 40 {
		t.Errorf("%d kills", kills)
	}
}

// chaos builds the program without cgo, as users get it: the race detector cannot
// host the engine.
func chaos(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts the whole product: not with -short")
	}
	path := filepath.Join(t.TempDir(), "pricelake-chaos")
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building: %v: %s", err, out)
	}
	return path
}

// TestSmoke makes a small run and counts it again.
func TestSmoke(t *testing.T) {
	program := chaos(t)
	needEngine(t)
	dir := filepath.Join(t.TempDir(), "kept")
	last := verdictOf(t, program, "--events", "10000", "--kills", "3", "--gap", "1500ms", "--seed", "11", "--replicas", "1", "--json", "--keep", dir)
	if !last.OK || last.Events != 10_000 || last.Kills != 3 || last.Lost != 0 || last.Doubled != 0 || last.Seed != 11 {
		t.Fatalf("the run ended with %+v", last)
	}
	again := verdictOf(t, program, "--recount", dir, "--json")
	if again.OK != last.OK || again.Events != last.Events || again.Lost != 0 || again.Doubled != 0 || again.Seed != last.Seed {
		t.Fatalf("counted again it is %+v", again)
	}
	if plant(t, filepath.Join(dir, ledgerFile)); t.Failed() {
		return
	}
	if wrong := verdictOf(t, program, "--recount", dir, "--json"); wrong.OK || wrong.Lost != tradesPerPage {
		t.Fatalf("a page that was never served is said to be lost: %+v", wrong)
	}
}

// TestSmokeOnKafka makes a small run on Apache Kafka, in which a process of each
// role is given up and comes back.
func TestSmokeOnKafka(t *testing.T) {
	program := chaos(t)
	needEngine(t)
	if _, err := os.Stat(defaultKafkaLibs()); err != nil && os.Getenv("CI") != "true" {
		t.Skipf("no Apache Kafka on this machine, run .ci/services fetch: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	last := verdictOf(t, program, "--on", "kafka", "--events", "10000", "--kills", "2", "--zombies", "1", "--gap", "3s", "--seed", "12", "--json")
	if !last.OK || last.Events != 10_000 || last.Kills != 2 || last.Lost != 0 || last.Doubled != 0 {
		t.Fatalf("the run ended with %+v", last)
	}
}

// plant adds an answer to the ledger that nobody has ever got.
func plant(t *testing.T, ledger string) {
	t.Helper()
	text, err := os.ReadFile(ledger)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	var last struct{ Call, Number int }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatal(err)
	}
	answer, err := json.Marshal(map[string]any{"call": last.Call, "number": last.Number + 1, "sent": true,
		"parts": []map[string]any{{"why": "fresh", "page": 9999, "version": 0, "stride": 1, "phase": 0}}})
	if err == nil {
		err = os.WriteFile(ledger, append(text, append(answer, '\n')...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// needEngine skips the test where there is no ClickHouse engine; in CI it fails.
func needEngine(t *testing.T) {
	t.Helper()
	_, _, err := embed.Locate(t.Context())
	if errors.Is(err, embed.ErrNoEngine) && os.Getenv("CI") == "true" {
		_, err = embed.Fetch(t.Context(), nil)
	}
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("no ClickHouse engine: %v", err)
	}
	if err != nil {
		t.Skipf("no ClickHouse engine on this machine: %v", err)
	}
}

// verdictOf runs the program and returns the last line of its output.
func verdictOf(t *testing.T, program string, args ...string) (v verdict) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if jsonErr := json.Unmarshal([]byte(lines[len(lines)-1]), &v); jsonErr != nil || v.Seed == 0 {
		t.Fatalf("%v: %v, %s\n%s", args, err, errs.String(), out.String())
	}
	var exit *exec.ExitError
	code := 0
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	if want := map[bool]int{true: exitOK, false: exitCheck}[v.OK]; code != want {
		t.Errorf("%v: status %d, %d belongs to %+v", args, code, want, v)
	}
	if !v.OK {
		t.Logf("%v:\n%s", args, out.String())
	}
	return v
}
