package ops

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Group supervises long-running parts: the first to end stops all. The zero
// value is ready; Add everything before Run.
type Group struct {
	parts []part
}

type part struct {
	name string
	run  func(context.Context) error
}

// Add registers a part. run must return when its context ends.
func (g *Group) Add(name string, run func(context.Context) error) {
	g.parts = append(g.parts, part{name: name, run: run})
}

// Run starts every part, waits for all of them and returns the errors of those
// that failed, each with its part's name. A part that returns, with or without
// an error, ends the others; a cancelled ctx ends all and is no error.
func (g *Group) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(g.parts))
	var wg sync.WaitGroup
	for i, p := range g.parts {
		wg.Go(func() {
			defer cancel()
			err := p.run(ctx)
			stopped := ctx.Err() != nil && errors.Is(err, context.Canceled)
			if err != nil && !stopped {
				errs[i] = fmt.Errorf("running %s: %w", p.name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
