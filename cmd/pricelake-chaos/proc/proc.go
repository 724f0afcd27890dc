//go:build unix

// Package proc keeps processes running that are killed again and again: it
// starts them, restarts what ended, freezes and thaws, and leaves none behind.
package proc

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Spec is a process to keep running.
type Spec struct {
	Name string
	Argv []string
	// Env is the whole environment.
	Env []string
	// Arm, asked before each start, returns a few variables more; a process
	// that gets any may end itself by SIGKILL. May be nil.
	Arm func() []string
	Dir string
	// Log is a file that output is appended to.
	Log string
	// Ready says whether a process that was started does its work. Nil: it does
	// as soon as it runs.
	Ready func(context.Context) error
	// Also names further processes that are part of this one but not in its
	// group: they get the same signals. May be nil.
	Also func() []int
	// Pause is how long to wait after an end before the next start.
	Pause time.Duration
}

// Process is one supervised process. Safe for parallel use.
type Process struct {
	spec Spec

	mu      sync.Mutex
	cmd     *exec.Cmd
	exited  chan struct{} // closed when cmd has ended
	stopped bool          // no more starts
	frozen  bool
	starts  int
	kills   int
	// unasked are ends that nobody caused.
	unasked []string
	killed  bool // the end of cmd is our doing
	armed   bool // cmd may end itself
	mayEnd  bool // for reasons that were given to it

	quit chan struct{}
	done chan struct{}
}

// Start starts the process and keeps it running until Stop or Kill with stay.
func Start(spec Spec) (*Process, error) {
	p := &Process{spec: spec, quit: make(chan struct{}), done: make(chan struct{})}
	if err := os.MkdirAll(filepath.Dir(spec.Log), 0o700); err != nil {
		return nil, fmt.Errorf("making the log folder of %s: %w", spec.Name, err)
	}
	first := make(chan error, 1)
	go p.run(first)
	if err := <-first; err != nil {
		<-p.done
		return nil, err
	}
	return p, nil
}

// run is the life of the process over all its restarts. It stays on one thread:
// the kernel's parent-death signal belongs to the thread that started the child.
func (p *Process) run(first chan<- error) {
	runtime.LockOSThread() // and never unlocked: the thread ends with this function
	defer close(p.done)
	for {
		err := p.launch()
		if first != nil {
			first <- err
			first = nil
			if err != nil {
				return
			}
		}
		if err == nil {
			p.wait()
		}
		pause := time.NewTimer(p.spec.Pause)
		select {
		case <-p.quit:
			pause.Stop()
			return
		case <-pause.C:
		}
		p.mu.Lock()
		stopped := p.stopped
		p.mu.Unlock()
		if stopped {
			return
		}
	}
}

func (p *Process) launch() error {
	log, err := os.OpenFile(p.spec.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", p.spec.Name, err)
	}
	defer func() { _ = log.Close() }()
	armed := false
	cmd := exec.Command(p.spec.Argv[0], p.spec.Argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.spec.Dir, log, log
	cmd.Env = p.spec.Env
	if p.spec.Arm != nil {
		more := p.spec.Arm()
		cmd.Env, armed = append(slices.Clone(cmd.Env), more...), len(more) > 0
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithThread(cmd.SysProcAttr)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return fmt.Errorf("starting %s: it was stopped", p.spec.Name)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", p.spec.Name, err)
	}
	p.cmd, p.exited, p.killed, p.frozen, p.armed = cmd, make(chan struct{}), false, false, armed
	p.starts++
	return nil
}

func (p *Process) wait() {
	err := p.cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	// What it started goes with it.
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	switch {
	case p.killed || p.stopped || p.mayEnd:
	case p.armed && endedBy(p.cmd, syscall.SIGKILL):
		p.kills++
	default:
		p.unasked = append(p.unasked, fmt.Sprintf("%s ended by itself: %v", p.spec.Name, err))
	}
	close(p.exited)
}

func endedBy(cmd *exec.Cmd, s syscall.Signal) bool {
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == s
}

// MayEnd says whether an end of the process is no surprise for now.
func (p *Process) MayEnd(may bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mayEnd = may
}

// Name is the name given in Spec.
func (p *Process) Name() string { return p.spec.Name }

// signal sends a signal to the process group; the caller holds the lock.
func (p *Process) signal(s syscall.Signal) bool {
	select {
	case <-p.exited:
		return false
	default:
	}
	if p.spec.Also != nil {
		for _, pid := range p.spec.Also() {
			_ = syscall.Kill(pid, s)
		}
	}
	return syscall.Kill(-p.cmd.Process.Pid, s) == nil
}

// Kill ends the process with SIGKILL; it is started again. False: it was not
// running.
func (p *Process) Kill() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.killed = true
	if !p.signal(syscall.SIGKILL) {
		return false
	}
	p.kills++
	return true
}

// Freeze stops the process with SIGSTOP. False: it was not running.
func (p *Process) Freeze() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = p.signal(syscall.SIGSTOP)
	return p.frozen
}

// Thaw lets a frozen process go on.
func (p *Process) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen {
		p.signal(syscall.SIGCONT)
		p.frozen = false
	}
}

// Stop ends the process for good: with SIGTERM, and after patience by force. It
// returns when the process is gone and says whether force was needed.
func (p *Process) Stop(patience time.Duration) (forced bool) {
	p.mu.Lock()
	if !p.stopped {
		p.stopped = true
		close(p.quit)
		p.signal(syscall.SIGCONT)
		p.signal(syscall.SIGTERM)
	}
	p.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
		return false
	case <-timer.C:
	}
	p.mu.Lock()
	p.signal(syscall.SIGKILL)
	p.mu.Unlock()
	<-p.done
	return true
}

// Counts are what happened to a process.
type Counts struct {
	Starts, Kills int
	// Unasked are ends that this program did not cause.
	Unasked []string
}

// Counts returns what happened so far.
func (p *Process) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Counts{Starts: p.starts, Kills: p.kills, Unasked: append([]string(nil), p.unasked...)}
}

// Pid is the id of the process that runs now; 0 when none does.
func (p *Process) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.exited:
		return 0
	default:
		return p.cmd.Process.Pid
	}
}

// AwaitReady waits until the process does its work.
func (p *Process) AwaitReady(ctx context.Context) error {
	if p.spec.Ready == nil {
		return nil
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := p.spec.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w (its log is %s)", p.spec.Name, err, p.spec.Log)
		case <-tick.C:
		}
	}
}
