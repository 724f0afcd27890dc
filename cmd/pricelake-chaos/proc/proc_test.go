//go:build unix

package proc

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start starts a shell script that is ready once it has written its pid.
func start(t *testing.T, script string) *Process {
	t.Helper()
	return startArmed(t, script, nil)
}

func startArmed(t *testing.T, script string, arm func() []string) *Process {
	t.Helper()
	dir := t.TempDir()
	ready := filepath.Join(dir, "ready")
	p, err := Start(Spec{Name: "sh", Argv: []string{"/bin/sh", "-c", script}, Dir: dir, Log: filepath.Join(dir, "logs", "log"), Pause: 10 * time.Millisecond,
		Env: os.Environ(), Arm: arm, Ready: func(context.Context) error { _, err := os.Stat(ready); return err }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(5 * time.Second) })
	return p
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

func TestKilledComesBack(t *testing.T) {
	p := start(t, "touch ready; exec sleep 60")
	if err := p.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := p.Pid()
	if !p.Kill() {
		t.Fatal("it was not running")
	}
	await(t, "another process", func() bool { pid := p.Pid(); return pid != 0 && pid != first })
	if c := p.Counts(); c.Kills != 1 || c.Starts != 2 || len(c.Unasked) != 0 {
		t.Errorf("counted %+v", c)
	}
}

func TestEndByItselfIsNoted(t *testing.T) {
	p := start(t, "test -f ready && exec sleep 60; touch ready; exit 7")
	await(t, "the second start", func() bool { return p.Counts().Starts == 2 })
	if c := p.Counts(); len(c.Unasked) != 1 || !strings.Contains(c.Unasked[0], "7") {
		t.Errorf("counted %+v", c)
	}
}

// TestArmedEndIsNoSurprise: a process that was told to kill itself is counted as
// killed. One that was not is not.
func TestArmedEndIsNoSurprise(t *testing.T) {
	var starts atomic.Int64
	p := startArmed(t, `touch ready; test -n "$DIE" && kill -9 $$; test -f second && exec sleep 60; touch second; kill -9 $$`, func() []string {
		if starts.Add(1) == 2 {
			return []string{"DIE=1"}
		}
		return nil
	})
	await(t, "the third start", func() bool { return p.Counts().Starts == 3 && p.Pid() != 0 })
	if c := p.Counts(); c.Kills != 1 || len(c.Unasked) != 1 {
		t.Errorf("counted %+v, want one kill and one end that nobody caused", c)
	}
}

func TestFrozenIsStoppedAndThawed(t *testing.T) {
	p := start(t, "touch ready; exec sleep 60")
	// A shell whose child is stopped between vfork and exec waits for it in state
	// D, and is not stopped itself before that goes on.
	if err := p.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	pid := p.Pid()
	if !p.Freeze() {
		t.Fatal("it was not running")
	}
	await(t, "the frozen process", func() bool { return state(pid) == "T" })
	p.Thaw()
	await(t, "the thawed process", func() bool { return state(pid) != "T" })
	if u, ok := UsageOf(pid); !ok || u.RSS == 0 || u.Files == 0 {
		t.Errorf("it uses %+v (%t)", u, ok)
	}
	p.Freeze()
	if p.Stop(10 * time.Second) {
		t.Error("a frozen process had to be killed to stop")
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the process is still there: %v", err)
	}
	if p.Kill() || p.Freeze() || p.Pid() != 0 {
		t.Error("a process that is gone was killed or frozen")
	}
}

// state is the state of a process, as in ps.
func state(pid int) string {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return rest[:1]
}

func TestDeafProcessIsForced(t *testing.T) {
	p := start(t, "trap '' TERM; touch ready; while :; do sleep 0.05; done")
	if err := p.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !p.Stop(100 * time.Millisecond) {
		t.Error("it ended though it is deaf")
	}
}

func TestStartSaysWhatIsMissing(t *testing.T) {
	if _, err := Start(Spec{Name: "none", Argv: []string{"/no/such/program"}, Log: filepath.Join(t.TempDir(), "log")}); err == nil {
		t.Error("a program that is not there was started")
	}
	p := start(t, "exec sleep 60")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := p.AwaitReady(ctx); err == nil || !strings.Contains(err.Error(), "log") {
		t.Errorf("a process that is never ready: %v", err)
	}
}
