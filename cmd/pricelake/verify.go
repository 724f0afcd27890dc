package main

import (
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/sinks/lake"
)

func (c *cli) verifyCommand() *cobra.Command {
	var opts app.VerifyOptions
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove that every committed record is in the lake exactly once",
		Long: `Reads every committed record of each topic that the lake loads and compares, per
partition, with the lineage of the rows: each must be there once, with the time
the broker gave the record, and nothing else. Names the topic, partition and
offset of every record that is not. For compacted topics the latest record of
each key counts.

Records the lake has not read yet are lag, not loss; --wait waits for them. Rows
whose records Kafka has deleted are older than the log: they are counted, there
is nothing to compare them with.

The role lake does the same all the time, see docs/operations.md; this is for
those who want to see it.`,
		Args: cobra.NoArgs,
		Example: examples("pricelake verify", "pricelake verify --topic prices.v1 --json",
			"pricelake verify --topic prices.v1 --partition 0 --from 1000000 --to 2000000", "pricelake verify --wait && echo complete"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.From < 0 || opts.To < 0 || opts.To > 0 && opts.To <= opts.From {
				return usageError{errors.New("--from and --to: write offsets, --to above --from")}
			}
			a, err := c.open()
			if err != nil {
				return err
			}
			defer a.Close()
			line := newProgress(c.stderr)
			opts.Progress = func(p app.VerifyProgress) {
				line.show("%s[%d]: %d of %d offsets", p.Topic, p.Partition, p.Done, p.Total)
			}
			report, err := a.Verify(cmd.Context(), opts)
			line.done()
			if err != nil {
				return err
			}
			return c.printVerify(report, opts.Bounded())
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&opts.Topics, "topic", nil, "only this topic (repeatable)")
	f.Int32SliceVar(&opts.Partitions, "partition", nil, "only this partition (repeatable)")
	f.Int64Var(&opts.From, "from", 0, "only from this offset on")
	f.Int64Var(&opts.To, "to", 0, "only below this offset (0: as far as the lake is)")
	f.BoolVar(&opts.Wait, "wait", false, "wait until the lake has read everything that is committed now")
	return cmd
}

func (c *cli) printVerify(r app.VerifyReport, bounded bool) error {
	if c.flags.json {
		if err := c.out.value(r); err != nil {
			return err
		}
	} else {
		c.verifyTable(r, bounded)
	}
	if !r.OK {
		return checkError{errors.New("the lake does not hold every committed record exactly once; `pricelake quarantine ls` says whether a partition stands still, and why")}
	}
	return nil
}

func (c *cli) verifyTable(r app.VerifyReport, bounded bool) {
	rows := make([][]string, 0, len(r.Partitions))
	for _, p := range r.Partitions {
		verdict := c.out.good("ok")
		if !p.OK {
			verdict = c.out.bad("wrong")
		}
		row := []string{p.Topic, strconv.Itoa(int(p.Partition)), p.Table}
		for _, n := range []int64{p.Records, p.Rows, p.DeadLetters, p.MissingCount, p.DoubledCount, p.UnexpectedCount, p.AlteredCount, p.Older, p.Lag} {
			row = append(row, strconv.FormatInt(n, 10))
		}
		rows = append(rows, append(row, verdict))
	}
	c.out.table([]string{"topic", "partition", "table", "records", "rows", "dead letters", "missing", "doubled", "unexpected", "altered", "older", "lag", "verdict"}, rows)
	for _, p := range r.Partitions {
		c.findings("missing", p.Report, p.Missing)
		c.findings("doubled", p.Report, p.Doubled)
		c.findings("unexpected", p.Report, p.Unexpected)
		c.findings("altered", p.Report, p.Altered)
	}
	if bounded {
		return
	}
	c.out.line("prices: %d rows, %d distinct (event_id, revision)", r.PriceRows, r.PriceDistinct)
}

// findings names the offsets that are wrong, a run of them on one line.
func (c *cli) findings(what string, p lake.Report, ranges []lake.OffsetRange) {
	const most = 20 // runs; of a log that has lost something there may be thousands
	for i, o := range ranges {
		if i == most {
			c.out.line("%s  %s partition %d: %d more runs of offsets, up to %d; --json names all", c.out.bad(what), p.Topic, p.Partition, len(ranges)-most, ranges[len(ranges)-1].Last)
			return
		}
		if o.First == o.Last {
			c.out.line("%s  %s partition %d offset %d", c.out.bad(what), p.Topic, p.Partition, o.First)
			continue
		}
		c.out.line("%s  %s partition %d offsets %d to %d", c.out.bad(what), p.Topic, p.Partition, o.First, o.Last)
	}
}
