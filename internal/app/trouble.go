package app

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/pricelake/pricelake/sinks"
)

// trouble is why a role that has worked does not work at the moment. It may be
// used in parallel.
type trouble struct {
	mu  sync.Mutex
	err error
}

// report takes the outcome of a piece of work. What the sink refuses and what an
// ended assignment cut off say nothing of the server.
func (t *trouble) report(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	if _, refused := sinks.Refused(err); refused {
		err = nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = err
}

func (t *trouble) now() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// watchedStore reports how the work of a store goes.
type watchedStore struct {
	sinks.Store
	trouble *trouble
}

func (s watchedStore) Write(ctx context.Context, b sinks.Block) error {
	err := s.Store.Write(ctx, b)
	s.trouble.report(ctx, err)
	return err
}

func (s watchedStore) Present(ctx context.Context, r sinks.Range) (sinks.Offsets, error) {
	present, err := s.Store.Present(ctx, r)
	s.trouble.report(ctx, err)
	return present, err
}

func (s watchedStore) Fence(ctx context.Context, p sinks.Partition) error {
	err := s.Store.Fence(ctx, p)
	s.trouble.report(ctx, err)
	return err
}

// starting makes the process unready until the role works; the reason is what
// it waits for.
func (a *App) starting(role string) {
	a.health.Add(role, func(context.Context) error {
		if err := a.waits.of(role); err != nil {
			return fmt.Errorf("starting, %w", err)
		}
		return errStarting
	})
}

var errStarting = errors.New("starting")

// working is called by a role that has all it needs.
func (a *App) working(role string) { a.workingUnless(role, func() error { return nil }) }

// workingUnless is working for a role that can tell when it is held up later. It
// is unready then, so that whoever looks sees why; it goes on by itself.
func (a *App) workingUnless(role string, trouble func() error) {
	a.health.Add(role, func(context.Context) error {
		if err := trouble(); err != nil {
			return fmt.Errorf("held up, trying again: %w", err)
		}
		return nil
	})
}
