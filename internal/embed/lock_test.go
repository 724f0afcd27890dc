package embed_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/embed"
)

func TestLockDirIsExclusive(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "data")
	lock, err := embed.LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("mode of the data directory: %v, %v; want 0700", info.Mode(), err)
	}

	_, err = embed.LockDir(dir)
	if err == nil {
		t.Fatal("a second lock was given")
	}
	for _, want := range []string{dir, fmt.Sprintf("process %d", os.Getpid()), "--data-dir"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the refusal %q does not name %q", err, want)
		}
	}

	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := embed.LockDir(dir)
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLockDirTightensAndTidies(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(dir, ".registry.json.123.tmp")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	lock, err := embed.LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, want 0700", info.Mode().Perm())
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("what a crash left is still there: %v", err)
	}
}
