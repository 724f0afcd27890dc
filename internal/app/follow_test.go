package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// broker is away or not, and hears what is said of it.
type broker struct {
	mu        sync.Mutex
	away      bool
	refreshes int
	said      bytes.Buffer
}

func (b *broker) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.said.Write(line)
}

func (b *broker) refresh(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refreshes++
	if b.away {
		return errors.New("away")
	}
	return nil
}

// during returns what is said in a time, and how often the view was refreshed.
func (b *broker) during(d time.Duration, away bool) (said string, refreshes int) {
	b.mu.Lock()
	b.away, b.refreshes = away, 0
	b.said.Reset()
	b.mu.Unlock()
	time.Sleep(d)
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.said.String(), b.refreshes
}

// A server that is away is said at once, again once in a while and once when it
// is over, however often the server is asked.
func TestFollowRepeatsItselfSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(broker)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			follow(ctx, slog.New(slog.NewTextHandler(b, nil)), "the catalog", 500*time.Millisecond, b.refresh)
		}()
		f := func(d time.Duration, away bool, failed, over int) {
			t.Helper()
			said, refreshes := b.during(d, away)
			if n := strings.Count(said, "not refreshed"); n != failed {
				t.Errorf("%d lines say that it is away, want %d:\n%s", n, failed, said)
			}
			if n := strings.Count(said, "refreshed again"); n != over {
				t.Errorf("%d lines say that it is back, want %d:\n%s", n, over, said)
			}
			if refreshes != int(d/(500*time.Millisecond)) {
				t.Errorf("%d refreshes in %v", refreshes, d)
			}
		}
		time.Sleep(time.Millisecond) // between two refreshes
		f(time.Minute, false, 0, 0)
		f(time.Second, true, 1, 0)
		f(time.Minute, true, 5, 0)
		f(time.Minute, false, 0, 1)
		lines := 0
		for i := range 80 { // one that comes and goes
			said, _ := b.during(500*time.Millisecond, i%2 == 0)
			lines += strings.Count(said, "\n")
		}
		if lines < 2 || lines > 2*5 {
			t.Errorf("%d lines in 40 s of a broker that comes and goes", lines)
		}
		cancel()
		<-done
	})
}
