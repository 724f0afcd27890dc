package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/schemas"
)

func (c *cli) dlqCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "dlq", Short: "Look at dead letters, replay them or drop them"}
	cmd.AddCommand(c.dlqList(), c.dlqShow(), c.dlqReplay(), c.dlqDrop())
	return cmd
}

func (c *cli) dlqList() *cobra.Command {
	var filter app.DeadLetterFilter
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List dead letters, the newest first, without those that were dropped",
		Args:  cobra.NoArgs,
		Example: examples("pricelake dlq ls", "pricelake dlq ls --role poller --limit 5", "pricelake dlq ls --dropped",
			"pricelake dlq ls --json | jq -r .dead_letter_id"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if filter.Limit < 1 {
				return usageError{fmt.Errorf("--limit %d: write a number above 0", filter.Limit)}
			}
			a, err := c.open()
			if err != nil {
				return err
			}
			defer a.Close()
			letters, err := a.DeadLetters(cmd.Context(), filter)
			if err != nil {
				return err
			}
			header := []string{"id", "failed at", "role", "reason", "call", "origin", "attempts", "error"}
			if filter.Dropped {
				header = append(header, "dropped by", "at", "because")
			}
			rows := make([][]string, len(letters))
			for i, l := range letters {
				if c.flags.json {
					if err := c.out.value(l); err != nil {
						return err
					}
				}
				rows[i] = []string{l.DeadLetterID.String(), l.FailedAt.Format("2006-01-02 15:04:05"), l.Role, l.Reason.String(), l.CallID,
					fmt.Sprintf("%s[%d]@%d", l.OriginTopic, l.OriginPartition, l.OriginOffset), strconv.Itoa(int(l.Attempts)), l.Error}
				if filter.Dropped {
					rows[i] = append(rows[i], l.Mark.MarkedBy, l.Mark.MarkedAt.Format("2006-01-02 15:04:05"), l.Mark.Reason)
				}
			}
			if !c.flags.json {
				c.out.table(header, rows)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&filter.Dropped, "dropped", false, "those that were dropped, with who dropped them, when and why")
	cmd.Flags().StringVar(&filter.Role, "role", "", "only of this role")
	cmd.Flags().StringVar(&filter.CallID, "call", "", "only of this call")
	cmd.Flags().IntVar(&filter.Limit, "limit", 50, "at most so many")
	return cmd
}

func (c *cli) dlqShow() *cobra.Command {
	return &cobra.Command{
		Use:     "show ID",
		Short:   "Show one dead letter with its original record, decoded",
		Args:    cobra.ExactArgs(1),
		Example: examples("pricelake dlq show 8d3f0c1e-…"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := schemas.ParseID(args[0])
			if err != nil {
				return usageError{err}
			}
			a, err := c.open()
			if err != nil {
				return err
			}
			defer a.Close()
			shown, err := a.DeadLetter(cmd.Context(), id)
			if err != nil {
				return err
			}
			return c.out.value(shown)
		},
	}
}

func (c *cli) dlqReplay() *cobra.Command {
	var all, dryRun bool
	var filter app.DeadLetterFilter
	var valueFile string
	cmd := &cobra.Command{
		Use:   "replay [ID…]",
		Short: "Send the original records of dead letters through their topic again",
		Long: `Appends the original record of each dead letter to the topic it came from, marked
with the dead letter's id. A replayed poll asks the API again under a poll id
made from that mark, so replaying one letter twice is one poll. The dead letter
itself stays. --all leaves out letters that were dropped. Letters of the lake go to the partition they came from, each only
once: a second replay, or one after a replay that was killed, finds what was sent
and leaves it out. --value sends other bytes than the original's: the record as it
should have been, in the topic's own encoding.`,
		Example: examples("pricelake dlq replay 8d3f0c1e-…", "pricelake dlq replay --all --call kraken-ticker --dry-run"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return usageError{fmt.Errorf("name dead letters by id, or give --all")}
			}
			ids, err := parseIDs(args)
			if err != nil {
				return usageError{err}
			}
			a, err := c.open()
			if err != nil {
				return err
			}
			defer a.Close()
			if all {
				letters, err := a.DeadLetters(cmd.Context(), filter)
				if err != nil {
					return err
				}
				for _, l := range letters {
					ids = append(ids, l.DeadLetterID)
				}
				if len(letters) == filter.Limit {
					c.out.line("the newest %d only: raise --limit for more", filter.Limit)
				}
			}
			var value []byte
			if valueFile != "" {
				if value, err = os.ReadFile(valueFile); err != nil {
					return fmt.Errorf("reading the new value: %w", err)
				}
			}
			replayed, err := a.ReplayDeadLetters(cmd.Context(), ids, value, dryRun)
			for _, r := range replayed {
				if c.flags.json {
					if err := c.out.value(r); err != nil {
						return err
					}
				}
				if r.Already {
					c.out.line("%s  %s  was sent before, not again", r.DeadLetterID, r.Topic)
					continue
				}
				c.out.line("%s  %s", r.DeadLetterID, r.Topic)
			}
			if dryRun {
				c.out.line("dry run: nothing was sent")
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every dead letter that the filters leave")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print what would be sent")
	cmd.Flags().StringVar(&valueFile, "value", "", "a file with the value to send in place of the original's")
	cmd.Flags().StringVar(&filter.Role, "role", "", "only of this role")
	cmd.Flags().StringVar(&filter.CallID, "call", "", "only of this call")
	cmd.Flags().IntVar(&filter.Limit, "limit", 1000, "at most so many")
	return cmd
}

func parseIDs(args []string) ([]schemas.ID, error) {
	ids := make([]schemas.ID, 0, len(args))
	for _, arg := range args {
		id, err := schemas.ParseID(arg)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}
