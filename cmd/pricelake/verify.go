package main

import (
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/sinks/lake"
)

func (c *cli) verifyCommand() *cobra.Command {
	var topics []string
	var wait bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove that every committed record is in the lake exactly once",
		Long: `Reads every committed record of each topic that the lake loads and compares, per
partition, with the lineage of the rows: each must be there once, and nothing
else. Names the topic, partition and offset of every record that is not. For
compacted topics the latest record of each key counts.

Records the lake has not read yet are lag, not loss; --wait waits for them.`,
		Args: cobra.NoArgs,
		Example: examples("pricelake verify", "pricelake verify --topic prices.v1 --json",
			"pricelake verify --wait && echo complete"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := c.open()
			if err != nil {
				return err
			}
			defer a.Close()
			report, err := a.Verify(cmd.Context(), app.VerifyOptions{Topics: topics, Wait: wait})
			if err != nil {
				return err
			}
			return c.printVerify(report)
		},
	}
	cmd.Flags().StringSliceVar(&topics, "topic", nil, "only this topic (repeatable)")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the lake has read everything that is committed now")
	return cmd
}

func (c *cli) printVerify(r app.VerifyReport) error {
	if c.flags.json {
		if err := c.out.value(r); err != nil {
			return err
		}
	} else {
		c.verifyTable(r)
	}
	if !r.OK {
		return checkError{errors.New("the lake does not hold every committed record exactly once")}
	}
	return nil
}

func (c *cli) verifyTable(r app.VerifyReport) {
	rows := make([][]string, 0, len(r.Partitions))
	for _, p := range r.Partitions {
		verdict := c.out.good("ok")
		if !p.OK {
			verdict = c.out.bad("wrong")
		}
		row := []string{p.Topic, strconv.Itoa(int(p.Partition)), p.Table}
		for _, n := range []int64{p.Records, p.Rows, p.DeadLetters, p.MissingCount, p.DoubledCount, p.UnexpectedCount, p.Lag} {
			row = append(row, strconv.FormatInt(n, 10))
		}
		rows = append(rows, append(row, verdict))
	}
	c.out.table([]string{"topic", "partition", "table", "records", "rows", "dead letters", "missing", "doubled", "unexpected", "lag", "verdict"}, rows)
	for _, p := range r.Partitions {
		c.findings("missing", p.Report, p.Missing)
		c.findings("doubled", p.Report, p.Doubled)
		c.findings("unexpected", p.Report, p.Unexpected)
	}
	c.out.line("prices: %d rows, %d distinct (event_id, revision)", r.PriceRows, r.PriceDistinct)
}

// findings names the offsets that are wrong, a run of them on one line.
func (c *cli) findings(what string, p lake.Report, ranges []lake.OffsetRange) {
	for _, o := range ranges {
		if o.First == o.Last {
			c.out.line("%s  %s partition %d offset %d", c.out.bad(what), p.Topic, p.Partition, o.First)
			continue
		}
		c.out.line("%s  %s partition %d offsets %d to %d", c.out.bad(what), p.Topic, p.Partition, o.First, o.Last)
	}
}
