package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// python returns an interpreter that has the stock clients. Without one the test
// skips; in CI it fails. PRICELAKE_TEST_PYTHON names it, else it is looked for
// where .ci/python puts it.
func python(t *testing.T) string {
	t.Helper()
	path := os.Getenv("PRICELAKE_TEST_PYTHON")
	if path == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(cache, "pricelake", "python", "bin", "python")
	}
	out, err := exec.Command(path, "-c", "import confluent_kafka, fastavro, clickhouse_connect, clickhouse_driver").CombinedOutput()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no Python with the stock clients (run .ci/python): %v %s", err, out)
		}
		t.Skipf("no Python with the stock clients; .ci/python makes one")
	}
	return path
}

// script runs a script of testdata with the endpoints on its standard input.
func script(t *testing.T, u *up, name string, args ...string) string {
	t.Helper()
	endpoints, err := json.Marshal(u.Ready)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python(t), append([]string{filepath.Join("testdata", name)}, args...)...)
	cmd.Stdin = strings.NewReader(string(endpoints))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s\n%s", name, err, out, stderr.String())
	}
	return string(out)
}

// TestStockClients reads topics and tables with clients that know nothing of
// pricelake.
func TestStockClients(t *testing.T) {
	t.Parallel()
	python(t)
	everywhere(t, func(t *testing.T, s *site) {
		u := s.start("--demo")
		eventually(t, 60*time.Second, "something in every topic", func() error {
			rows, err := u.query("SELECT (SELECT count() FROM prices) > 100 AND (SELECT count() FROM prices_rejected) > 0 AND (SELECT count() FROM dead_letters) > 0 AS ok")
			if err == nil && fmt.Sprint(rows[0]["ok"]) != "1" {
				err = fmt.Errorf("%v", rows)
			}
			return err
		})
		t.Log(script(t, u, "clients.py"))
	})
}

// againstLibrdkafka compares every committed record of prices.v1, as librdkafka
// reads it, with the rows of prices.
func againstLibrdkafka(t *testing.T, u *up) {
	t.Helper()
	t.Log(script(t, u, "prices.py"))
}
