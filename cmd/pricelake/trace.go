package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/schemas"
)

func (c *cli) traceCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "trace CORRELATION_ID",
		Short: "Show what became of one poll, step by step",
		Long: `Prints what the lake has with one correlation id, in the order of time: when the
poll was asked for, attempts without an answer, answers, the outcome of the poll
and of each symbol, rows of prices, what could not become a price, and dead letters.
Times of prices and of rejected values are when the broker recorded them.

The id is the column correlation_id of all these tables, of prices_latest and
prices_current too, and is in the poller's log line about a poll that failed. A statement
that is known already makes no second row: a symbol may be valued without a
price. What was done a moment ago may not be loaded yet.`,
		Args: cobra.ExactArgs(1),
		Example: examples("pricelake trace 8d3f0c1e-…",
			`pricelake trace --json 8d3f0c1e-… | jq 'select(.step == "price")'`,
			`pricelake trace $(pricelake sql "SELECT correlation_id FROM prices_latest WHERE instrument = 'BTC-USD' LIMIT 1" | tail -1)`),
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
			steps, err := a.Trace(cmd.Context(), id)
			if err != nil {
				return err
			}
			return c.printTrace(steps)
		},
	}
}

func (c *cli) printTrace(steps []app.TraceStep) error {
	rows := make([][]string, len(steps))
	for i := range steps {
		if c.flags.json {
			if err := c.out.value(steps[i]); err != nil {
				return err
			}
		}
		rows[i] = c.traceRow(&steps[i])
	}
	if c.flags.json {
		return nil
	}
	c.out.table([]string{"at", "step", "what", "outcome", "detail", "record", "in the lake"}, rows)
	has := func(step, outcome string) bool {
		return slices.ContainsFunc(steps, func(s app.TraceStep) bool { return s.Step == step && (outcome == "" || s.Outcome == outcome) })
	}
	switch {
	case !has(app.StepFinished, ""):
		fmt.Fprintln(c.stderr, "The outcome of the poll is not in the lake, or not yet: `pricelake status` shows how far it is.")
	case has(app.StepSymbol, schemas.ValueValued.String()) && !has(app.StepPrice, "") && !has(app.StepRejected, ""):
		fmt.Fprintln(c.stderr, "No price has come of it: either what it says was known already, or it is not loaded yet: `pricelake status` shows how far the lake is.")
	}
	return nil
}

// traceTime shows milliseconds: steps of one poll are near each other.
const traceTime = "2006-01-02 15:04:05.000"

func (c *cli) traceRow(s *app.TraceStep) []string {
	what := s.CallID
	switch s.Step {
	case app.StepSymbol, app.StepPrice, app.StepRejected:
		what = strings.TrimSpace(s.Instrument + " " + s.Symbol)
	}
	var record, inserted string
	if s.Partition != nil && s.Offset != nil && s.Topic != "" {
		record = fmt.Sprintf("%s[%d]@%d", s.Topic, *s.Partition, *s.Offset)
	}
	if !s.InsertedAt.IsZero() {
		inserted = s.InsertedAt.Format(traceTime)
	}
	return []string{s.At.Format(traceTime), s.Step, what, c.traceOutcome(s), traceDetail(s), record, inserted}
}

func (c *cli) traceOutcome(s *app.TraceStep) string {
	switch {
	case s.Step == app.StepResponse:
		return number("status ", s.Status)
	case s.Step == app.StepAttempt, s.Step == app.StepDeadLetter, s.Step == app.StepRejected, s.Outcome == schemas.ValueFailed.String():
		return c.out.bad(s.Outcome)
	}
	return s.Outcome
}

// traceDetail joins what a step says beside its outcome.
func traceDetail(s *app.TraceStep) string {
	parts := []string{number("attempt ", s.Attempt)}
	if s.Step == app.StepAttempt {
		parts = append(parts, number("status ", s.Status))
	}
	if s.Bytes != nil {
		parts = append(parts, fmt.Sprintf("%d bytes", *s.Bytes))
	}
	if s.BodyExpired {
		parts = append(parts, "body expired")
	}
	for _, v := range []struct{ name, value string }{{"price ", s.Price}, {"bid ", s.Bid}, {"ask ", s.Ask}} {
		if v.value != "" {
			parts = append(parts, v.name+v.value)
		}
	}
	if !s.EventTime.IsZero() {
		parts = append(parts, "of "+s.EventTime.Format("2006-01-02 15:04:05.999999"))
	}
	parts = append(parts, number("revision ", s.Revision), s.Detail)
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), ", ")
}

func number(name string, n *int64) string {
	if n == nil {
		return ""
	}
	return fmt.Sprintf("%s%d", name, *n)
}
