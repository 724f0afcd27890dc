package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pricelake/pricelake/schemas"
)

// TestRestart stops everything with SIGTERM and starts it again: nothing is lost,
// nothing doubled, addresses, credentials and schema ids are kept.
func TestRestart(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *site) {
		if s.real == nil {
			choosesItsPorts(t, s)
		}
		u := s.start("--demo")
		eventually(t, 60*time.Second, "a hundred prices", func() error { return atLeast(u, 100) })
		first := u.Ready
		ids := schemaIDs(t, u)
		if s.real == nil {
			refusesASecond(t, s)
		}
		took, err := u.Stop()
		limit := 25 * time.Second // of a role, on servers of its own
		if s.real == nil {
			limit = 10 * time.Second
		}
		if err != nil || took > limit {
			t.Fatalf("SIGTERM: ended after %s with %v\n%s", took, err, u.Stderr())
		}
		t.Logf("stopped in %s", took.Round(time.Millisecond))

		u = s.start("--demo")
		if u.Ready.ClickHousePassword != first.ClickHousePassword || u.Ready.Kafka != first.Kafka || u.Ready.ClickHouseHTTP != first.ClickHouseHTTP {
			t.Errorf("after the restart the endpoints are %+v, before %+v", u.Ready, first)
		}
		if again := schemaIDs(t, u); again != ids {
			t.Errorf("schema ids: %s, before %s", again, ids)
		}
		before := u.number("SELECT count() AS n FROM prices")
		if before < 100 {
			t.Errorf("%d prices after the restart, want those from before", before)
		}
		pollingGoesOn(u)
		verified(u)
		u.exactlyOnce()
	})
}

// choosesItsPorts has `up` choose its ports, to which it must come back. The
// usual ones are taken, as far as they are free: in between, somebody else would.
func choosesItsPorts(t *testing.T, s *site) {
	t.Helper()
	s.ownPorts = true
	for _, usual := range []string{"9092", "8081", "9000", "8123", "8090"} {
		if l, err := net.Listen("tcp", "127.0.0.1:"+usual); err == nil {
			t.Cleanup(func() { _ = l.Close() })
		}
	}
}

// refusesASecond starts another `up` on the same data dir.
func refusesASecond(t *testing.T, s *site) {
	t.Helper()
	second, err := s.tryStart("--demo")
	if err == nil {
		t.Fatal("a second up on the same data dir started")
	}
	if msg := second.Stderr(); !strings.Contains(msg, s.dir) || !strings.Contains(msg, "pricelake:") {
		t.Errorf("the refusal does not name the data dir:\n%s", msg)
	}
}

// verified compares topics and tables once everything has flowed.
func verified(u *up) {
	u.t.Helper()
	if out, err := u.tool("verify", "--wait"); err != nil {
		u.t.Errorf("verify: %v\n%s", err, out)
	}
}

func atLeast(u *up, n int64) error { return rowsAtLeast(u, "prices", n) }

func rowsAtLeast(u *up, table string, n int64) error {
	rows, err := u.query("SELECT count() AS n FROM " + table)
	if err != nil {
		return err
	}
	if got, _ := rows[0]["n"].(json.Number).Int64(); got < n {
		return fmt.Errorf("%d rows in %s, want %d", got, table, n)
	}
	return nil
}

// pollingGoesOn waits for polls, not for prices: the simulator says after a
// restart what it has said before, and repeats make no rows.
func pollingGoesOn(u *up) {
	u.t.Helper()
	before := u.number("SELECT count() AS n FROM polls")
	eventually(u.t, 60*time.Second, "polling goes on", func() error { return rowsAtLeast(u, "polls", before+20) })
}

// schemaIDs is every subject with its id, as the registry tells it.
func schemaIDs(t *testing.T, u *up) string {
	t.Helper()
	var subjects []string
	getJSON(t, u.Ready.Registry+"/subjects", &subjects)
	var out strings.Builder
	for _, s := range subjects {
		var v struct {
			ID      int `json:"id"`
			Version int `json:"version"`
		}
		getJSON(t, u.Ready.Registry+"/subjects/"+s+"/versions/latest", &v)
		fmt.Fprintf(&out, "%s=%d/%d ", s, v.ID, v.Version)
	}
	if len(subjects) != len(schemas.Definitions()) {
		t.Errorf("the registry has %d subjects, want one for each topic", len(subjects))
	}
	return out.String()
}

