package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/sinks/lake"
)

func (c *cli) rebuildCommand() *cobra.Command {
	var opts app.RebuildOptions
	var from, to string
	cmd := &cobra.Command{
		Use:   "rebuild TABLE",
		Short: "Load a table anew from its topic, compare, and swap what the log still holds",
		Long: `Loads what the log holds of a table's topic into a table beside it, under a new
epoch of the lake, compares the two day by day, and replaces the rows that were
loaded anew, a month at a time. Readers see the old rows or the new ones, never a
part. Rows whose records the log no longer holds stay as they are.

If the new rows differ from the old ones nothing is swapped: it says on which days
and how many; run it again with --accept. A rebuild that was interrupted, or
that waits for --accept, goes on where it was when it is run again.

The role lake is paused for the seconds of the swap. The account is that of
clickhouse.migrator_user, which needs more rights than a migration: see
docs/operations.md. The disk needs room for a copy of the months covered.`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: []string{"prices", "prices_rejected", "polls", "responses", "dead_letters"},
		Example: examples("pricelake rebuild prices --dry-run", "pricelake rebuild prices --accept",
			"pricelake rebuild prices --from 2026-01 --to 2026-02 --partition 3"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if _, err = lake.Rebuildable(args[0]); err == nil {
				opts.FromMonth, err = month("from", from)
			}
			if err == nil {
				opts.ToMonth, err = month("to", to)
			}
			if err != nil {
				return usageError{err}
			}
			opts.Table, opts.By = args[0], operator()
			return c.rebuild(cmd, opts)
		},
	}
	f := cmd.Flags()
	f.Int32SliceVar(&opts.Partitions, "partition", nil, "only this partition of the topic (repeatable)")
	f.StringVar(&from, "from", "", "only months from this one on, as 2026-01")
	f.StringVar(&to, "to", "", "only months up to this one, as 2026-02")
	f.BoolVar(&opts.Accept, "accept", false, "swap although the new rows differ from the old ones")
	f.BoolVar(&opts.DryRun, "dry-run", false, "load and compare, then drop what was loaded")
	f.BoolVar(&opts.Restart, "restart", false, "give up the rebuild that was interrupted, and begin anew")
	return cmd
}

func month(flag, text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	t, err := time.Parse("2006-01", text)
	if err != nil {
		return 0, fmt.Errorf("--%s %s: write a month as 2026-01", flag, text)
	}
	return t.Year()*100 + int(t.Month()), nil
}

func (c *cli) rebuild(cmd *cobra.Command, opts app.RebuildOptions) error {
	a, err := c.open()
	if err != nil {
		return err
	}
	defer a.Close()
	line := newProgress(c.stderr)
	opts.Step = func(text string) {
		line.done()
		fmt.Fprintf(c.stderr, "pricelake: %s\n", text)
	}
	opts.Progress = func(p app.VerifyProgress) {
		line.show("%s[%d]: %d of %d offsets", p.Topic, p.Partition, p.Done, p.Total)
	}
	report, err := a.Rebuild(cmd.Context(), opts)
	line.done()
	if err != nil && !errors.Is(err, app.ErrDiffers) {
		return err
	}
	if c.flags.json {
		if err := c.out.value(report); err != nil {
			return err
		}
	} else {
		c.printRebuild(report)
	}
	if err != nil {
		return checkError{err}
	}
	return nil
}

func (c *cli) printRebuild(r app.RebuildReport) {
	rows := make([][]string, 0, len(r.Days))
	for _, d := range r.Days {
		verdict := c.out.good("equal")
		if !d.Equal {
			verdict = c.out.bad("differs")
		}
		row := []string{d.Day}
		for _, n := range []uint64{d.Before, d.After, d.Added, d.Removed, d.Doubled, d.Changed} {
			row = append(row, strconv.FormatUint(n, 10))
		}
		rows = append(rows, append(row, verdict))
	}
	c.out.table([]string{"day", "rows before", "after", "added", "removed", "doubled before", "changed", "verdict"}, rows)
	for _, s := range r.Swapped {
		c.out.line("%s month %d swapped: %d rows loaded anew, %d kept", r.Table, s.Month, s.Loaded, s.Kept)
	}
	if r.Refused > 0 {
		c.out.line("%d records cannot be rows", r.Refused)
	}
}
