package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/pricelake/pricelake/sinks/lake"
)

// rebuildReason begins the reason of the pause that a rebuild asks for. A rebuild
// that goes on after a kill knows its own pause by it.
const rebuildReason = "rebuild of "

// pause pauses the role lake, unless somebody has, and waits until it is at rest.
func (r *rebuilder) pause(ctx context.Context) error {
	switched, err := r.app.roleSwitches(ctx)
	if err != nil {
		return err
	}
	if !switched[lake.Role].Paused {
		r.step("pausing the role lake")
		_, err = r.app.SwitchRole(ctx, lake.Role, true, r.opts.By, rebuildReason+r.table.Name+"; it goes on by itself, or run `pricelake rebuild "+r.table.Name+"` again")
		if err != nil {
			return err
		}
	}
	return r.atRest(ctx)
}

// resume ends the pause if it is that of a rebuild of the table.
func (r *rebuilder) resume(ctx context.Context) error {
	switched, err := r.app.roleSwitches(ctx)
	if err != nil {
		return err
	}
	if s := switched[lake.Role]; !s.Paused || !strings.HasPrefix(s.Reason, rebuildReason+r.table.Name+";") {
		return nil
	}
	r.step("resuming the role lake")
	_, err = r.app.SwitchRole(ctx, lake.Role, false, r.opts.By, "")
	return err
}

// restFor is how long the group must not have committed anything to count as at
// rest: twice what a process takes to hear of a pause, and to finish a block.
const restFor = 3 * switchesRefresh

// atRest waits until the group commits nothing any more.
func (r *rebuilder) atRest(ctx context.Context) error {
	var last []int64
	since := time.Now()
	for {
		positions, err := r.admin.Positions(ctx, lakeGroup, r.table.Topic)
		if err != nil {
			return err
		}
		now := make([]int64, len(positions))
		for i, p := range positions {
			now[i] = p.Committed
		}
		if !slices.Equal(now, last) {
			last, since = now, time.Now()
		}
		if time.Since(since) >= restFor {
			return nil
		}
		timer := time.NewTimer(waitStep)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}
