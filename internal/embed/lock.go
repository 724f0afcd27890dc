package embed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// lockPatience is how long LockDir waits for a lock that is held: a process
// killed a moment ago needs a few milliseconds to let go of it.
const lockPatience = 300 * time.Millisecond

// Lock is the exclusive use of a data directory. The operating system drops
// it when the process ends, however it ends.
type Lock struct {
	dir  string
	file *flock.Flock
}

// LockDir makes the data directory (mode 0700) if it is missing and takes it
// for this process. When another process has it the error is one sentence
// that names the directory, that process and what to do.
func LockDir(dir string) (*Lock, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "lock")
	file := flock.New(path, flock.SetPermissions(0o600))
	deadline := time.Now().Add(lockPatience)
	for {
		ok, err := file.TryLock()
		if err != nil {
			return nil, fmt.Errorf("locking data directory %q: %w", dir, err)
		}
		if ok {
			break
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(heldError(dir, path), file.Close())
		}
		time.Sleep(10 * time.Millisecond)
	}
	// In place, not by rename: the lock is on this very file.
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("locking data directory %q: %w", dir, err), file.Close())
	}
	if err := removeTemporaries(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("tidying data directory %q: %w", dir, err), file.Close())
	}
	return &Lock{dir: dir, file: file}, nil
}

func heldError(dir, path string) error {
	holder := "another process"
	if data, err := os.ReadFile(path); err == nil {
		if pid := strings.TrimSpace(string(data)); pid != "" {
			holder = "process " + pid
		}
	}
	return fmt.Errorf("data directory %q is in use by %s: stop that one, or choose another directory with --data-dir", dir, holder)
}

// Dir is the locked data directory.
func (l *Lock) Dir() string { return l.dir }

// Close gives the data directory back. The lock file stays: removing it would
// let two processes lock two files of one name.
func (l *Lock) Close() error { return l.file.Close() }
