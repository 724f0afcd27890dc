package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/app"
)

func (c *cli) dlqDrop() *cobra.Command {
	var all, dryRun, undo bool
	var filter app.DeadLetterFilter
	var reason string
	cmd := &cobra.Command{
		Use:   "drop [ID…]",
		Short: "Say that nothing more is to be done about dead letters",
		Long: `Notes of each dead letter that nothing more is to be done about it: who decided it,
when, and why. Nothing is deleted: the letter stays in its topic and in the lake for
as long as any other, and counts as before. ` + "`dlq ls`" + ` and ` + "`dlq replay --all`" + ` leave it
out from then on, ` + "`dlq ls --dropped`" + ` lists it. --undo takes the decision back, and is
noted too. Dropping a letter twice changes nothing.`,
		Example: examples(`pricelake dlq drop 8d3f0c1e-… --reason "a test of the provider's"`,
			`pricelake dlq drop --all --call kraken-ticker --reason "the pair was delisted" --dry-run`,
			`pricelake dlq drop 8d3f0c1e-… --undo --reason "it was none"`),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return usageError{errors.New("name dead letters by id, or give --all")}
			}
			if reason = strings.TrimSpace(reason); reason == "" {
				return usageError{errors.New("--reason: say why, for whoever asks later")}
			}
			if filter.Limit < 1 {
				return usageError{fmt.Errorf("--limit %d: write a number above 0", filter.Limit)}
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
			filter.Dropped = undo
			if all {
				letters, err := a.DeadLetters(cmd.Context(), filter)
				if err != nil {
					return err
				}
				for _, l := range letters {
					ids = append(ids, l.DeadLetterID)
				}
			}
			marked, err := a.MarkDeadLetters(cmd.Context(), ids, !undo, operator(), reason, dryRun)
			if err != nil {
				return err
			}
			return c.printMarks(marked, all && len(ids) == filter.Limit, dryRun)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&all, "all", false, "every dead letter that the filters leave")
	f.BoolVar(&dryRun, "dry-run", false, "print what would be noted")
	f.BoolVar(&undo, "undo", false, "take the decision back: the letters are listed again")
	f.StringVar(&reason, "reason", "", "why; it is kept with the decision (needed)")
	f.StringVar(&filter.Role, "role", "", "only of this role")
	f.StringVar(&filter.CallID, "call", "", "only of this call")
	f.IntVar(&filter.Limit, "limit", 1000, "at most so many")
	return cmd
}

func (c *cli) printMarks(marked []app.Marked, more, dryRun bool) error {
	changed := 0
	for _, m := range marked {
		if m.Changed {
			changed++
		}
		if c.flags.json {
			if err := c.out.value(m); err != nil {
				return err
			}
			continue
		}
		c.out.line("%s  %s", m.DeadLetterID, stateOf(m))
	}
	if c.flags.json {
		return nil
	}
	if more {
		c.out.line("the newest %d only: raise --limit for more", len(marked))
	}
	if dryRun {
		c.out.line("dry run: nothing was noted")
		return nil
	}
	c.out.line("%d of %d changed", changed, len(marked))
	return nil
}

func stateOf(m app.Marked) string {
	state := "is listed"
	if m.Dropped {
		state = "is dropped"
	}
	if !m.Changed {
		state += " as before"
	}
	return state
}
