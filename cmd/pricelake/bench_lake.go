package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/bench"
)

func (c *cli) benchLakeCommand() *cobra.Command {
	o := bench.LakeOptions{}
	latency := bench.LatencyOptions{}
	keep := ""
	cmd := &cobra.Command{
		Use:   "lake",
		Short: "Measure how fast prices get from Kafka into ClickHouse",
		Long: `Fills a topic with prices as real answers bring them, then measures, on this
machine and with the same rows, from the start to the last row that can be read:

  pricelake      the role lake in a process of its own, with all it promises
  Kafka engine   ClickHouse's own, into the same table: as its documentation
                 sets it up, and at the best of a sweep of its settings
  ceiling        ready-made native blocks into the same table, over one and over
                 two connections: what this server takes at all; and the faster of
                 these for as long as pricelake took, so that as much is merged

Broker and ClickHouse are processes of their own; CPU time and memory are those
of the role's process. Rows are counted through ClickHouse's HTTP interface.

With --rate the role is fed at that rate, and what is measured is the time from
the publication of a price to the row that can be read.

With --pairs what is measured is the cost of exactly-once: the role as it is
against the same role without intents, which may double rows when it is frozen
and taken over.`,
		Args: cobra.NoArgs,
		Example: examples("pricelake bench lake --rows 5000000", "pricelake bench lake --rows 500000 --only sink --profile ./profiles",
			"pricelake bench lake --rate 50 --partitions 50 --json",
			"pricelake bench lake --pairs 7 --rows 1000000"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("rate") {
				latency.Partitions = o.Partitions
				return c.benchLatency(cmd.Context(), latency, keep)
			}
			return c.benchLake(cmd.Context(), o, keep)
		},
	}
	f := cmd.Flags()
	f.Int64Var(&o.Rows, "rows", 2_000_000, "prices to load in each run")
	f.Int64Var(&o.SweepRows, "sweep-rows", 400_000, "prices to load with each setting of the Kafka engine; 0: take it as documented")
	f.IntVar(&o.Runs, "runs", 3, "runs of each; medians are reported")
	f.IntVar(&o.Partitions, "partitions", 3, "partitions of the topic")
	f.StringVar(&o.Profile, "profile", "", "folder for CPU and allocation profiles of the first run of the role")
	f.StringSliceVar(&o.Only, "only", nil, "what to measure of sink, ceiling (and the sink with it) and engine")
	f.IntVar(&latency.Rate, "rate", 0, "prices a second: measure how long they take")
	f.IntVar(&latency.Samples, "samples", 300, "prices to measure with --rate")
	f.IntVar(&o.Pairs, "pairs", 0, "pairs of runs, with intents and without: measure what intents cost")
	f.StringVar(&keep, "keep", "", "folder that keeps the data of the servers, to count again; empty or new")
	return cmd
}

func (c *cli) benchLake(ctx context.Context, o bench.LakeOptions, keep string) (err error) {
	if o.Rows < 1 || o.Runs < 1 || o.Partitions < 1 || o.Pairs < 0 {
		return usageError{errors.New("rows, runs and partitions must be 1 or more, pairs not below 0")}
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
	o.SweepRows = min(o.SweepRows, o.Rows)
	o.Progress = func(format string, args ...any) { fmt.Fprintf(c.stderr, format+"\n", args...) }
	report, err := bench.Lake(ctx, o)
	if err != nil {
		return err
	}
	if c.flags.json {
		return c.out.value(report)
	}
	if i := report.Intents; i != nil {
		c.out.line("intents cost %.1f %% of the rows/s (two runs of the same differ by %.1f %%) and %.1f %% more CPU time of the role (%.1f %%); medians of %d pairs",
			100*i.Cost, 100*i.Noise, 100*i.CPUCost, 100*i.CPUNoise, i.Pairs)
		return nil
	}
	c.benchLakeTable(report)
	return nil
}

func (c *cli) benchLatency(ctx context.Context, o bench.LatencyOptions, keep string) (err error) {
	if o.Rate < 1 || o.Samples < 1 || o.Partitions < 1 {
		return usageError{errors.New("rate, samples and partitions must be 1 or more")}
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
	r, err := bench.Latency(ctx, o)
	if err != nil {
		return err
	}
	if c.flags.json {
		return c.out.value(r)
	}
	c.out.line("%d prices: p50 %.3f s, p90 %.3f s, p99 %.3f s, at most %.3f s; %.1f inserts a second", r.Samples, r.P50, r.P90, r.P99, r.Max, r.InsertsPerSecond)
	return nil
}

func (c *cli) benchLakeTable(r *bench.LakeReport) {
	rate := func(v float64) string { return fmt.Sprintf("%.0f", v) }
	times := func(v float64) string { return fmt.Sprintf("%.2f", v) }
	c.out.table([]string{"", "rows/s", "pricelake is so many times as fast"}, [][]string{
		{"pricelake", rate(r.RowsPerSecond), ""},
		{"Kafka engine as documented", rate(r.KafkaEngineRowsPerSecond), times(r.RatioKafkaEngine)},
		{"Kafka engine, " + r.KafkaEngineBest, rate(r.KafkaEngineBestRowsPerSecond), times(r.RatioKafkaEngineBest)},
		{fmt.Sprintf("ceiling, %d connection(s)", r.CeilingConnections), rate(r.CeilingRowsPerSecond), times(r.RatioCeiling)},
		{"the same for as long as pricelake took", rate(r.CeilingKeptUpRowsPerSecond), times(r.RatioCeilingKeptUp)},
	})
	c.out.line("pricelake: %.1f MB/s, %.2f CPU s per million rows, peak %d MiB, %d parts; runs differ by %.1f %%",
		r.MegabytesPerSecond, r.CPUSecondsPerMillionRows, r.PeakRSSBytes>>20, r.Parts, 100*r.Noise)
}
