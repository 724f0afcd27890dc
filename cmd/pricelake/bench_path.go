package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/bench"
)

func (c *cli) benchPathCommand() *cobra.Command {
	o := bench.PathOptions{}
	keep := ""
	cmd := &cobra.Command{
		Use:   "path",
		Short: "Measure how long a price takes from an API's answer to its row, stage by stage",
		Long: `Starts the stack of ` + "`pricelake up`" + ` in one process and a simulated API in another,
polls one ticker of it, and measures the time from the moment that the answer says
its price is of, which is when the API made it, until the row can be read.

The table is looked at over ClickHouse's HTTP interface, by a client that shares no code
with the product, a hundred times a second: the resolution is printed. Where the time
goes is seen by a reader of the topics, like any other consumer of committed
records. The stages of one price add up to its whole time; each may be off by the
milliseconds that the reader needs.

Prices wait for the flush of the lake, which keeps writes of a partition --flush
apart: most of the time is that.`,
		Args:    cobra.NoArgs,
		Example: examples("pricelake bench path", "pricelake bench path --polls 60 --flush 500ms --json"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.benchPath(cmd.Context(), o, keep) },
	}
	f := cmd.Flags()
	f.IntVar(&o.Polls, "polls", 300, "polls to measure")
	f.DurationVar(&o.Every, "every", time.Second, "time between polls")
	f.DurationVar(&o.Flush, "flush", time.Second, "lake.flush_interval: least time between two writes of a partition")
	f.StringVar(&keep, "keep", "", "folder that keeps data and logs of all processes, to look at; empty or new")
	return cmd
}

func (c *cli) benchPath(ctx context.Context, o bench.PathOptions, keep string) (err error) {
	if o.Polls < 1 || o.Every < time.Millisecond || o.Flush <= 0 {
		return usageError{errors.New("polls must be 1 or more, the time between them 1 ms or more, and the flush above 0")}
	}
	if _, err := c.locateEngine(ctx); err != nil {
		return err
	}
	var done func() error
	if o.Servers, done, err = c.benchServers(keep); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	o.Progress = func(format string, args ...any) { fmt.Fprintf(c.stderr, format+"\n", args...) }
	r, err := bench.Path(ctx, o)
	if err != nil {
		return err
	}
	if c.flags.json {
		return c.out.value(r)
	}
	var rows [][]string
	for _, s := range append(r.Stages, r.Total) {
		row := []string{s.Stage}
		for _, v := range []float64{s.P50, s.P90, s.P99, s.Max, s.Slowest} {
			row = append(row, fmt.Sprintf("%.3f", v))
		}
		rows = append(rows, row)
	}
	c.out.table([]string{"seconds", "p50", "p90", "p99", "max", "mean of the slowest 1 %"}, rows)
	c.out.line("%d prices, one every %v, flush %v; the table was looked at every %.3f s", r.Samples, o.Every, o.Flush, r.ResolutionSeconds)
	return nil
}
