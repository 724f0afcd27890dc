package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks/lake"
)

// RebuildOptions say what to load anew.
type RebuildOptions struct {
	Table      string
	Partitions []int32 // of the topic; all when empty
	// FromMonth and ToMonth, as 202601, bound the partitions of the table; 0 is
	// no bound.
	FromMonth, ToMonth int
	// Accept: swap although the new rows differ from the old ones. DryRun:
	// compare and swap nothing. Restart: give up a rebuild that was interrupted.
	Accept, DryRun, Restart bool
	// By is who pauses the role lake.
	By string
	// Step, when set, is told what begins; Progress how far the loading is.
	Step     func(text string)    `json:"-"`
	Progress func(VerifyProgress) `json:"-"`
}

// RebuildReport is what a rebuild found and did.
type RebuildReport struct {
	Table   string `json:"table"`
	Epoch   uint32 `json:"epoch"`
	Resumed bool   `json:"resumed"`
	// Loaded records are in the shadow, Refused ones cannot be rows.
	Loaded  int64            `json:"loaded"`
	Refused int64            `json:"refused"`
	Days    []lake.Day       `json:"days"`
	Equal   bool             `json:"equal"`
	Swapped []lake.Swap      `json:"swapped"`
	Plan    lake.RebuildPlan `json:"plan"`
	// Healed rows were written by the role lake during a swap, and again after it.
	Healed int64 `json:"healed"`
}

// ErrDiffers is what Rebuild ends with before the swap when the new rows are not
// the old ones and that was not accepted.
var ErrDiffers = errors.New("the rebuilt rows differ from those of the table")

// Rebuild loads the covered ranges of a table anew from its topic, compares and
// swaps. One that was interrupted goes on; one that runs is waited for.
func (a *App) Rebuild(ctx context.Context, opts RebuildOptions) (report RebuildReport, err error) {
	l, err := lake.Open(a.lakeConfig(migratorAccount))
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	r := rebuilder{app: a, opts: opts, lake: l, report: &report}
	if r.log, err = a.kafkaLog(); err != nil {
		return report, err
	}
	if r.admin, err = kafka.NewAdmin(a.kafkaConfig("rebuild")); err != nil {
		return report, err
	}
	defer r.admin.Close()
	waiting := func() {
		r.step("waiting for another rebuild: one runs, or was killed less than %v ago, or this account may not join the group %s", a.settings.Config.Kafka.SessionTimeout, rebuildGroup)
	}
	err = a.alone(ctx, waiting, r.run) // fills the report
	return report, err
}

type rebuilder struct {
	app    *App
	opts   RebuildOptions
	lake   *lake.Lake
	log    *kafka.Log
	admin  *kafka.Admin
	table  lake.Table
	open   *lake.Rebuild
	report *RebuildReport
}

func (r *rebuilder) run(ctx context.Context) error {
	if err := r.begin(ctx); err != nil {
		return err
	}
	r.report.Table, r.report.Epoch, r.report.Plan = r.table.Name, r.open.Epoch, r.open.Plan
	r.step("loading %s anew from %s, epoch %d", r.table.Name, r.table.Topic, r.open.Epoch)
	if err := r.load(ctx); err != nil {
		return err
	}
	if err := r.open.Loaded(ctx); err != nil {
		return err
	}
	r.step("comparing, day by day")
	gone, err := r.gone(ctx)
	if err != nil {
		return err
	}
	if r.report.Days, err = r.open.Compare(ctx, gone); err != nil {
		return err
	}
	r.report.Equal = !slices.ContainsFunc(r.report.Days, func(d lake.Day) bool { return !d.Equal })
	switch {
	case r.opts.DryRun:
		return r.open.Drop(ctx)
	case !r.report.Equal && !r.opts.Accept:
		return fmt.Errorf("%w: nothing is swapped; run the command again with --accept to take the new ones, or with --dry-run to drop them", ErrDiffers)
	}
	if err := r.swap(ctx); err != nil {
		return err
	}
	return r.open.Done(ctx)
}

