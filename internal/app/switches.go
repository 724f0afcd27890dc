package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
)

// switchesRefresh is how often a process looks whether a role was paused.
const switchesRefresh = time.Second

// switches is this process' view of roles.v1: which roles are paused. It may be
// used in parallel.
type switches struct {
	app    *App
	reader topicReader

	mu      sync.Mutex
	last    map[string]schemas.RoleSwitched
	changed chan struct{} // closed and replaced at every change
	loaded  chan struct{} // closed once what was in the log has been read
}

func newSwitches(a *App) *switches {
	return &switches{
		app: a, reader: topicReader{open: a.streamLog, topic: schemas.TopicRoles},
		last: map[string]schemas.RoleSwitched{}, changed: make(chan struct{}), loaded: make(chan struct{}),
	}
}

// run reads the log and keeps the view fresh until ctx ends.
func (s *switches) run(ctx context.Context) error {
	if err := s.app.await(ctx, "the switches of the roles, in "+schemas.TopicRoles, s.refresh); err != nil {
		return s.app.stopped(ctx, err)
	}
	close(s.loaded)
	follow(ctx, s.app.log.With("part", "switches"), "the switches of the roles", switchesRefresh, s.refresh)
	return nil
}

// refresh reads what was appended since the last refresh.
func (s *switches) refresh(ctx context.Context) error {
	return s.reader.read(ctx, func(news appended) error {
		last, err := s.app.switchesOf(ctx, news.records)
		if err != nil {
			return err
		}
		s.apply(last, news.whole)
		return nil
	})
}

// switchesOf returns the last switch of each role among records. One that cannot
// be read is passed over: the role is as it was.
func (a *App) switchesOf(ctx context.Context, records []stream.Record) (map[string]schemas.RoleSwitched, error) {
	dec, err := avro.NewCodec[schemas.RoleSwitched](schemas.TopicRoles, a.registry)
	if err != nil {
		return nil, err
	}
	last := map[string]schemas.RoleSwitched{}
	for i := range records {
		r := &records[i]
		if r.Value == nil {
			last[string(r.Key)] = schemas.RoleSwitched{Role: string(r.Key)}
			continue
		}
		var s schemas.RoleSwitched
		err := dec.Decode(ctx, r.Value, &s)
		if errors.Is(err, avro.ErrBadRecord) {
			a.log.Error("switch of a role cannot be read and is passed over", "part", "switches", "role", string(r.Key), "offset", r.Offset, "err", err)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("decoding the switch of role %q at offset %d: %w", r.Key, r.Offset, err)
		}
		last[s.Role] = s
	}
	return last, nil
}

// apply takes the last switches of some roles, of all there are if whole.
func (s *switches) apply(last map[string]schemas.RoleSwitched, whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if whole {
		for role := range s.last {
			if _, switched := last[role]; !switched {
				last[role] = schemas.RoleSwitched{Role: role}
			}
		}
	}
	for role, now := range last {
		if before := s.last[role]; before.Paused != now.Paused {
			log := s.app.log.With("part", "switches", "role", role, "by", now.SwitchedBy, "at", now.SwitchedAt, "reason", now.Reason)
			if now.Paused {
				log.Info("role paused: it finishes what it has in hand and takes nothing new")
			} else {
				log.Info("role resumed")
			}
		}
		s.last[role] = now
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *switches) of(role string) (schemas.RoleSwitched, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[role], s.changed
}

// roleGate is closed while a role is paused. It is what the loops and the
// scheduler ask.
type roleGate struct {
	switches *switches
	role     string
}

// Paused implements kafka.Gate.
func (g roleGate) Paused() (bool, <-chan struct{}) {
	s, changed := g.switches.of(g.role)
	return s.Paused, changed
}

// gate returns the gate of a role, once it is known whether the role is paused:
// a pause survives the restart of every process.
func (a *App) gate(ctx context.Context, role string) (roleGate, error) {
	select {
	case <-a.switches.loaded:
		return roleGate{a.switches, role}, nil
	case <-ctx.Done():
		return roleGate{}, ctx.Err()
	}
}

// observe shows on /readyz and /metrics that a role of this process is paused. A
// paused role is ready: that is how it was told to be.
func (s *switches) observe(role string) {
	s.app.health.Note(role, func() string { return pausedText(first(s.of(role))) })
	s.app.metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "pricelake_role_paused",
		Help:        "1 while the role is paused and takes nothing new, else 0.",
		ConstLabels: prometheus.Labels{"role": role},
	}, func() float64 {
		if first(s.of(role)).Paused {
			return 1
		}
		return 0
	}))
}

func first(s schemas.RoleSwitched, _ <-chan struct{}) schemas.RoleSwitched { return s }

// pausedText says why a role stands still; empty when it does not.
func pausedText(s schemas.RoleSwitched) string {
	if !s.Paused {
		return ""
	}
	text := fmt.Sprintf("paused by %s at %s", s.SwitchedBy, s.SwitchedAt.Format(time.RFC3339))
	if s.Reason != "" {
		text += ": " + s.Reason
	}
	return text + fmt.Sprintf("; `pricelake resume %s` ends it", s.Role)
}
