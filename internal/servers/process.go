package servers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// startPatience is for a machine whose cores are busy with other tests.
	startPatience = 3 * time.Minute
	stopPatience  = 30 * time.Second
	// shownLines of a log are enough to see why a server ended.
	shownLines = 60
)

// server is what the servers have in common: a process that can be ended and
// started again.
type server struct {
	t    testing.TB
	name string
	dir  string
	log  string // path
	// argv is asked at each start.
	argv func() []string
	// ready says nil once the server answers.
	ready func() error
	// said is the length of the log at the last start.
	said int

	mu   sync.Mutex
	proc *process
}

// process is one life of a server.
type process struct {
	pid  int
	done chan struct{}
	err  error // valid when done is closed
}

// Dir is where the server keeps its data.
func (s *server) Dir() string { return s.dir }

// Log is everything the server has said so far, in all its lives.
func (s *server) Log() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// lastLog is what the server has said in its present life.
func (s *server) lastLog() string {
	text := s.Log()
	return text[min(s.said, len(text)):]
}

// Pid is the server's process, 0 when it does not run.
func (s *server) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return 0
	}
	return s.proc.pid
}

// Start starts the server, again on the same ports with the same data, and
// returns when it answers. It fails the test when it does not.
func (s *server) Start() {
	s.t.Helper()
	if err := s.start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) start() error {
	s.said = len(s.Log())
	p, err := spawn(s.argv(), s.log)
	if err != nil {
		return fmt.Errorf("starting %s: %w", s.name, err)
	}
	s.mu.Lock()
	s.proc = p
	s.mu.Unlock()
	deadline := time.Now().Add(startPatience)
	for {
		err := s.ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended during its start: %w\n%s", s.name, orUnknown(p.err), s.errors())
		default:
			time.Sleep(10 * time.Millisecond)
		}
		if time.Now().After(deadline) {
			s.Kill()
			return fmt.Errorf("%s does not answer after %s: %w\n%s", s.name, startPatience, err, s.errors())
		}
	}
}

func orUnknown(err error) error {
	if err == nil {
		return errors.New("with status 0")
	}
	return err
}

// Kill ends the server as kill -9 does and returns when it is gone. A server
// that does not run is left so.
func (s *server) Kill() { s.end(syscall.SIGKILL) }

// Stop tells the server to end and returns when it is gone; one that takes 30 s
// fails the test and is killed.
func (s *server) Stop() {
	s.t.Helper()
	if !s.end(syscall.SIGTERM) {
		s.t.Errorf("%s still ran %s after SIGTERM", s.name, stopPatience)
	}
}

// Pause freezes the server, as a machine that hangs does; connections stay open.
func (s *server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume lets a frozen server go on.
func (s *server) Resume() { s.signal(syscall.SIGCONT) }

func (s *server) signal(sig syscall.Signal) {
	if pid := s.Pid(); pid != 0 {
		_ = syscall.Kill(pid, sig)
	}
}

// end reports whether the process ended in time; it is gone in any case.
func (s *server) end(sig syscall.Signal) (inTime bool) {
	s.mu.Lock()
	p := s.proc
	s.proc = nil
	s.mu.Unlock()
	if p == nil {
		return true
	}
	_ = syscall.Kill(p.pid, sig)
	late := time.NewTimer(stopPatience)
	defer late.Stop()
	select {
	case <-p.done:
		return true
	case <-late.C:
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
		<-p.done
		return false
	}
}

// tail is the end of the log.
func (s *server) tail() string {
	lines := strings.Split(strings.TrimSpace(s.Log()), "\n")
	return strings.Join(lines[max(0, len(lines)-shownLines):], "\n")
}

// errors are the lines of the log that say what went wrong.
func (s *server) errors() string {
	var lines []string
	for line := range strings.Lines(s.Log()) {
		if strings.Contains(line, "ERROR") || strings.Contains(line, "FATAL") || strings.Contains(line, "Exception: ") || strings.HasPrefix(line, "pricelake:") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[:min(len(lines), shownLines)], "")
}

// close ends the server with its test.
func (s *server) close() {
	s.Kill()
	if s.t.Failed() {
		s.t.Logf("the last of %s (all of it is in %s):\n%s", s.name, s.log, s.tail())
	}
}

// spawn starts argv with its output appended to a file. The process dies with
// this one: the kernel's parent-death signal belongs to the thread that started
// it, which therefore lives as long.
func spawn(argv []string, log string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithThread(cmd.SysProcAttr)
	p := &process{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this function
		defer close(p.done)
		defer func() { _ = out.Close() }()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}
