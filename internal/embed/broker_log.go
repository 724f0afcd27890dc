//go:build !noembed && unix

package embed

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
)

// brokerLog passes the broker's warnings on and remembers the first failed
// write: the broker itself goes on as if nothing had happened.
type brokerLog struct {
	logger *slog.Logger
	failed chan struct{} // closed at the first failed write

	once sync.Once
	err  error // valid when failed is closed
}

func newBrokerLog(logger *slog.Logger) *brokerLog {
	return &brokerLog{logger: logger, failed: make(chan struct{})}
}

// Logf implements kfake.Logger.
func (l *brokerLog) Logf(level kfake.LogLevel, format string, args ...any) {
	if level > kfake.LogLevelWarn || level == kfake.LogLevelNone {
		return
	}
	text := fmt.Sprintf(format, args...)
	switch {
	case isWriteFailure(text):
	case strings.Contains(text, "corrupt"):
		// The end of a log that a kill cut off: what was acknowledged is
		// before it.
		l.logger.Warn("broker", "message", text)
		return
	default:
		l.logger.Debug("broker", "message", text)
		return
	}
	l.fail(text)
}

// fail takes down that a write failed.
func (l *brokerLog) fail(text string) {
	l.logger.Error("the broker could not write", "message", text)
	l.once.Do(func() {
		l.err = fmt.Errorf("the broker could not write to its log (%s): free some space, then start again", text)
		close(l.failed)
	})
}

// isWriteFailure knows the messages of a write that failed by their beginnings.
func isWriteFailure(text string) bool {
	for _, start := range []string{"persist ", "save session state", "endTx: failed to persist", "compact ", "rebuildSegments "} {
		if strings.HasPrefix(text, start) {
			return true
		}
	}
	return false
}

// failure is the first failed write, nil as long as there is none.
func (l *brokerLog) failure() error {
	select {
	case <-l.failed:
		return l.err
	default:
		return nil
	}
}
