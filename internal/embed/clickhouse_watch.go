package embed

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

const (
	probeInterval = time.Second
	// deafProbes is how many refused connections in a row mean that the
	// listeners are gone, though the process lives.
	deafProbes   = 3
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 10 * time.Second
	// giveUpAfter is how long Run tries to bring the engine back.
	giveUpAfter = 2 * time.Minute
)

// Run watches the engine until ctx ends and returns nil then; it does not stop
// it. An engine that ends or no longer listens is started again on the same
// ports with the same data, with growing pauses; the error says that it did
// not come back for two minutes.
func (c *ClickHouse) Run(ctx context.Context) error {
	for {
		if err := c.awaitTrouble(ctx); err == nil {
			return nil
		} else if err := c.revive(ctx, err); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// awaitTrouble returns nil when ctx ends or Stop was called, else what is
// wrong with the engine, which is gone then.
func (c *ClickHouse) awaitTrouble(ctx context.Context) error {
	c.mu.Lock()
	ch := c.child
	c.mu.Unlock()
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for refused := 0; refused < deafProbes; {
		select {
		case <-ctx.Done():
			return nil
		case <-ch.done:
			if c.isStopped() {
				return nil
			}
			return fmt.Errorf("ClickHouse (process %d) ended by itself: %w", ch.pid, orUnknown(ch.err))
		case <-tick.C:
		}
		if errors.Is(errors.Join(dialable(ctx, c.native), dialable(ctx, c.http)), syscall.ECONNREFUSED) {
			refused++
		} else {
			refused = 0
		}
	}
	if c.isStopped() {
		return nil
	}
	ch.kill()
	<-ch.done
	return fmt.Errorf("ClickHouse (process %d) had stopped listening", ch.pid)
}

func orUnknown(err error) error {
	if err == nil {
		return errors.New("with status 0")
	}
	return err
}

// revive starts a new child in place of the one that is gone.
func (c *ClickHouse) revive(ctx context.Context, why error) error {
	c.setUnready(why)
	c.cfg.Logger.Error("ClickHouse is down and is started again", "error", why, "said", c.logs.lastWords())
	pause := firstBackoff
	for began := time.Now(); ; pause = min(2*pause, lastBackoff) {
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		err := c.launch(ctx)
		switch {
		case err == nil:
			c.mu.Lock()
			c.restarts++
			c.mu.Unlock()
			c.cfg.Logger.Info("ClickHouse is back", "pid", c.Pid())
			return c.stopIfStopped(ctx)
		case ctx.Err() != nil:
			return nil
		case time.Since(began) > giveUpAfter:
			return fmt.Errorf("ClickHouse did not come back: %w", err)
		}
		c.setUnready(err)
		c.cfg.Logger.Error("ClickHouse did not start", "error", err)
	}
}

// stopIfStopped ends a child that came up after Stop was called.
func (c *ClickHouse) stopIfStopped(ctx context.Context) error {
	if c.isStopped() {
		return c.Stop(ctx)
	}
	return nil
}

func (c *ClickHouse) isStopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopped
}

func (c *ClickHouse) setUnready(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unready = err
}

// Ready is nil while the engine answers, and otherwise says why not.
func (c *ClickHouse) Ready() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unready
}

// Restarts counts how often Run has brought the engine back.
func (c *ClickHouse) Restarts() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.restarts
}
