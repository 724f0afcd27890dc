package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/bench"
)

func (c *cli) benchOutageCommand() *cobra.Command {
	o := bench.OutageOptions{}
	keep := ""
	cmd := &cobra.Command{
		Use:   "outage",
		Short: "Measure what an outage of ClickHouse does to the role lake",
		Long: `Feeds the role lake at a rate, stops ClickHouse, starts it again, and goes on until
the role has caught up. It says how much memory the role took at most and how long
catching up took, and fails if a price is lost, is there twice or became a dead
letter.`,
		Args:    cobra.NoArgs,
		Example: examples("pricelake bench outage --for 10m --rate 20000"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.benchOutage(cmd.Context(), o, keep) },
	}
	f := cmd.Flags()
	f.IntVar(&o.Rate, "rate", 20_000, "prices a second, all the time")
	f.DurationVar(&o.For, "for", time.Minute, "how long ClickHouse is away")
	f.IntVar(&o.Partitions, "partitions", 3, "partitions of the topic")
	f.StringVar(&keep, "keep", "", "folder that keeps the data of the servers, to count again; empty or new")
	return cmd
}

func (c *cli) benchOutage(ctx context.Context, o bench.OutageOptions, keep string) (err error) {
	if o.Rate < 1 || o.Partitions < 1 || o.For <= 0 {
		return usageError{errors.New("rate, partitions and the time of the outage must be above 0")}
	}
	engine, err := c.locateEngine(ctx)
	if err != nil {
		return err
	}
	var done func() error
	if o.Servers, done, err = c.benchServers(keep); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	o.Servers.Engine = &engine
	o.Progress = func(format string, args ...any) { fmt.Fprintf(c.stderr, format+"\n", args...) }
	r, err := bench.Outage(ctx, o)
	if err != nil {
		return err
	}
	if c.flags.json {
		return c.out.value(r)
	}
	c.out.line("%d prices at %d/s, ClickHouse away for %.0f s: %d waited, caught up in %.1f s; peak %d MiB; none lost, none doubled, no dead letter",
		r.Published, r.Rate, r.OutageSeconds, r.Waited, r.CatchUpSeconds, r.PeakRSSBytes>>20)
	return nil
}
