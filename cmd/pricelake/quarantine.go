package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/stream"
)

func (c *cli) quarantineCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quarantine",
		Short: "Look at partitions that stand still, and let them go on",
		Long: `The lake stops a partition when it could only guess how to go on: the topic was
created again, a range that was being written is no longer in the log as it was,
the log ends below the position, or rows are there twice. The others go on.`,
	}
	cmd.AddCommand(c.quarantineList(), c.quarantineRelease())
	return cmd
}

func (c *cli) quarantineList() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Short:   "List the partitions that stand still, with the reason",
		Args:    cobra.NoArgs,
		Example: examples("pricelake quarantine ls"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := c.open()
			if err != nil {
				return err
			}
			defer a.Close()
			all, err := a.Quarantines(cmd.Context())
			if err != nil {
				return err
			}
			rows := make([][]string, len(all))
			for i, q := range all {
				if c.flags.json {
					if err := c.out.value(q); err != nil {
						return err
					}
				}
				rows[i] = []string{fmt.Sprintf("%s[%d]", q.Topic, q.Partition), strconv.FormatInt(q.Committed, 10), fmt.Sprintf("%d-%d", q.First, q.End), q.Reason}
			}
			if !c.flags.json {
				c.out.table([]string{"partition", "position", "log holds", "reason"}, rows)
			}
			return nil
		},
	}
}

func (c *cli) quarantineRelease() *cobra.Command {
	var to int64
	cmd := &cobra.Command{
		Use:   "release TOPIC PARTITION",
		Short: "Let a partition go on from an offset",
		Long: `Sets the position of the lake in one partition. Every process of the role lake has
to be stopped; an ` + "`up` is stopped and started with `up --without lake`" + ` for that. What the lake already holds of the topic is not written again, so
an offset that is too low costs time and nothing else; what lies below it is
never read. A partition that does not stand still, but waits at a record that
nobody can read, is taken over that record with --to.`,
		Args:    cobra.ExactArgs(2),
		Example: examples("pricelake quarantine release prices.v1 3", "pricelake quarantine release prices.v1 3 --to 4711"),
		RunE: func(cmd *cobra.Command, args []string) error {
			partition, err := strconv.ParseInt(args[1], 10, 32)
			if err != nil {
				return usageError{fmt.Errorf("partition %q: write a number", args[1])}
			}
			a, err := c.open()
			if err != nil {
				return err
			}
			defer a.Close()
			q, err := a.ReleaseQuarantine(cmd.Context(), stream.TopicPartition{Topic: args[0], Partition: int32(partition)}, to)
			if err != nil {
				return err
			}
			if c.flags.json {
				return c.out.value(q)
			}
			c.out.line("%s[%d] goes on from offset %d when the role lake is started", q.Topic, q.Partition, q.Committed)
			return nil
		},
	}
	cmd.Flags().Int64Var(&to, "to", -1, "the offset to go on from; if not given, the first that the log holds, of a partition that stands still")
	return cmd
}
