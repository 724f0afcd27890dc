package app

import (
	"context"
	"errors"
	"fmt"
)

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
