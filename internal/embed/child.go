//go:build !noembed && unix

package embed

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/creack/pty"
)

// childRecord is how a later start recognises a child left behind by this one.
type childRecord struct {
	PID   int    `json:"pid"`
	Start string `json:"start"`
}

// child is a running ClickHouse process.
type child struct {
	pid      int
	terminal *os.File // its standard input; the end of it ends the server
	lifeline *os.File
	record   string
	done     chan struct{}
	err      error // how it ended, valid when done is closed
}

// spawn starts argv with a terminal as its standard input, in a session of its
// own, its output in the file logPath, and records it in recordPath. Of our
// environment, which may hold secrets, it sees the variables named in pass.
func spawn(argv []string, dir, logPath, recordPath string, pass []string) (*child, error) {
	output, err := openLog(logPath)
	if err != nil {
		return nil, err
	}
	defer func() { _ = output.Close() }()
	master, slave, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("opening a terminal for ClickHouse: %w", err)
	}
	defer func() { _ = slave.Close() }()
	lifeline, ours, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening a lifeline for ClickHouse: %w", err), master.Close())
	}
	defer func() { _ = lifeline.Close() }()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + filepath.Join(dir, "data", "tmp"), "TERM=dumb", "TZ=UTC", "LC_ALL=C",
		"CLICKHOUSE_WATCHDOG_ENABLE=0"} // no process between us and the server
	for _, name := range pass {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, output, output
	cmd.ExtraFiles = []*os.File{lifeline} // becomes lifelineFD
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	dieWithThread(cmd.SysProcAttr)
	c := &child{terminal: master, lifeline: ours, record: recordPath, done: make(chan struct{})}
	if err := c.start(cmd); err != nil {
		return nil, errors.Join(fmt.Errorf("starting %q: %w", argv[0], err), master.Close(), ours.Close())
	}
	return c, nil
}

// start runs the command on an operating system thread that lives exactly as
// long as the child: the kernel's parent-death signal belongs to the thread.
func (c *child) start(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this function
		err := cmd.Start()
		if err == nil {
			c.pid = cmd.Process.Pid
			err = writeJSON(c.record, childRecord{PID: c.pid, Start: processStart(c.pid)})
			if err != nil {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}
		}
		started <- err
		if err != nil {
			return
		}
		c.err = cmd.Wait()
		_ = c.terminal.Close()
		_ = c.lifeline.Close()
		_ = os.Remove(c.record)
		close(c.done)
	}()
	return <-started
}

// stop ends the child: politely, and after patience by force. It returns when
// the child is gone.
func (c *child) stop(polite func(*child), patience time.Duration) {
	polite(c)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
		c.kill()
	}
	<-c.done
}

// endOfInput tells the library's server to stop.
func endOfInput(c *child) { _, _ = c.terminal.Write([]byte{4}) }

// terminate tells a stand-alone server to stop.
func terminate(c *child) { c.signal(syscall.SIGTERM) }

func (c *child) kill() { c.signal(syscall.SIGKILL) }

func (c *child) signal(sig syscall.Signal) {
	select {
	case <-c.done:
	default:
		_ = syscall.Kill(c.pid, sig)
	}
}

// endPredecessor kills a child that an earlier process left behind and waits
// until it is gone. A process that merely has the recorded pid is left alone.
func endPredecessor(recordPath string) error {
	var rec childRecord
	if found, err := readJSON(recordPath, &rec); err != nil || !found {
		return nil // a record that cannot be read was never finished; its child died with its parent
	}
	if rec.PID <= 1 || rec.Start == "" || processStart(rec.PID) != rec.Start {
		return nil
	}
	if err := syscall.Kill(rec.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("ending the ClickHouse process %d of an earlier run: %w", rec.PID, err)
	}
	for deadline := time.Now().Add(10 * time.Second); processStart(rec.PID) == rec.Start; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("the ClickHouse process %d of an earlier run does not end: end it by hand, then start again", rec.PID)
		}
	}
	return nil
}

// openLog opens a log to append to.
func openLog(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening a log: %w", err)
	}
	return f, nil
}
