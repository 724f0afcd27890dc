package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// part is one process of ours.
type part struct {
	name   string
	log    string // path of its standard error
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // valid when exited is closed
}

var lives atomic.Int64 // numbers the logs of processes

// startPart starts a binary whose standard output read takes to its end. It ends
// with the test at the latest; a data race it reported fails the test.
func startPart(t *testing.T, name, binary string, env []string, read func(io.Reader), args ...string) *part {
	t.Helper()
	p := &part{name: name, exited: make(chan struct{}), log: filepath.Join(t.ArtifactDir(), fmt.Sprintf("%s-%d.log", name, lives.Add(1)))}
	stderr, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(binary, args...)
	p.cmd.Env = env
	p.cmd.Stderr = stderr
	dieWithThread(p.cmd)
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error)
	go func() {
		// The process dies with the thread that started it, which is never let go
		// of and so ends with this function or with all tests.
		runtime.LockOSThread()
		defer close(p.exited)
		defer func() { _ = stderr.Close() }()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			read(stdout)
			p.err = p.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		said, err := os.ReadFile(p.log)
		if err != nil {
			t.Error(err)
		}
		if _, race, found := bytes.Cut(said, []byte("WARNING: DATA RACE")); found {
			t.Errorf("%s has a data race:%s", name, race[:min(len(race), 6000)])
		}
	})
	return p
}

func discard(r io.Reader) { _, _ = io.Copy(io.Discard, r) }

func (p *part) signalKill() { _ = p.cmd.Process.Kill() }

// kill ends the process as kill -9 does and waits for it.
func (p *part) kill() {
	p.signalKill()
	<-p.exited
}

// tells ends the process and returns what it said last: of each of its goroutines
// where it was.
func (p *part) tells() string {
	if err := p.cmd.Process.Signal(syscall.SIGQUIT); err == nil {
		_ = p.ended(10 * time.Second)
	}
	said, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(said[max(0, len(said)-(64<<10)):])
}

func (p *part) terminate() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}

// ended waits for the end and returns what was wrong with it.
func (p *part) ended(within time.Duration) error {
	select {
	case <-p.exited:
	case <-time.After(within):
		p.kill()
		return fmt.Errorf("%s still ran %s after SIGTERM", p.name, within)
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w", p.name, p.err)
	}
	return nil
}

// command runs a binary to its end and returns its standard output.
func command(binary string, env []string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	// Told to stop, the Go runtime says where it was.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	cmd.Env = env
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(out), fmt.Errorf("%v: %w: %s", args, err, exit.Stderr)
	}
	return string(out), err
}