func getJSON(t *testing.T, url string, v any) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		t.Fatalf("%s: %v: %s", url, err, body)
	}
}

// TestKills ends `up` with SIGKILL at twenty moments, a query running, and
// starts it again within 200 ms each time. Moments are random (the seed is
// printed) and some are aimed: during the first start, and right after polls
// have been answered, when transactions commit and INSERTs run.
func TestKills(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	s := embeddedSite(t, t.TempDir())

	// The first start, three times, somewhere in the middle of it.
	for range 3 {
		u, _ := s.launchUp("--demo")
		time.Sleep(time.Duration(20+rng.IntN(500)) * time.Millisecond)
		u.Kill()
	}
	for kill := range 17 {
		u := s.start("--demo")
		busy := startQueries(u)
		if kill%3 == 0 {
			waitForInsert(t, u)
		}
		time.Sleep(time.Duration(rng.IntN(1500)) * time.Millisecond)
		u.Kill()
		busy()
		time.Sleep(time.Duration(rng.IntN(200)) * time.Millisecond)
	}

	u := s.start("--demo")
	pollingGoesOn(u)
	verified(u)
	u.exactlyOnce()
	againstLibrdkafka(t, u)
	pids := descendants(u.parts[0].cmd.Process.Pid)
	if _, err := u.Stop(); err != nil {
		t.Errorf("stopping: %v\n%s", err, u.Stderr())
	}
	noProcess(t, s.dir, pids)
}

// TestPowerFailures ends every role, the only broker, the registry and ClickHouse
// at once with SIGKILL, at random moments, and starts them again: nothing
// acknowledged is lost, nothing doubled, and no transaction stays open.
func TestPowerFailures(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	s := serverSite(t)
	for kill := range 3 {
		u := s.start("--demo")
		if kill > 0 {
			pollingGoesOn(u)
		}
		busy := startQueries(u)
		if kill%2 == 0 {
			waitForInsert(t, u)
		}
		time.Sleep(time.Duration(rng.IntN(1500)) * time.Millisecond)
		u.Kill()
		busy()
	}
	u := s.start("--demo")
	pollingGoesOn(u)
	verified(u)
	u.exactlyOnce()
	againstLibrdkafka(t, u)
	if _, err := u.Stop(); err != nil {
		t.Errorf("stopping: %v\n%s", err, u.Stderr())
	}
}

// startQueries keeps a slow SELECT running until the server is gone.
func startQueries(u *up) (wait func()) {
	var wg sync.WaitGroup
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.Ready.ClickHouseHTTP+"/?database=pricelake",
			strings.NewReader("SELECT count() FROM numbers(100000000000)"))
		if err != nil {
			return
		}
		req.SetBasicAuth(u.Ready.ClickHouseUser, u.Ready.ClickHousePassword)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	})
	return wg.Wait
}

// waitForInsert returns a moment after an INSERT has been seen running, or after
// two seconds.
func waitForInsert(t *testing.T, u *up) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); {
		rows, err := u.query("SELECT count() AS n FROM system.processes WHERE query ILIKE 'INSERT%'")
		if err == nil && fmt.Sprint(rows[0]["n"]) != "0" {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// noProcess asserts that no process still works on the data dir.
func noProcess(t *testing.T, dir string, pids []int) {
	t.Helper()
	eventually(t, 10*time.Second, "every process has ended", func() error {
		procs, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			return err
		}
		for _, p := range procs {
			b, err := os.ReadFile(p)
			if err == nil && strings.Contains(string(b), dir) {
				return fmt.Errorf("%s still runs: %q", filepath.Dir(p), b)
			}
		}
		for _, pid := range pids {
			if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(b), ") Z ") {
				return fmt.Errorf("process %d still runs", pid)
			}
		}
		return nil
	})
}

// descendants lists the children of a process.
func descendants(pid int) []int {
	var pids []int
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	for _, f := range strings.Fields(string(b)) {
		var child int
		if _, err := fmt.Sscan(f, &child); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}
