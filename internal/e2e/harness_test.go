package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/servers"
)

// TestMain lets the tests overlap: each mostly waits for prices to be polled.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("4"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// pricelake returns the binary as users get it, with the engine in the cache.
// Where the engine cannot be had the test skips; in CI it fails.
func pricelake(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts the whole stack: not with -short")
	}
	return servers.Pricelake(t)
}

// cleanEnv is the environment without settings of ours but the cache.
func cleanEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PRICELAKE_") || strings.HasPrefix(kv, "PRICELAKE_CACHE_DIR=") {
			env = append(env, kv)
		}
	}
	return env
}

// query asks ClickHouse over its plain HTTP interface: nothing of ours is
// between the question and the answer.
func (u *up) query(sql string) ([]map[string]any, error) {
	return queryHTTP(u.Ready, sql)
}

func queryHTTP(e app.Endpoints, sql string) ([]map[string]any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	params := url.Values{"database": {"pricelake"}, "default_format": {"JSONEachRow"},
		"output_format_json_quote_decimals": {"1"}, "output_format_json_quote_64bit_integers": {"0"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.ClickHouseHTTP+"/?"+params.Encode(), strings.NewReader(sql))
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(e.ClickHouseUser, e.ClickHousePassword)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d: %s", resp.StatusCode, body)
	}
	var rows []map[string]any
	for line := range strings.Lines(string(body)) {
		var row map[string]any
		dec := json.NewDecoder(strings.NewReader(line))
		dec.UseNumber()
		if err := dec.Decode(&row); err != nil {
			return nil, fmt.Errorf("row %q: %w", line, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// mustQuery is query for questions that must be answered.
func (u *up) mustQuery(sql string) []map[string]any {
	u.t.Helper()
	rows, err := u.query(sql)
	if err != nil {
		u.t.Fatalf("%s\n%v", sql, err)
	}
	return rows
}

// number asks for one number.
func (u *up) number(sql string) int64 {
	u.t.Helper()
	rows := u.mustQuery(sql)
	if len(rows) != 1 || len(rows[0]) != 1 {
		u.t.Fatalf("%s: %v is not one value", sql, rows)
	}
	for _, v := range rows[0] {
		n, err := v.(json.Number).Int64()
		if err != nil {
			u.t.Fatalf("%s: %v", sql, err)
		}
		return n
	}
	return 0
}

// eventually waits until check passes. It waits three times as long as a quiet
// machine may take: several stacks share two cores. What may take no longer is
// measured by who cares.
func eventually(t *testing.T, within time.Duration, what string, check func() error) {
	t.Helper()
	within *= 3
	deadline := time.Now().Add(within)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %v", what, within, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// exactlyOnce asserts the invariant I2.
func (u *up) exactlyOnce() {
	u.t.Helper()
	rows := u.mustQuery("SELECT count() AS n, uniqExact(event_id, revision) AS d FROM prices")
	if rows[0]["n"] != rows[0]["d"] {
		u.t.Errorf("prices: %v rows, %v distinct (event_id, revision)", rows[0]["n"], rows[0]["d"])
		for _, double := range u.mustQuery(`SELECT event_id, revision, any(provider) AS provider, any(call_id) AS call, any(instrument) AS instrument,
			groupArray((_partition, _offset, toString(recorded_at), toString(poll_id), toString(price), toString(bid), toString(event_time))) AS rows
			FROM prices GROUP BY event_id, revision HAVING count() > 1`) {
			u.t.Logf("doubled: %v", double)
		}
		for line := range strings.Lines(u.Stderr()) {
			if strings.Contains(line, "part=deduplicator") || strings.Contains(line, "part=broker") {
				u.t.Log(strings.TrimSpace(line))
			}
		}
	}
}
