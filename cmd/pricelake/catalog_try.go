package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/schemas"
)

func (c *cli) catalogTry() *cobra.Command {
	var files []string
	var response, contentType, fetchedAt string
	var status int
	cmd := &cobra.Command{
		Use:   "try CALL",
		Short: "Make one call and print the events it would publish, publishing nothing",
		Long: `Makes the call for real, or runs its mapping over a saved answer (--response)
without network, and prints the prices it would publish.

The call is looked up in the files given with --catalog, else in the active
catalog if one is running, else in the shipped one.`,
		Args: cobra.ExactArgs(1),
		Example: examples(
			"pricelake catalog try ecb-daily",
			"pricelake catalog try kraken-ticker --response answer.json --json",
			"pricelake catalog try my-call --catalog catalog.yaml"),
		RunE: func(cmd *cobra.Command, args []string) error {
			call, err := c.findCall(cmd.Context(), args[0], files)
			if err != nil {
				return err
			}
			s, _, err := c.settings()
			if err != nil {
				return err
			}
			opts := app.TryOptions{ContentType: contentType, Status: status}
			if response != "" {
				if opts.Body, err = c.readFile(response); err != nil {
					return err
				}
				opts.Saved = true
			}
			if fetchedAt != "" {
				if opts.FetchedAt, err = time.Parse(time.RFC3339Nano, fetchedAt); err != nil {
					return usageError{fmt.Errorf("--fetched-at %q: write a time such as 2026-01-31T12:00:00Z", fetchedAt)}
				}
			}
			tried, err := app.Try(cmd.Context(), s, slog.New(slog.DiscardHandler), call, opts) // the attempts are in the result
			if err != nil {
				return err
			}
			return c.printTried(tried)
		},
	}
	cmd.Flags().StringSliceVar(&files, "catalog", nil, "catalog file (repeatable)")
	cmd.Flags().StringVar(&response, "response", "", "a saved answer: run the mapping over it, without network")
	cmd.Flags().StringVar(&contentType, "content-type", "", "of the saved answer (default: none)")
	cmd.Flags().IntVar(&status, "status", 200, "HTTP status of the saved answer")
	cmd.Flags().StringVar(&fetchedAt, "fetched-at", "", "when the saved answer was read (default: now)")
	return cmd
}

// findCall looks a call up where the user would expect it.
func (c *cli) findCall(ctx context.Context, id string, files []string) (*schemas.CallDefined, error) {
	if len(files) == 0 {
		if call, err := c.activeCall(ctx, id); call != nil || err != nil {
			return call, err
		}
	}
	cat, err := c.loadCatalog(files)
	if err != nil {
		return nil, err
	}
	if call, ok := cat.Call(id); ok {
		return call, nil
	}
	return nil, usageError{fmt.Errorf("no call %q in the catalog; it has %s", id, strings.Join(cat.CallIDs(), ", "))}
}

// activeCall asks the `up` that runs on this machine, if one does.
func (c *cli) activeCall(ctx context.Context, id string) (*schemas.CallDefined, error) {
	found, err := c.runningUp()
	if err != nil || found == nil || !answers(found.Kafka) {
		return nil, err
	}
	a, err := c.open()
	if err != nil {
		return nil, err
	}
	defer a.Close()
	calls, err := a.ActiveCalls(ctx)
	if err != nil {
		return nil, err
	}
	for i := range calls {
		if calls[i].CallID == id {
			return &calls[i], nil
		}
	}
	return nil, nil
}

// printTried prints request and answer for people, and the events one a line.
// With --json only the events, so that a pipe sees nothing else.
func (c *cli) printTried(t *app.Tried) error {
	if !c.flags.json {
		c.out.line("request   %s %s", t.Method, t.URL)
		for _, a := range t.Attempts {
			c.out.line("attempt   %d  status %d  %s  %s %s", a.Number, a.Status, a.Outcome, time.Duration(a.DurationMicros)*time.Microsecond, a.Error)
		}
		c.out.line("answer    %d bytes, %s", t.BodyBytes, t.ContentType)
		c.out.line("outcome   %s  requested %d  valued %d  absent %d  failed %d  unlisted %d  %s",
			t.Outcome, t.Requested, t.Valued, t.Absent, t.Failed, t.Unlisted, t.Error)
	}
	for i := range t.Prices {
		if err := c.out.value(t.Prices[i]); err != nil {
			return err
		}
	}
	if !c.flags.json {
		for i := range t.Rejected {
			c.out.line("rejected  %s %s %s: %s", t.Rejected[i].Reason, t.Rejected[i].Symbol, t.Rejected[i].Instrument, t.Rejected[i].Detail)
		}
	}
	if t.Outcome != schemas.PollValued && t.Outcome != schemas.PollPartial && t.Outcome != schemas.PollAbsent {
		return checkError{fmt.Errorf("the call brought no prices: %s: %s", t.Outcome, t.Error)}
	}
	return nil
}
