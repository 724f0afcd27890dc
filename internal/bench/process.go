package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Usage is what a process has used since it started.
type Usage struct {
	CPU time.Duration // user and system
	// PeakRSS is the most memory that was resident at any time, in bytes.
	PeakRSS uint64
}

// Process is a child of this one.
type Process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // valid then
}

// startProcess starts a command whose output goes to a file.
func startProcess(name string, argv, env []string, log string) (*Process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	defer func() { _ = out.Close() }()
	p := &Process{name: name, log: log, cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, out, out
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// await calls ready until it returns nil, for at most patience.
func (p *Process) await(ctx context.Context, patience time.Duration, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.done:
			return p.ended()
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w; see %s", p.name, err, p.log)
		}
	}
}

// ended is the error of a process that ended by itself.
func (p *Process) ended() error {
	return fmt.Errorf("%s ended by itself: %w: %s", p.name, errors.Join(errEnded, p.err), lastLines(p.log))
}

var errEnded = errors.New("nobody told it to")

func lastLines(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	text = text[max(0, len(text)-2000):]
	return strings.TrimSpace(string(text))
}

// Usage returns what the process has used so far.
func (p *Process) Usage() (Usage, error) {
	u, err := usageOf(p.cmd.Process.Pid)
	if err != nil {
		return u, fmt.Errorf("asking what %s has used: %w", p.name, err)
	}
	return u, nil
}

// stopPatience is how long a process may take to end after SIGTERM.
const stopPatience = 15 * time.Second

// Stop ends the process and waits for it. The error says that it did not end
// well.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	t := time.NewTimer(stopPatience)
	defer t.Stop()
	select {
	case <-p.done:
	case <-t.C:
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("stopping %s: it did not end within %v and was killed", p.name, stopPatience)
	}
	var exit *exec.ExitError
	if errors.As(p.err, &exit) && !exit.Exited() {
		return nil // by the signal itself, before it was listened for
	}
	if p.err != nil {
		return fmt.Errorf("stopping %s: %w: %s", p.name, p.err, lastLines(p.log))
	}
	return nil
}
