package e2e

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/simulator"
	"github.com/pricelake/pricelake/internal/simulator/ledgercheck"
	"github.com/pricelake/pricelake/producers/catalog"
)

// TestComposeAgreesWithTheLedger compares all that the simulator of a running
// docker-compose.yml served with all that is in its lake. deploy/compose/smoke
// runs it, where Go is, against the project that it has started; the environment
// says which that is. It must run before a container is killed: what a killed
// poller had asked for is asked for again.
func TestComposeAgreesWithTheLedger(t *testing.T) {
	if os.Getenv("PRICELAKE_TEST_COMPOSE") == "" {
		t.Skip("needs Docker and a running demo: deploy/compose/smoke runs this test")
	}
	simulatorURL := "http://127.0.0.1:" + cmp.Or(os.Getenv("SIMULATOR_PORT"), "18099")
	u := &up{t: t, Ready: app.Endpoints{
		ClickHouseHTTP:     "http://127.0.0.1:" + cmp.Or(os.Getenv("CLICKHOUSE_HTTP_PORT"), "18123"),
		ClickHouseUser:     "pricelake_reader",
		ClickHousePassword: composePassword(t, "pricelake_reader"),
	}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ledger, err := simulator.FetchLedger(ctx, simulatorURL)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(12 * time.Second) // the longest poll
	compose(t, "run", "--rm", "-T", "pricelake", "verify", "--wait")

	demo, err := catalog.Demo("http://simulator:8099")
	if err != nil {
		t.Fatal(err)
	}
	var calls []ledgercheck.Call
	for i := range demo.Calls {
		call, err := ledgercheck.CallOf(&demo.Calls[i], time.Now())
		if err != nil {
			t.Fatal(err)
		}
		calls = append(calls, call)
	}
	report := ledgercheck.Check(ledger, readRows(u), calls, ledgercheck.Options{})
	t.Log(report.String())
	if !report.OK() || report.Answers < 100 || report.Prices < 100 {
		t.Errorf("%d mismatches between the ledger and the lake", len(report.Mismatches))
	}
}

// compose runs docker compose on the project of the environment.
func compose(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", append([]string{"compose"}, args...)...)
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			out = append(out, exit.Stderr...)
		}
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

func composePassword(t *testing.T, account string) string {
	t.Helper()
	for line := range strings.Lines(compose(t, "run", "--rm", "-T", "secrets", "show")) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == account {
			return f[1]
		}
	}
	t.Fatalf("no password of %s", account)
	return ""
}
