package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// invoke runs the program with no `up` to be found on this machine.
func invoke(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut strings.Builder
	env := []string{"HOME=" + t.TempDir()}
	code = run(context.Background(), args, env, strings.NewReader(stdin), &out, &errOut)
	return code, out.String(), errOut.String()
}

func TestExitCodes(t *testing.T) {
	f := func(want int, message string, args ...string) {
		t.Helper()
		code, _, stderr := invoke(t, "", args...)
		if code != want || !strings.Contains(stderr, message) {
			t.Errorf("%v: exit %d, want %d; said %q, want it to contain %q", args, code, want, stderr, message)
		}
	}
	f(exitOK, "", "version")
	f(exitOK, "", "--help")
	f(exitOK, "", "catalog")
	f(exitUsage, "unknown flag: --nonsense; see `pricelake sql --help`", "sql", "--nonsense")
	f(exitUsage, `"fly" is no command`, "catalog", "fly")
	f(exitUsage, `"fly" is no command of pricelake;`, "fly")
	f(exitUsage, `"doctr" is no command of pricelake; did you mean doctor?`, "doctr")
	f(exitUsage, `"doctr" is no command of pricelake; did you mean doctor?`, "help", "doctr")
	f(exitUsage, `"nonsense" is no command of pricelake;`, "help", "nonsense")
	f(exitUsage, `"aply" is no command of pricelake catalog; did you mean apply?`, "help", "catalog", "aply")
	f(exitUsage, `"lake" is no command of pricelake run;`, "help", "run", "lake")
	f(exitOK, "", "help")
	f(exitOK, "", "help", "help")
	f(exitUsage, `unknown command "klingon"`, "completion", "klingon")
	f(exitOK, "", "completion", "bash")
	f(exitUsage, "unknown flag: --fly", "--fly")
	f(exitUsage, "no role \"pollr\"", "pause", "all", "pollr")
	f(exitUsage, "no role \"nobody\"; the roles are scheduler, poller, normalizer, deduplicator, lake", "run", "nobody")
	f(exitUsage, "name a role; the roles are scheduler, poller, normalizer, deduplicator, lake, monitor, or all", "run")
	f(exitUsage, "name a role; those that can be paused are scheduler, poller, normalizer, deduplicator, lake, or all", "pause")
	f(exitUsage, "name a role; those that can be paused are scheduler, ", "resume")
	f(exitUsage, "no role \"monitor\"; those that can be paused are scheduler, ", "pause", "lake", "monitor")
	f(exitUsage, "there is no configuration file", "--config", "/nonexistent.yaml", "status")
	f(exitUsage, "write table, tsv, csv or json", "sql", "--format", "xml", "SELECT 1")
	f(exitUsage, "no query", "sql")
	f(exitUsage, "no running lake was found", "sql", "SELECT 1")
	f(exitUsage, "no running lake was found", "sql", "-- one, as README.md has it\nSELECT 1")
	f(exitUsage, "no running lake was found", "sql", "--\nSELECT 1", "--json")
	f(exitUsage, "no running lake was found", "run", "lake")
	f(exitUsage, "no running lake was found", "catalog", "apply", "--shipped")
	stopped := t.TempDir()
	if err := os.WriteFile(filepath.Join(stopped, "endpoints.json"), []byte(`{"kafka": "127.0.0.1:1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	f(exitUsage, "no running lake was found", "--data-dir", stopped, "sql", "SELECT 1")
	f(exitUsage, `no role "fly"; those that can be left out are scheduler, `, "up", "--without", "fly")
	f(exitUsage, "give --shipped", "catalog", "apply")
	f(exitUsage, "log.level: write debug", "--log-level", "loud", "status")
	f(exitUsage, "name dead letters by id, or give --all", "dlq", "replay")
	f(exitUsage, "", "dlq", "show", "not-an-id")
	f(exitUsage, "not-an-id", "trace", "not-an-id")
	f(exitUsage, "accepts 1 arg(s), received 0; see `pricelake trace --help`", "trace")
	f(exitUsage, "no running lake was found", "trace", "01020304-0506-0708-090a-0b0c0d0e0f10")
	f(exitUsage, "no call \"nothing\" in the catalog; it has", "catalog", "try", "nothing")
	f(exitUsage, "--count -1: write a number above 0", "tail", "prices.v1", "--count", "-1")
	f(exitUsage, "--limit 0: write a number above 0", "dlq", "ls", "--limit", "0")
	f(exitCheck, "a problem in the catalog", "catalog", "validate", "/nonexistent.yaml")

	var errOut strings.Builder
	env := []string{"HOME=" + t.TempDir(), "PRICELAKE_CLICKHOUSE_ADDR=127.0.0.1:1"}
	code := run(context.Background(), []string{"sql", "SELECT 1"}, env, strings.NewReader(""), &strings.Builder{}, &errOut)
	if code != exitFailed || !strings.Contains(errOut.String(), "connection refused") {
		t.Errorf("a server that is away: exit %d, %q", code, errOut.String())
	}
}

func TestEveryCommandHasHelpWithExamples(t *testing.T) {
	c := &cli{out: newPrinter(&strings.Builder{})}
	for _, cmd := range c.root().Commands() {
		for _, leaf := range append(cmd.Commands(), cmd) {
			if leaf.HasSubCommands() {
				continue
			}
			if leaf.Short == "" || leaf.Example == "" {
				t.Errorf("%s lacks a description or examples", leaf.CommandPath())
			}
		}
	}
}

func TestCompletion(t *testing.T) {
	code, out, _ := invoke(t, "", "__complete", "run", "")
	if code != exitOK || !strings.Contains(out, "deduplicator") {
		t.Errorf("completion of `run`: exit %d, %q", code, out)
	}
	if _, out, _ = invoke(t, "", "__complete", "help", "cat"); !strings.Contains(out, "catalog\t") {
		t.Errorf("completion of `help`: %q", out)
	}
	for shell, begin := range map[string]string{"bash": "# bash completion V2 for pricelake", "zsh": "#compdef pricelake", "fish": "# fish completion for pricelake"} {
		if code, out, _ = invoke(t, "", "completion", shell); code != exitOK || !strings.HasPrefix(out, begin) {
			t.Errorf("the script for %s: exit %d, it begins with %.40q", shell, code, out)
		}
		for _, args := range [][]string{{"completion", "--help"}, {"completion", shell, "--help"}} {
			if _, out, _ = invoke(t, "", args...); !strings.Contains(out, "Examples:\n") || !strings.Contains(out, "pricelake completion "+shell) {
				t.Errorf("%v has no example for %s:\n%s", args, shell, out)
			}
		}
	}
}

func TestHelpOfACommandIsItsOwn(t *testing.T) {
	for want, args := range map[string][]string{
		"pricelake catalog apply FILE|": {"help", "catalog", "apply"},
		"pricelake sql [QUERY] [flags]": {"help", "sql"},
		"pricelake [command]":           {"help"},
	} {
		if code, out, _ := invoke(t, "", args...); code != exitOK || !strings.Contains(out, want) {
			t.Errorf("%v: exit %d, want the usage %q:\n%s", args, code, want, out)
		}
	}
}

// TestTenMistakes runs one catalog with ten mistakes through the command a user
// has.
func TestTenMistakes(t *testing.T) {
	file := filepath.Join("..", "..", "producers", "catalog", "testdata", "bad", "ten-mistakes.yaml")
	code, out, _ := invoke(t, "", "catalog", "validate", "--json", file)
	if code != exitCheck {
		t.Errorf("exit %d, want %d", code, exitCheck)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) < 10 {
		t.Errorf("%d problems, want ten:\n%s", len(lines), out)
	}
	for _, line := range lines {
		var p struct {
			Line          int
			Message, Hint string
		}
		if err := json.Unmarshal([]byte(line), &p); err != nil || p.Line == 0 || p.Message == "" || p.Hint == "" {
			t.Errorf("a problem without line, message or hint: %s", line)
		}
	}
}

func TestTrySavedAnswer(t *testing.T) {
	answer := filepath.Join(t.TempDir(), "answer.json")
	body := `{"error":[],"result":{"XBTUSDT":{"a":["101.25","1","1.0"],"b":["101.125","1","1.0"],"c":["101.2","0.1"]}}}`
	if err := os.WriteFile(answer, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, stderr := invoke(t, "", "catalog", "try", "kraken-ticker", "--response", answer, "--json", "--fetched-at", "2026-01-02T03:04:05Z")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	var price map[string]any
	if err := json.Unmarshal([]byte(out), &price); err != nil {
		t.Fatalf("want one object on one line: %v: %s", err, out)
	}
	for field, want := range map[string]any{"instrument": "BTC-USDT", "kind": "ticker", "rate_type": "last", "price": "101.2", "bid": "101.125", "ask": "101.25",
		"event_time": "2026-01-02T03:04:05Z", "event_time_kind": "fetched", "value_date": nil} {
		if price[field] != want {
			t.Errorf("%s is %v, want %v", field, price[field], want)
		}
	}
	if err := os.WriteFile(answer, []byte("<html>maintenance</html>"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr = invoke(t, "", "catalog", "try", "kraken-ticker", "--response", answer)
	if code != exitCheck || !strings.Contains(stderr, "unparsable") {
		t.Errorf("a web page: exit %d, %q", code, stderr)
	}
}

func TestSinceThen(t *testing.T) {
	if got := sinceThen(time.Time{}); got != "never" {
		t.Errorf("no time is %q", got)
	}
	if got := sinceThen(time.Now().Add(-time.Minute)); !strings.HasSuffix(got, "s ago") {
		t.Errorf("a minute is %q", got)
	}
}
