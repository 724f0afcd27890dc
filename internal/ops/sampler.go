package ops

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Of each kind of log line, this many are written in a period; a line says how
// many more there were. A kind is a level, a text and a part.
const (
	sampleFirst  = 5
	samplePeriod = 10 * time.Second
)

// Sampler thins out log lines that repeat, such as those of every record of a
// batch. What it leaves out is counted. It may be used in parallel.
type Sampler struct {
	left *prometheus.CounterVec

	running sync.WaitGroup // periods
	mu      sync.Mutex
	kinds   map[lineKind]*linePeriod // of the periods that run
}

type lineKind struct {
	level      slog.Level
	text, part string
}

// linePeriod counts the lines of a kind from the first one on.
type linePeriod struct {
	sampler *Sampler
	kind    lineKind
	root    slog.Handler // to say what was left out
	end     *time.Timer

	written, left int // guarded by sampler.mu
}

// NewSampler returns a Sampler and registers its metric.
func NewSampler(reg prometheus.Registerer) *Sampler {
	s := &Sampler{
		left: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pricelake_log_lines_left_out_total",
			Help: "Log lines that were not written because they repeat.",
		}, []string{"level"}),
		kinds: make(map[lineKind]*linePeriod),
	}
	reg.MustRegister(s.left)
	return s
}

// Handler returns a handler that passes on to next what is to be written. Debug
// lines all are.
func (s *Sampler) Handler(next slog.Handler) slog.Handler {
	return sampled{Handler: next, sampler: s, root: next}
}

// Flush ends all periods: it says now what was left out. Call it when nothing is
// logged any more.
func (s *Sampler) Flush() {
	s.mu.Lock()
	for _, p := range s.kinds {
		if p.end.Stop() { // else it is ending
			go p.over()
		}
	}
	s.mu.Unlock()
	s.running.Wait()
}

// sampled is a handler with what loggers made of it have bound.
type sampled struct {
	slog.Handler
	sampler *Sampler
	root    slog.Handler // with nothing bound
	part    string
}

// Handle implements slog.Handler.
func (h sampled) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo && !h.sampler.pass(h, lineKind{r.Level, r.Message, h.part}) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h sampled) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		if a.Key == "part" {
			h.part = a.Value.String()
		}
	}
	h.Handler = h.Handler.WithAttrs(attrs)
	return h
}

// WithGroup implements slog.Handler.
func (h sampled) WithGroup(name string) slog.Handler {
	h.Handler = h.Handler.WithGroup(name)
	return h
}

// pass counts a line and reports whether it is written.
func (s *Sampler) pass(h sampled, kind lineKind) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.kinds[kind]
	if p == nil {
		p = &linePeriod{sampler: s, kind: kind, root: h.root}
		s.kinds[kind] = p
		s.running.Add(1)
		p.end = time.AfterFunc(samplePeriod, p.over)
	}
	if p.written < sampleFirst {
		p.written++
		return true
	}
	p.left++
	s.left.WithLabelValues(strings.ToLower(kind.level.String())).Inc()
	return false
}

// over ends the period and says what was left out in it.
func (p *linePeriod) over() {
	defer p.sampler.running.Done()
	p.sampler.mu.Lock()
	left := p.left
	delete(p.sampler.kinds, p.kind)
	p.sampler.mu.Unlock()
	if left == 0 {
		return
	}
	r := slog.NewRecord(time.Now(), p.kind.level, "log lines left out: they repeat", 0)
	if p.kind.part != "" {
		r.AddAttrs(slog.String("part", p.kind.part))
	}
	r.AddAttrs(slog.String("line", p.kind.text), slog.Int("left_out", left), slog.Duration("within", samplePeriod))
	_ = p.root.Handle(context.Background(), r) // as slog does with an error of its handler
}
