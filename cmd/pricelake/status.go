package main

import (
	"errors"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/app"
)

func (c *cli) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show what is running, how far each group is, and what fails",
		Args:  cobra.NoArgs,
		Example: examples("pricelake status",
			`pricelake status --json | jq '.calls[] | select(.outcome != "valued")'`),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := c.open()
			if err != nil {
				return err
			}
			defer a.Close()
			s, down := a.Status(cmd.Context())
			if c.flags.json {
				return errors.Join(c.out.value(s), down)
			}
			c.printStatus(s)
			return down
		},
	}
}

func (c *cli) printStatus(s app.Status) {
	rows := make([][]string, 0, len(s.Calls))
	for _, call := range s.Calls {
		outcome := c.out.good(call.Outcome)
		if call.Outcome != "valued" {
			outcome = c.out.bad(call.Outcome)
		}
		rows = append(rows, []string{call.CallID, call.Provider, outcome, ago(call.FinishedAt),
			strconv.FormatUint(call.Polls, 10), strconv.FormatUint(call.NotValued, 10), call.Error})
	}
	c.out.line("Calls (last poll, and counts of the last hour)")
	c.out.table([]string{"call", "provider", "last outcome", "ago", "polls", "not valued", "error"}, rows)

	rows = rows[:0]
	for _, r := range s.Roles {
		state, since := "on", ""
		if r.Paused {
			state, since = c.out.bad("paused"), ago(r.SwitchedAt)
		}
		rows = append(rows, []string{r.Role, state, since, r.SwitchedBy, r.Reason})
	}
	c.out.line("\nRoles")
	c.out.table([]string{"role", "switch", "paused for", "switched by", "reason"}, rows)

	rows = rows[:0]
	for _, g := range s.Groups {
		rows = append(rows, []string{g.Group, g.Topic, strconv.Itoa(g.Partitions), strconv.FormatInt(g.Lag, 10), strconv.Itoa(g.Members)})
	}
	c.out.line("\nConsumer groups")
	c.out.table([]string{"group", "topic", "partitions", "lag", "members"}, rows)

	rows = rows[:0]
	for _, t := range s.Tables {
		rows = append(rows, []string{t.Table, strconv.FormatUint(t.Rows, 10), strconv.FormatUint(t.Bytes, 10), ago(t.Newest)})
	}
	c.out.line("\nLake")
	c.out.table([]string{"table", "rows", "bytes", "newest"}, rows)
	for _, w := range s.Warnings {
		c.out.line("%s %s", c.out.bad("warning:"), w)
	}
}

func ago(t time.Time) string {
	if t.IsZero() || t.Unix() <= 0 {
		return "never"
	}
	return time.Since(t).Round(100 * time.Millisecond).String()
}
