package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// progressEvery is the least time between two states of a progress line.
const progressEvery = 100 * time.Millisecond

// progressLine shows how far a command is on one line of a terminal, and nothing
// anywhere else. It may be used in parallel.
type progressLine struct {
	w    io.Writer
	mu   sync.Mutex
	last time.Time
	long int
}

// newProgress returns nil, which shows nothing, unless w is a terminal.
func newProgress(w io.Writer) *progressLine {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &progressLine{w: w}
	}
	return nil
}

// show replaces the line, unless it was replaced just now.
func (p *progressLine) show(format string, args ...any) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.last) < progressEvery {
		return
	}
	p.last = time.Now()
	text := fmt.Sprintf(format, args...)
	fmt.Fprintf(p.w, "\r%-*s", p.long, text)
	p.long = max(p.long, len(text))
}

// done takes the line away.
func (p *progressLine) done() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.long > 0 {
		fmt.Fprintf(p.w, "\r%*s\r", p.long, "")
		p.long = 0
	}
}
