//go:build !noembed && unix

package embed

import (
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func sleeper(t *testing.T) (*exec.Cmd, chan error) {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return cmd, ended
}

func TestPredecessorIsEnded(t *testing.T) {
	cmd, ended := sleeper(t)
	record := filepath.Join(t.TempDir(), "child.json")
	if err := writeJSON(record, childRecord{PID: cmd.Process.Pid, Start: processStart(cmd.Process.Pid)}); err != nil {
		t.Fatal(err)
	}
	if err := endPredecessor(record); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the predecessor lives on")
	}
}

func TestAStrangerWithTheSamePidIsLeftAlone(t *testing.T) {
	cmd, ended := sleeper(t)
	defer func() {
		_ = cmd.Process.Kill()
		<-ended
	}()
	dir := t.TempDir()
	for name, rec := range map[string]any{
		"other start": childRecord{PID: cmd.Process.Pid, Start: "another boot/1"},
		"no start":    childRecord{PID: cmd.Process.Pid},
		"init":        childRecord{PID: 1, Start: processStart(1)},
		"not JSON":    "x",
	} {
		record := filepath.Join(dir, "child.json")
		if err := writeJSON(record, rec); err != nil {
			t.Fatal(err)
		}
		if err := endPredecessor(record); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := syscall.Kill(cmd.Process.Pid, 0); err != nil {
			t.Fatalf("%s: the stranger was ended", name)
		}
	}
	if err := endPredecessor(filepath.Join(dir, "none.json")); err != nil {
		t.Errorf("no record: %v", err)
	}
}
