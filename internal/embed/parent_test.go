//go:build !noembed && unix

package embed_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/embed"
	"github.com/pricelake/pricelake/internal/embed/embedtest"
)

// parentEnv makes the test binary a small program that owns an engine in the
// directory it names, to be killed by a test.
const parentEnv = "EMBED_TEST_PARENT"

// owned is what such a program says when its engine is ready.
type owned struct {
	PID      int
	HTTP     string
	Password string
}

func parentMain() int {
	if os.Getenv(loopEnv) != "" {
		return commitLoop(os.Getenv(parentEnv))
	}
	ch, err := own(os.Getenv(parentEnv))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	line, _ := json.Marshal(owned{PID: ch.Pid(), HTTP: ch.HTTPURL(), Password: ch.Owner().Password})
	fmt.Println(string(line))
	select {}
}

func own(dir string) (*embed.ClickHouse, error) {
	ctx := context.Background()
	if _, err := embed.LockDir(dir); err != nil {
		return nil, err
	}
	addresses, err := embed.OpenAddresses(dir)
	if err != nil {
		return nil, err
	}
	engine, _, err := embed.Locate(ctx)
	if err != nil {
		return nil, err
	}
	return embed.StartClickHouse(ctx, embed.ClickHouseConfig{
		DataDir: dir, Engine: engine, Addresses: addresses, Logger: slog.New(slog.DiscardHandler),
		ChildCommand: strings.Fields(os.Getenv("EMBED_TEST_CHILD")),
	})
}

// startParent starts the program; without wait it returns before the engine is
// ready.
func startParent(t *testing.T, dir string, wait bool) (*exec.Cmd, owned) {
	t.Helper()
	_, child, err := embedtest.Engine(t.Context())
	if err != nil {
		embedtest.Missing(t, err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), parentEnv+"="+dir, "EMBED_TEST_CHILD="+strings.Join(child, " "))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { killParent(cmd) })
	var ready owned
	if wait {
		line, err := bufio.NewReader(out).ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(line, &ready)
		}
		if err != nil {
			t.Fatalf("the program said %q: %v", line, err)
		}
	}
	return cmd, ready
}

// killParent is kill -9 of the program, and not of its child.
func killParent(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

func alive(pid int) bool {
	state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if os.IsNotExist(err) {
		return false
	}
	if err != nil { // a system without /proc
		return syscall.Kill(pid, 0) == nil
	}
	return !strings.Contains(string(state), ") Z ")
}

func TestKilledParentLeavesNoOrphan(t *testing.T) {
	dir := t.TempDir()
	parent, engine := startParent(t, dir, true)
	as := embed.Credentials{User: "pricelake", Password: engine.Password}
	ask(t, engine.HTTP, as, "CREATE TABLE pricelake.t (n UInt64) ENGINE = MergeTree ORDER BY n")
	ask(t, engine.HTTP, as, "INSERT INTO pricelake.t SELECT number FROM numbers(1000)")
	slow := make(chan struct{})
	go func() {
		defer close(slow)
		_, _ = tryAsk(context.Background(), engine.HTTP, as, "SELECT sleepEachRow(1) FROM numbers(60) SETTINGS function_sleep_max_microseconds_per_block=100000000")
	}()
	await(t, "the slow query runs", func() bool {
		return ask(t, engine.HTTP, as, "SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow(1)%'") == "2"
	})

	killParent(parent)
	died := time.Now()
	await(t, "the child is gone", func() bool { return !alive(engine.PID) })
	// The end of its input alone would take it 5 s, with a query running.
	if took := time.Since(died); took > 4*time.Second {
		t.Errorf("the child lived on for %v", took)
	}
	<-slow

	_, again := startParent(t, dir, true)
	if again.Password != engine.Password || again.HTTP != engine.HTTP {
		t.Errorf("address and password %+v, were %+v", again, engine)
	}
	if got := ask(t, again.HTTP, as, "SELECT count() FROM pricelake.t"); got != "1000" {
		t.Errorf("%s rows, want 1000", got)
	}
}

func TestRestartsAtOnceAfterKill(t *testing.T) {
	dir := t.TempDir()
	for round := range 10 {
		parent, engine := startParent(t, dir, true)
		as := embed.Credentials{User: "pricelake", Password: engine.Password}
		if round == 0 {
			ask(t, engine.HTTP, as, "CREATE TABLE pricelake.t (n UInt64) ENGINE = MergeTree ORDER BY n")
		}
		ask(t, engine.HTTP, as, fmt.Sprintf("INSERT INTO pricelake.t VALUES (%d)", round))
		if got, want := ask(t, engine.HTTP, as, "SELECT count() FROM pricelake.t"), fmt.Sprint(round+1); got != want {
			t.Fatalf("round %d: %s rows, want %s", round, got, want)
		}
		killParent(parent)
	}
}

// A kill at any moment of the very first start leaves a directory that the next
// start takes.
func TestKilledDuringTheFirstStart(t *testing.T) {
	for delay := time.Duration(0); delay <= 120*time.Millisecond; delay += 20 * time.Millisecond {
		dir := filepath.Join(t.TempDir(), "data")
		parent, _ := startParent(t, dir, false)
		time.Sleep(delay)
		killParent(parent)
		next, engine := startParent(t, dir, true)
		as := embed.Credentials{User: "pricelake", Password: engine.Password}
		if got := ask(t, engine.HTTP, as, "SELECT 1"); got != "1" {
			t.Errorf("killed after %v: the next start answers %q", delay, got)
		}
		killParent(next)
	}
}
