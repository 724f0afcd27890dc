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

// printStatus prints the sections that are known, and says which are not.
func (c *cli) printStatus(s app.Status) {
	section := func(title string, why *app.NotKnown, server string, header []string, rows [][]string) {
		if why != nil {
			c.out.line("%s: %s, %s %s", title, c.out.bad("not known"), server, because(why))
			return
		}
		c.out.line("%s", title)
		c.out.table(header, rows)
		c.out.line("")
	}
	section("Calls (last poll, and counts of the last hour)", s.ClickHouse, "ClickHouse",
		[]string{"call", "provider", "last outcome", "ago", "polls", "not valued", "error"}, c.callRows(s.Calls))
	section("Roles", s.Kafka, "Kafka", []string{"role", "switch", "paused for", "switched by", "reason"}, c.roleRows(s.Roles))
	rows := make([][]string, 0, len(s.Groups))
	for _, g := range s.Groups {
		rows = append(rows, []string{g.Group, g.Topic, strconv.Itoa(g.Partitions), strconv.FormatInt(g.Lag, 10), strconv.Itoa(g.Members)})
	}
	section("Consumer groups", s.Kafka, "Kafka", []string{"group", "topic", "partitions", "lag", "members"}, rows)
	rows = nil
	for _, t := range s.Tables {
		rows = append(rows, []string{t.Table, strconv.FormatUint(t.Rows, 10), strconv.FormatUint(t.Bytes, 10), ago(t.Newest)})
	}
	section("Lake", s.ClickHouse, "ClickHouse", []string{"table", "rows", "bytes", "newest"}, rows)
	for _, w := range s.Warnings {
		c.out.line("%s %s", c.out.bad("warning:"), w)
	}
}

// because ends the sentence that a server begins, with what to do.
func because(why *app.NotKnown) string {
	if why.Remedy == "" {
		return why.Reason
	}
	return why.Reason + ": " + why.Remedy
}

func (c *cli) callRows(calls []app.CallStatus) [][]string {
	rows := make([][]string, 0, len(calls))
	for _, call := range calls {
		outcome := c.out.good(call.Outcome)
		if call.Outcome != "valued" {
			outcome = c.out.bad(call.Outcome)
		}
		rows = append(rows, []string{call.CallID, call.Provider, outcome, ago(call.FinishedAt),
			strconv.FormatUint(call.Polls, 10), strconv.FormatUint(call.NotValued, 10), call.Error})
	}
	return rows
}

func (c *cli) roleRows(roles []app.RoleStatus) [][]string {
	rows := make([][]string, 0, len(roles))
	for _, r := range roles {
		state, since := "on", ""
		if r.Paused {
			state, since = c.out.bad("paused"), ago(r.SwitchedAt)
		}
		rows = append(rows, []string{r.Role, state, since, r.SwitchedBy, r.Reason})
	}
	return rows
}

// sinceThen is ago as part of a sentence.
func sinceThen(t time.Time) string {
	if age := ago(t); age != "never" {
		return age + " ago"
	}
	return "never"
}

func ago(t time.Time) string {
	if t.IsZero() || t.Unix() <= 0 {
		return "never"
	}
	return time.Since(t).Round(100 * time.Millisecond).String()
}
