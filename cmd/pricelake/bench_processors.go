package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/bench"
)

func (c *cli) benchProcessorsCommand() *cobra.Command {
	o := bench.ProcessorOptions{}
	keep := ""
	cmd := &cobra.Command{
		Use:   "processors",
		Short: "Measure what a CPU second of deduplicator and normalizer is enough for",
		Long: `Fills a topic, then measures a role in a process of its own, exactly once, from
the start of its process until everything is committed:

  deduplicator  prices that are all new, then the same prices again; the bytes
                of state that each identity takes on disk
  normalizer    answers of 1 kB with one price, then answers with 500 symbols

Broker and schema registry are other processes: CPU time (user and system) and
memory are those of the role alone. What comes out is counted by another client.
Every run begins with nothing.`,
		Args: cobra.NoArgs,
		Example: examples("pricelake bench processors", "pricelake bench processors --events 10000000 --only deduplicator --json",
			"pricelake bench processors --only normalizer --profile ./profiles"),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.benchProcessors(cmd.Context(), o, keep) },
	}
	f := cmd.Flags()
	f.Int64Var(&o.Events, "events", 1_000_000, "prices in each run")
	f.IntVar(&o.Runs, "runs", 3, "runs of each; medians are reported")
	f.IntVar(&o.Partitions, "partitions", 3, "partitions of the topics")
	f.StringVar(&o.Profile, "profile", "", "folder for CPU and allocation profiles of the first run of each role")
	f.StringSliceVar(&o.Only, "only", nil, "what to measure of deduplicator and normalizer")
	f.StringVar(&keep, "keep", "", "folder that keeps the data of broker and roles, to count again; empty or new")
	return cmd
}

func (c *cli) benchProcessors(ctx context.Context, o bench.ProcessorOptions, keep string) (err error) {
	if o.Events < 1 || o.Runs < 1 || o.Partitions < 1 {
		return usageError{errors.New("events, runs and partitions must be 1 or more")}
	}
	for _, name := range o.Only {
		if name != "deduplicator" && name != "normalizer" {
			return usageError{fmt.Errorf("--only %q: there are deduplicator and normalizer", name)}
		}
	}
	var done func() error
	if o.Servers, done, err = c.benchServers(keep); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	o.Keep = keep != ""
	o.Progress = func(format string, args ...any) { fmt.Fprintf(c.stderr, format+"\n", args...) }
	report, err := bench.Processors(ctx, o)
	if err != nil {
		return err
	}
	if c.flags.json {
		return c.out.value(report)
	}
	c.benchProcessorsTable(report)
	return nil
}

func (c *cli) benchProcessorsTable(r *bench.ProcessorReport) {
	var rows [][]string
	row := func(what string, perCore float64, rss uint64) {
		if perCore > 0 {
			rows = append(rows, []string{what, fmt.Sprintf("%.0f", perCore), fmt.Sprint(rss >> 20)})
		}
	}
	row("deduplicator, new events", r.Deduplicator.EventsPerSecondPerCore, r.Deduplicator.PeakRSSBytes)
	row("deduplicator, repeats", r.Deduplicator.RepeatsPerSecondPerCore, r.Deduplicator.RepeatsPeakRSSBytes)
	row("normalizer, answers of 500 prices", r.Normalizer.EventsPerSecondPerCore, r.Normalizer.PeakRSSBytes)
	row("normalizer, answers of one price", r.Normalizer.SingleEventsPerSecondPerCore, r.Normalizer.SinglePeakRSSBytes)
	c.out.table([]string{"", "prices per CPU second", "peak MiB"}, rows)
	if r.Deduplicator.Identities > 0 {
		c.out.line("deduplicator: %d identities, %.1f bytes of state for each; runs differ by %.1f %%",
			r.Deduplicator.Identities, r.Deduplicator.StateBytesPerID, 100*r.Deduplicator.Noise)
	}
	if r.Normalizer.EventsPerSecond > 0 {
		c.out.line("normalizer: runs differ by %.1f %%", 100*r.Normalizer.Noise)
	}
}
