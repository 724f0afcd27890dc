package ops

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// written is what a logger with a Sampler wrote.
type written struct {
	metrics *prometheus.Registry
	sampler *Sampler
	log     *slog.Logger

	mu   sync.Mutex
	text bytes.Buffer
}

func newWritten(level slog.Level) *written {
	w := &written{metrics: prometheus.NewRegistry()}
	w.sampler = NewSampler(w.metrics)
	w.log = slog.New(w.sampler.Handler(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})))
	return w
}

func (w *written) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(line)
}

// lines returns how many lines hold a text.
func (w *written) lines(text string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for line := range strings.Lines(w.text.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func (w *written) want(t *testing.T, text string, n int) {
	t.Helper()
	if got := w.lines(text); got != n {
		t.Errorf("%d lines hold %q, want %d:\n%s", got, text, n, w.text.String())
	}
}

func TestSamplerSaysWhatItLeavesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWritten(slog.LevelInfo)
		lake, poller := w.log.With("part", "lake"), w.log.With("part", "poller")
		for i := range 1000 {
			lake.Warn("a record is bad", "offset", i, "err", errors.New("x"))
		}
		lake.Error("a record is bad") // another level
		poller.Warn("a record is bad")
		w.log.Info("once")
		w.want(t, `msg="a record is bad"`, sampleFirst+2)
		w.want(t, "offset=0", 1)
		w.want(t, "once", 1)
		families, err := w.metrics.Gather()
		if err != nil || len(families) != 1 || len(families[0].GetMetric()) != 1 {
			t.Fatalf("metrics: %v, %v", families, err)
		}
		if n := families[0].GetMetric()[0].GetCounter().GetValue(); n != 1000-sampleFirst {
			t.Errorf("%v lines are counted as left out, want %d", n, 1000-sampleFirst)
		}
		time.Sleep(samplePeriod + time.Millisecond)
		synctest.Wait()
		w.want(t, fmt.Sprintf(`level=WARN msg="log lines left out: they repeat" part=lake line="a record is bad" left_out=%d within=10s`, 1000-sampleFirst), 1)
		w.want(t, "left out", 1)

		// The next period begins anew, and the end of the process ends it.
		for range sampleFirst + 3 {
			lake.Warn("a record is bad")
		}
		w.want(t, `msg="a record is bad"`, 2*sampleFirst+2)
		w.sampler.Flush()
		w.want(t, "left_out=3", 1)
		w.sampler.Flush()
		w.want(t, "left out", 2)
	})
}

func TestSamplerIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWritten(slog.LevelInfo)
		for range 60 {
			for range 100 {
				w.log.Warn("again")
			}
			time.Sleep(time.Second)
		}
		w.sampler.Flush()
		if n, most := w.lines("again"), 7*(sampleFirst+1); n > most {
			t.Errorf("%d lines in a minute, want at most %d", n, most)
		}
		left := 0
		for line := range strings.Lines(w.text.String()) {
			if _, number, ok := strings.Cut(line, "left_out="); ok {
				var n int
				if _, err := fmt.Sscan(number, &n); err != nil {
					t.Fatal(err)
				}
				left += n
			}
		}
		if said := left + w.lines("msg=again"); said != 6000 {
			t.Errorf("of 6000 lines %d were written or said to be left out", said)
		}
		if len(w.sampler.kinds) > 0 {
			t.Errorf("%d kinds are remembered after their period", len(w.sampler.kinds))
		}
	})
}

func TestSamplerLetsDebuggingAlone(t *testing.T) {
	w := newWritten(slog.LevelDebug)
	for range 100 {
		w.log.WithGroup("g").Debug("detail")
	}
	w.want(t, "detail", 100)
	for range 100 {
		w.log.WithGroup("g").Info("news", "k", 1)
	}
	w.want(t, "g.k=1", sampleFirst)
	w.sampler.Flush()
}

func TestSamplerInParallel(t *testing.T) {
	w := newWritten(slog.LevelInfo)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				w.log.Warn("again")
			}
		})
	}
	all.Wait()
	w.sampler.Flush()
	w.want(t, "msg=again", sampleFirst)
	w.want(t, fmt.Sprintf("left_out=%d", 800-sampleFirst), 1)
}

func BenchmarkSamplerLeavesOut(b *testing.B) {
	w := newWritten(slog.LevelInfo)
	for b.Loop() {
		w.log.Warn("again", "offset", 1)
	}
	w.sampler.Flush()
}
