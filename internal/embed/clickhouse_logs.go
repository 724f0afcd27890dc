package embed

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// The logs of the engine: its output, and what its logger calls errors.
const (
	childLog = "child.log"
	errorLog = "error.log"
	// logTail bounds what is read of a log.
	logTail = 32 << 10
)

// logs reads what the engine has said since its last start.
type logs struct {
	dir string

	mu   sync.Mutex
	from map[string]int64
}

func (l *logs) path(name string) string { return filepath.Join(l.dir, name) }

// mark makes this moment the start: what is in the logs is of earlier runs.
func (l *logs) mark() error {
	from := map[string]int64{}
	for _, name := range []string{childLog, errorLog} {
		if err := rotate(l.path(name)); err != nil {
			return err
		}
		info, err := os.Stat(l.path(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking at a log: %w", err)
		}
		from[name] = info.Size()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.from = from
	return nil
}

// said is the end of a log, as far as it belongs to this run.
func (l *logs) said(name string) string {
	l.mu.Lock()
	from := l.from[name]
	l.mu.Unlock()
	f, err := os.Open(l.path(name))
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	if info.Size() < from { // the engine began a new file
		from = 0
	}
	from = max(from, info.Size()-logTail)
	text, _ := io.ReadAll(io.NewSectionReader(f, from, logTail))
	return string(text)
}

// contain reports whether the engine has said text.
func (l *logs) contain(text string) bool {
	return strings.Contains(l.said(errorLog), text) || strings.Contains(l.said(childLog), text)
}

// lastWords is the last error in the logs.
func (l *logs) lastWords() string {
	for _, name := range []string{errorLog, childLog} {
		lines := strings.Split(l.said(name), "\n")
		for i := len(lines) - 1; i >= 0; i-- {
			for _, sign := range []string{"Exception", "<Error>", "<Fatal>", ChildCommand + ":"} {
				if strings.Contains(lines[i], sign) {
					line := strings.TrimSpace(lines[i])
					return line[:min(len(line), 500)]
				}
			}
		}
	}
	return "it said nothing"
}

// maxChildLog is the size from which a log starts a new file.
const maxChildLog = 1 << 20

// rotate puts a log that has grown aside, in the place of the one before.
func rotate(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Size() <= maxChildLog {
		return nil
	}
	if err := os.Rename(path, path+".1"); err != nil {
		return fmt.Errorf("rotating a log: %w", err)
	}
	return nil
}
