package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/app"
)

// binary builds cmd/pricelake once for all tests, without cgo: the race detector
// cannot host the engine, and users get this build.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "pricelake-e2e-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "pricelake")
	cmd := exec.Command("go", "build", "-o", path, "github.com/pricelake/pricelake/cmd/pricelake")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the binary: %w\n%s", err, out)
	}
	return path, nil
})

// TestMain lets the tests overlap: each mostly waits for prices to be polled.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("4"); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// pricelake returns the binary, with the engine in the cache. Where the engine
// cannot be had the test skips; in CI it fails.
func pricelake(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts the whole stack: not with -short")
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(path, "engine", "fetch").CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no ClickHouse engine: %s", out)
		}
		t.Skipf("no ClickHouse engine on this machine: %s", out)
	}
	return path
}

// up is one running `pricelake up`.
type up struct {
	t       *testing.T
	cmd     *exec.Cmd
	dir     string
	stderr  *os.File
	Ready   app.Endpoints
	Started time.Time
	exited  chan struct{}
	err     error
}

// startUp starts `up` on a data dir and waits for its ready line.
func startUp(t *testing.T, dir string, args ...string) *up {
	t.Helper()
	u, err := tryUp(t, dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// launch starts `up` and does not wait for it to be ready. ready receives the
// ready line, or nothing if the process ends before.
func launch(t *testing.T, dir string, args ...string) (u *up, ready <-chan app.Endpoints) {
	t.Helper()
	path := pricelake(t)
	stderr, err := os.OpenFile(filepath.Join(t.ArtifactDir(), "up.stderr"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	u = &up{t: t, dir: dir, stderr: stderr, exited: make(chan struct{}), Started: time.Now()}
	u.cmd = exec.Command(path, slices.Concat([]string{"up", "--json", "--data-dir", dir}, portsOf(t, dir), args)...)
	u.cmd.Stderr = stderr
	u.cmd.Env = cleanEnv()
	stdout, err := u.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := u.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan app.Endpoints, 1)
	go func() {
		defer close(u.exited)
		defer stderr.Close()
		readReady(stdout, lines)
		u.err = u.cmd.Wait()
	}()
	t.Cleanup(u.Kill)
	return u, lines
}

// portsOf returns flags with ports that belong to the data dir for the length of
// the test binary: tests overlap, and each start would otherwise want the usual
// ones. A data dir marked by ownPorts chooses for itself.
func portsOf(t *testing.T, dir string) []string {
	t.Helper()
	if flags, ok := ports.Load(dir); ok {
		return flags.([]string)
	}
	var flags []string
	for _, service := range []string{"kafka", "registry", "clickhouse", "clickhouse-http", "admin"} {
		flags = append(flags, "--"+service+"-addr", unusualAddr(t))
	}
	ports.Store(dir, flags)
	return flags
}

func ownPorts(dir string) { ports.Store(dir, []string(nil)) }

var ports sync.Map // data dir → flags

// unusualAddr is a free address below the ports that systems hand out.
func unusualAddr(t *testing.T) string {
	t.Helper()
	for range 1000 {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(20_000+rand.IntN(10_000)))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return l.Addr().String()
	}
	t.Fatal("no free port")
	return ""
}

// readReady sends the first line and reads the rest to its end.
func readReady(stdout io.Reader, ready chan<- app.Endpoints) {
	defer close(ready)
	in := bufio.NewScanner(stdout)
	in.Buffer(nil, 1<<20)
	if in.Scan() {
		var e app.Endpoints
		if json.Unmarshal(in.Bytes(), &e) == nil && e.Event == "ready" {
			ready <- e
		}
	}
	_, _ = io.Copy(io.Discard, stdout)
}

func tryUp(t *testing.T, dir string, args ...string) (*up, error) {
	t.Helper()
	u, ready := launch(t, dir, args...)
	select {
	case e, ok := <-ready:
		if !ok {
			<-u.exited
			return u, fmt.Errorf("up ended before it was ready: %w\n%s", u.err, u.Stderr())
		}
		u.Ready = e
		return u, nil
	case <-time.After(60 * time.Second):
		u.Kill()
		return u, fmt.Errorf("up was not ready after 60 s\n%s", u.Stderr())
	}
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

// Kill ends the process as kill -9 does and waits for it.
func (u *up) Kill() {
	_ = u.cmd.Process.Kill()
	<-u.exited
}

// Stop sends SIGTERM and returns how long the end took and with what status.
func (u *up) Stop() (time.Duration, error) {
	start := time.Now()
	if err := u.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	select {
	case <-u.exited:
		return time.Since(start), u.err
	case <-time.After(30 * time.Second):
		u.Kill()
		return time.Since(start), errors.New("still running 30 s after SIGTERM")
	}
}

// Stderr returns what the process said.
func (u *up) Stderr() string {
	b, err := os.ReadFile(u.stderr.Name())
	if err != nil {
		return err.Error()
	}
	log, _ := os.ReadFile(filepath.Join(u.dir, "pricelake.log"))
	if len(log) > 4000 {
		log = log[len(log)-4000:]
	}
	return string(b) + "\n" + string(log)
}

// tool runs a pricelake command against the data dir of u and returns its
// standard output.
func (u *up) tool(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, pricelake(u.t), append(args, "--data-dir", u.dir)...)
	// Told to stop, the Go runtime says where it was.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	cmd.Env = cleanEnv()
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(out), fmt.Errorf("%v: %w: %s", args, err, exit.Stderr)
	}
	return string(out), err
}

// query asks ClickHouse over its plain HTTP interface: nothing of ours is
// between the question and the answer.
func (u *up) query(sql string) ([]map[string]any, error) {
	return queryHTTP(u.Ready, sql)
}

func queryHTTP(e app.Endpoints, sql string) ([]map[string]any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
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

// eventually waits until check passes.
func eventually(t *testing.T, within time.Duration, what string, check func() error) {
	t.Helper()
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
		log, err := os.ReadFile(filepath.Join(u.dir, "pricelake.log"))
		if err != nil {
			u.t.Fatal(err)
		}
		for line := range strings.Lines(string(log)) {
			if strings.Contains(line, "part=deduplicator") || strings.Contains(line, "part=broker") {
				u.t.Log(strings.TrimSpace(line))
			}
		}
	}
}
