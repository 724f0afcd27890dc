package dedupe

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
)

// storeLog hands the store's own messages to the log.
type storeLog struct{ slog *slog.Logger }

func (l storeLog) Infof(format string, args ...any) {
	l.slog.Debug("the store says", "text", fmt.Sprintf(format, args...))
}

func (l storeLog) Errorf(format string, args ...any) {
	l.slog.Error("the store reports trouble", "text", fmt.Sprintf(format, args...))
}

// Fatalf must not return: the store calls it where going on could give a wrong
// answer. guard makes an error of it where the stage is the caller. On the
// store's own goroutines it ends the process, which is safe: what is on disk is
// a whole state, and the rest of it is in the log.
func (l storeLog) Fatalf(format string, args ...any) {
	panic(storeFailure{fmt.Sprintf(format, args...)})
}

// storeFailure is what the store says when it cannot go on.
type storeFailure struct{ text string }

func (f storeFailure) Error() string { return f.text }

// guard runs one use of the store. After a failure that the store calls fatal,
// this and every later use is an error.
func (s *state) guard(use func() error) (err error) {
	if s.failed != nil {
		return s.failed
	}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case storeFailure:
			s.failed = r
			err = r
		default:
			panic(r)
		}
	}()
	return use()
}

// openError sorts the errors of opening a store into unusable, in use, and
// worth another try.
func openError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EAGAIN): // its lock
		return fmt.Errorf("another process has it open; give every deduplicator a state directory of its own: %w", err)
	case pebble.IsCorruptionError(err), errors.Is(err, os.ErrNotExist), errors.Is(err, pebble.ErrDBDoesNotExist):
		return fmt.Errorf("%w: it is damaged: %w", errUnusable, err)
	}
	return err
}
