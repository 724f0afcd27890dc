package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pricelake/pricelake/schemas/avro"
)

// waits is what the roles of a process wait for at the moment. It may be used in
// parallel.
type waits struct {
	mu  sync.Mutex
	all []*wait
}

type wait struct {
	role, what string
	err        error
}

func (w *waits) add(one *wait) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, one)
}

func (w *waits) drop(one *wait) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = slices.DeleteFunc(w.all, func(other *wait) bool { return other == one })
}

func (w *waits) failed(one *wait, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one.err = err
}

// of returns why a role waits, nil when it does not, or has not tried yet.
func (w *waits) of(role string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var reasons []string
	for _, one := range w.all {
		if one.err != nil && (one.role == role || one.role == "") {
			reasons = append(reasons, "for "+one.what+": "+one.err.Error())
		}
	}
	if len(reasons) == 0 {
		return nil
	}
	return errors.New("waiting " + strings.Join(reasons, "; "))
}

// roleOf is how what a role does on its way to work knows for whom it waits.
type roleOf struct{}

func withRole(ctx context.Context, role string) context.Context {
	return context.WithValue(ctx, roleOf{}, role)
}

// lastTry bounds one try of await where the wait is for an answer of a server: one
// that hangs is asked again, and named.
const lastTry = 10 * time.Second

// sayEvery is the least time between two lines that say the same is the matter.
const sayEvery = 10 * time.Second

// bounded makes a try of await end by itself.
func bounded(try func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, lastTry)
		defer cancel()
		return try(ctx)
	}
}

// await tries until it works or ctx ends, with a growing pause, and says once in
// a while what it waits for; the role is not ready until then, for that reason. A
// role whose servers are away waits; it does not crash in a loop.
func (a *App) await(ctx context.Context, what string, try func(context.Context) error) error {
	role, _ := ctx.Value(roleOf{}).(string)
	now := &wait{role: role, what: what}
	a.waits.add(now)
	defer a.waits.drop(now)
	pause := 50 * time.Millisecond
	said := time.Time{}
	for {
		err := try(ctx)
		if err == nil {
			if !said.IsZero() {
				a.log.Info("no longer waiting", "part", role, "for", what)
			}
			return nil
		}
		a.waits.failed(now, err)
		if time.Since(said) > sayEvery && pause > time.Second {
			said = time.Now()
			a.log.Warn("waiting", "part", role, "for", what, "err", err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("waiting for %s: %w", what, errors.Join(ctx.Err(), err))
		case <-timer.C:
		}
		pause = min(pause*2, 2*time.Second)
	}
}

// follow refreshes what this process knows of a server, once a period, until ctx
// ends. A server that is away leaves it as it was; that is said at once, then once
// in a while, and when it is over.
func follow(ctx context.Context, log *slog.Logger, what string, every time.Duration, refresh func(context.Context) error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var said time.Time
	stale := false // and said so
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := refresh(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && (said.IsZero() || time.Since(said) > sayEvery):
			said, stale = time.Now(), true
			log.Warn("not refreshed, trying again", "what", what, "err", err)
		case err == nil && stale:
			stale = false
			log.Info("refreshed again", "what", what)
		}
	}
}

// awaitTopics waits until Kafka answers and has the topics. A client that joins a
// group without them would wait too, and say nothing.
func (a *App) awaitTopics(ctx context.Context, topics ...string) error {
	log, err := a.kafkaLog()
	if err != nil {
		return err
	}
	return a.await(ctx, "Kafka and its topics", bounded(func(ctx context.Context) error {
		for _, topic := range topics {
			if _, _, err := log.Describe(ctx, topic); err != nil {
				return err
			}
		}
		return nil
	}))
}

// codec prepares the codec of one topic, waiting for the registry.
func codec[T any](ctx context.Context, a *App, topic string) (*avro.Codec[T], error) {
	c, err := avro.NewCodec[T](topic, a.registry)
	if err != nil {
		return nil, err
	}
	err = a.await(ctx, "the schema registry", bounded(func(ctx context.Context) error {
		err := c.Prepare(ctx)
		if errors.Is(err, avro.ErrNotFound) {
			return fmt.Errorf("this binary's schema of %q is not registered: run `pricelake schemas register` (%w)", topic, err)
		}
		return err
	}))
	if err != nil {
		return nil, fmt.Errorf("preparing the codec of %q: %w", topic, err)
	}
	return c, nil
}
