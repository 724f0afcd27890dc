package kafka

import (
	"log/slog"
	"sync"
	"time"
)

// sampler logs a line that may repeat many times a second: the first of each
// kind at once, then one a period with the number of those left out. Counters
// count them all.
type sampler struct {
	log    *slog.Logger
	period time.Duration

	mu   sync.Mutex
	last map[string]time.Time
	left map[string]int
}

func newSampler(log *slog.Logger) *sampler {
	return &sampler{log: log, period: 10 * time.Second, last: make(map[string]time.Time), left: make(map[string]int)}
}

// warn logs msg, sampled by msg. The number of texts is small and fixed.
func (s *sampler) warn(msg string, args ...any) { s.warnOf(msg, msg, args...) }

// warnOf logs msg, sampled by kind.
func (s *sampler) warnOf(kind, msg string, args ...any) {
	s.mu.Lock()
	now := time.Now()
	if last, ok := s.last[kind]; ok && now.Sub(last) < s.period {
		s.left[kind]++
		s.mu.Unlock()
		return
	}
	if n := s.left[kind]; n > 0 {
		args = append(args, "repeats", n)
	}
	s.last[kind], s.left[kind] = now, 0
	s.mu.Unlock()
	s.log.Warn(msg, args...) //nolint:sloglint // the callers' texts are constants
}
