package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/app"
)

// doctorOf runs doctor against servers that are not there.
func doctorOf(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut strings.Builder
	env := []string{"HOME=" + t.TempDir(), "PRICELAKE_KAFKA_BROKERS=127.0.0.1:1", "PRICELAKE_REGISTRY_URL=http://127.0.0.1:1", "PRICELAKE_CLICKHOUSE_ADDR=127.0.0.1:1"}
	code = run(context.Background(), append([]string{"doctor"}, args...), env, strings.NewReader(""), &out, &errOut)
	return code, out.String(), errOut.String()
}

func TestDoctorTellsInTextAndJSON(t *testing.T) {
	code, out, said := doctorOf(t)
	if code != exitCheck || !strings.Contains(said, "3 checks failed") {
		t.Errorf("exit %d, want %d; it said %q", code, exitCheck, said)
	}
	for _, want := range []string{"verdict\tarea\tcheck", "fail\tkafka\taddress\t127.0.0.1:1\t", "\tstart the server, or correct clickhouse.addr\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("the table lacks %q:\n%s", want, out)
		}
	}
	code, out, _ = doctorOf(t, "--json")
	failed := 0
	for line := range strings.Lines(out) {
		var f app.Finding
		if err := json.Unmarshal([]byte(line), &f); err != nil || f.Verdict == "" || f.Area == "" || f.Check == "" || f.Text == "" {
			t.Errorf("line %q: %v", line, err)
		}
		if f.Verdict == app.VerdictFail {
			failed++
			if f.Remedy == "" {
				t.Errorf("no remedy: %s", line)
			}
		}
	}
	if code != exitCheck || failed != 3 {
		t.Errorf("exit %d with %d failures", code, failed)
	}
	if _, out, _ = doctorOf(t, "scheduler"); strings.Contains(out, "clickhouse\t") {
		t.Errorf("the scheduler needs no ClickHouse:\n%s", out)
	}
}

func TestDoctorRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, args := range [][]string{{"nobody"}, {"--timeout", "0s"}} {
		if code, _, said := doctorOf(t, args...); code != exitUsage || said == "" {
			t.Errorf("%v: exit %d, %q", args, code, said)
		}
	}
}

// On a terminal the remedy stands below the finding.
func TestDoctorTable(t *testing.T) {
	var out strings.Builder
	c := &cli{out: &printer{w: &out, terminal: true, width: 100}}
	c.diagnosisTable(app.Diagnosis{Findings: []app.Finding{
		{Verdict: app.VerdictFail, Area: "kafka", Check: "topics", Subject: "prices.v1", Text: "the topic does not exist", Remedy: "run `pricelake topics apply`"},
	}})
	for _, want := range []string{"prices.v1: the topic does not exist", "→ run `pricelake topics apply`"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
}
