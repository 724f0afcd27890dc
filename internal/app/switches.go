package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	app *App

	refreshing sync.Mutex // one reader of the log at a time
	next       int64      // guarded by refreshing

	mu      sync.Mutex
	last    map[string]schemas.RoleSwitched
	changed chan struct{} // closed and replaced at every change
	loaded  chan struct{} // closed once what was in the log has been read
}

func newSwitches(a *App) *switches {
	return &switches{app: a, last: map[string]schemas.RoleSwitched{}, changed: make(chan struct{}), loaded: make(chan struct{})}
}

// run reads the log and keeps the view fresh until ctx ends.
func (s *switches) run(ctx context.Context) error {
	if err := s.app.await(ctx, "the switches of the roles, in "+schemas.TopicRoles, s.refresh); err != nil {
		return s.app.stopped(ctx, err)
	}
	close(s.loaded)
	follow(ctx, s.app.log, "the switches of the roles", switchesRefresh, s.refresh)
	return nil
}

// refresh reads what was appended since the last refresh.
func (s *switches) refresh(ctx context.Context) error {
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	log, err := s.app.kafkaLog()
	if err != nil {
		return err
	}
	tp := stream.TopicPartition{Topic: schemas.TopicRoles}
	_, end, err := log.Bounds(ctx, tp)
	if err != nil {
		return fmt.Errorf("reading the end of %q: %w", tp.Topic, err)
	}
	if end <= s.next {
		return nil
	}
	next, last, err := readSwitches(ctx, log, s.app.registry, s.next, s.app.log)
	if err != nil {
		return err
	}
	s.next = next
	s.apply(last)
	return nil
}

// readSwitches returns the last switch of each role among the records from an
// offset on. One that cannot be read is passed over: the role is as it was.
func readSwitches(ctx context.Context, log stream.Log, registry *avro.Client, from int64, logger *slog.Logger) (next int64, last map[string]schemas.RoleSwitched, err error) {
	dec, err := avro.NewCodec[schemas.RoleSwitched](schemas.TopicRoles, registry)
	if err != nil {
		return 0, nil, err
	}
	last = map[string]schemas.RoleSwitched{}
	tp := stream.TopicPartition{Topic: schemas.TopicRoles}
	next, err = log.ReadCommitted(ctx, tp, from, func(r stream.Record) error {
		if r.Value == nil {
			last[string(r.Key)] = schemas.RoleSwitched{Role: string(r.Key)}
			return nil
		}
		var s schemas.RoleSwitched
		err := dec.Decode(ctx, r.Value, &s)
		if errors.Is(err, avro.ErrBadRecord) {
			logger.Error("switch of a role cannot be read and is passed over", "role", string(r.Key), "offset", r.Offset, "err", err)
			return nil
		}
		if err != nil {
			return fmt.Errorf("decoding the switch of role %q at offset %d: %w", r.Key, r.Offset, err)
		}
		last[s.Role] = s
		return nil
	})
	if err != nil {
		return 0, nil, fmt.Errorf("reading %q: %w", schemas.TopicRoles, err)
	}
	return next, last, nil
}

func (s *switches) apply(last map[string]schemas.RoleSwitched) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for role, now := range last {
		if before := s.last[role]; before.Paused != now.Paused {
			log := s.app.log.With("role", role, "by", now.SwitchedBy, "at", now.SwitchedAt, "reason", now.Reason)
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
