package ops

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"sort"
	"sync"
	"time"
)

// Check reports why a part is not ready, nil when it is. It must return within
// its context's deadline.
type Check func(ctx context.Context) error

// Health collects the readiness of the parts of a process. It may be used in
// parallel.
type Health struct {
	mu       sync.Mutex
	checks   map[string]Check
	notes    map[string]func() string
	draining bool
}

// NewHealth returns a Health without checks, which is ready.
func NewHealth() *Health {
	return &Health{checks: map[string]Check{}, notes: map[string]func() string{}}
}

// Add registers or replaces a check.
func (h *Health) Add(name string, c Check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks[name] = c
}

// Note registers or replaces what is said of a part that is ready all the same,
// such as that it is paused. An empty text says nothing.
func (h *Health) Note(name string, text func() string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes[name] = text
}

// Drain makes the process unready for good: the first step of a shutdown.
func (h *Health) Drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = true
}

// readiness is what /readyz answers.
type readiness struct {
	Ready   bool              `json:"ready"`
	Reasons map[string]string `json:"reasons,omitempty"`
	Notes   map[string]string `json:"notes,omitempty"`
}

const checkTimeout = 2 * time.Second

func (h *Health) readiness(ctx context.Context) readiness {
	h.mu.Lock()
	names := make([]string, 0, len(h.checks))
	checks := make(map[string]Check, len(h.checks))
	for n, c := range h.checks {
		names = append(names, n)
		checks[n] = c
	}
	notes := maps.Clone(h.notes)
	draining := h.draining
	h.mu.Unlock()
	sort.Strings(names)

	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	r := readiness{Ready: !draining, Reasons: map[string]string{}}
	if draining {
		r.Reasons["process"] = "shutting down"
	}
	for _, n := range names {
		if err := checks[n](ctx); err != nil {
			r.Ready = false
			r.Reasons[n] = err.Error()
		}
	}
	for n, text := range notes {
		if said := text(); said != "" {
			if r.Notes == nil {
				r.Notes = map[string]string{}
			}
			r.Notes[n] = said
		}
	}
	return r
}

// Ready answers 200 when every check passes, else 503 with the reasons as JSON. Notes
// are in both.
func (h *Health) Ready(w http.ResponseWriter, r *http.Request) {
	state := h.readiness(r.Context())
	w.Header().Set("Content-Type", "application/json")
	if !state.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(state) // the client went away: nobody to tell
}

// Live answers 200: the process serves requests. It never looks at
// dependencies, a restart would not mend those.
func Live(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{\"live\":true}\n"))
}