// begin finds the rebuild to go on with, or makes a plan for a new one.
func (r *rebuilder) begin(ctx context.Context) (err error) {
	if r.table, err = lake.Rebuildable(r.opts.Table); err != nil {
		return err
	}
	answer, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := r.lake.Ping(answer); err != nil {
		return err
	}
	plan, err := r.plan(answer)
	if err != nil {
		return err
	}
	if r.open, err = r.lake.OpenRebuild(ctx, r.table.Name); err != nil {
		return err
	}
	if r.open != nil && r.opts.Restart {
		if err := r.open.Drop(ctx); err != nil {
			return err
		}
		r.open = nil
	}
	if r.open == nil {
		r.open, err = r.lake.BeginRebuild(ctx, plan)
		return err
	}
	if !r.open.Plan.Same(plan) {
		return fmt.Errorf("a rebuild of %s that covers something else was interrupted: run it again with its own flags, or with --restart to give it up", r.table.Name)
	}
	if err := r.open.Fits(ctx); err != nil {
		return err
	}
	r.report.Resumed = true
	r.step("going on with the rebuild that was interrupted")
	return r.open.Prepare(ctx)
}

// plan is what the log and the group say now.
func (r *rebuilder) plan(ctx context.Context) (lake.RebuildPlan, error) {
	plan := lake.RebuildPlan{Table: r.table.Name, Topic: r.table.Topic, FromMonth: r.opts.FromMonth, ToMonth: r.opts.ToMonth, Transform: lake.Transform}
	id, _, err := r.log.Describe(ctx, r.table.Topic)
	if err != nil {
		return plan, err
	}
	plan.TopicID = schemas.ID(id).String()
	positions, err := r.admin.Positions(ctx, lakeGroup, r.table.Topic)
	if err != nil {
		return plan, err
	}
	covered := 0
	for _, p := range positions {
		c := lake.Coverage{Partition: p.Partition, First: p.First, Next: max(p.First, min(p.Committed, p.End)),
			Covered: len(r.opts.Partitions) == 0 || slices.Contains(r.opts.Partitions, p.Partition)}
		if c.Covered {
			covered++
		}
		plan.Coverage = append(plan.Coverage, c)
	}
	if covered < max(1, len(r.opts.Partitions)) {
		return plan, fmt.Errorf("topic %s has %d partitions, not all of %v", r.table.Topic, len(positions), r.opts.Partitions)
	}
	return plan, nil
}

func (r *rebuilder) step(format string, args ...any) {
	if r.opts.Step != nil {
		r.opts.Step(fmt.Sprintf(format, args...))
	}
}

// swap replaces the partitions of the table while the role lake is paused.
func (r *rebuilder) swap(ctx context.Context) error {
	months, err := r.open.Months(ctx)
	if err != nil {
		return err
	}
	gone, err := r.gone(ctx)
	if err != nil {
		return err
	}
	if err := r.open.Swapping(ctx); err != nil {
		return err
	}
	// Everything is staged while the role works; the pause is as short as the
	// copy of the newest rows.
	var staged []lake.Swap
	for _, month := range months {
		r.step("putting month %d together", month)
		s, err := r.open.Stage(ctx, month, gone)
		if err != nil {
			return err
		}
		staged = append(staged, s)
	}
	// A rebuild that was killed may have swapped everything and proven nothing.
	if len(staged) > 0 || r.report.Resumed {
		if err := r.replace(ctx, staged); err != nil {
			return err
		}
	}
	return r.resume(ctx)
}

// gone returns the first retained offsets.
func (r *rebuilder) gone(ctx context.Context) (map[int32]int64, error) {
	positions, err := r.admin.Positions(ctx, lakeGroup, r.table.Topic)
	if err != nil {
		return nil, err
	}
	first := map[int32]int64{}
	for _, p := range positions {
		first[p.Partition] = p.First
	}
	return first, nil
}

func (r *rebuilder) replace(ctx context.Context, staged []lake.Swap) error {
	if err := r.pause(ctx); err != nil {
		return err
	}
	for _, s := range staged {
		if err := r.hit(failpoint.RebuildSwap); err != nil {
			return err
		}
		r.step("swapping month %d: %d rows loaded, %d kept", s.Month, s.Loaded, s.Kept)
		if err := r.open.Replace(ctx, s); err != nil {
			return err
		}
		r.report.Swapped = append(r.report.Swapped, s)
		if err := r.hit(failpoint.RebuildSwapped); err != nil {
			return err
		}
	}
	return r.heal(ctx)
}

func (r *rebuilder) hit(p failpoint.Point) error { return r.app.settings.Failpoints.Hit(p) }

func (r *rebuilder) logger() *slog.Logger {
	return r.app.log.With("part", "rebuild", "table", r.table.Name)
}
