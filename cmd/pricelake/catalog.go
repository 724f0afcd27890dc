package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/producers/catalog"
	"github.com/pricelake/pricelake/schemas"
)

func (c *cli) catalogCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "catalog",
		Short: "Say which price APIs to call and when",
		Long: `A catalog is a YAML file: instruments, and the calls that bring their prices.
See docs/catalog.md for every key.`,
	}
	cmd.AddCommand(c.catalogValidate(), c.catalogApply(), c.catalogList(), c.catalogTry())
	return cmd
}

// loadCatalog reads the files, or the shipped default catalog when none is
// named. Every problem is printed, one a line.
func (c *cli) loadCatalog(files []string) (*catalog.Catalog, error) {
	if len(files) == 0 {
		return catalog.Default()
	}
	cat, err := catalog.Load(files...)
	var problems config.Problems
	if errors.As(err, &problems) {
		if c.flags.json {
			for _, p := range problems {
				if err := c.out.value(p); err != nil {
					return nil, err
				}
			}
			return nil, printedError{checkError{err}}
		}
		if len(problems) == 1 {
			return nil, checkError{fmt.Errorf("a problem in the catalog:\n%w", err)}
		}
		return nil, checkError{fmt.Errorf("%d problems in the catalog:\n%w", len(problems), err)}
	}
	return cat, err
}

func (c *cli) catalogValidate() *cobra.Command {
	return &cobra.Command{
		Use:     "validate [FILE…]",
		Short:   "Check a catalog; report every mistake at once, with line and remedy",
		Example: examples("pricelake catalog validate catalog.yaml", "pricelake catalog validate --json catalog.yaml | jq .message"),
		RunE: func(_ *cobra.Command, files []string) error {
			cat, err := c.loadCatalog(files)
			if err != nil {
				return err
			}
			if c.flags.json {
				return c.out.value(map[string]any{"valid": true, "calls": len(cat.Calls), "instruments": len(cat.Instruments)})
			}
			c.out.line("%s: %d calls, %d instruments", c.out.good("valid"), len(cat.Calls), len(cat.Instruments))
			return nil
		},
	}
}

func (c *cli) catalogApply() *cobra.Command {
	var dryRun, keep, shipped bool
	cmd := &cobra.Command{
		Use:   "apply FILE…",
		Short: "Make a catalog the active one",
		Long: `Publishes the difference between the catalog and the active one. A catalog with a
mistake changes nothing: the last good one stays active. Calls and instruments
that the files no longer name are removed, unless --keep is given.`,
		Example: examples("pricelake catalog apply catalog.yaml", "pricelake catalog apply --dry-run catalog.yaml"),
		RunE: func(cmd *cobra.Command, files []string) error {
			if shipped == (len(files) > 0) {
				return usageError{errors.New("name the catalog's files, or give --shipped for the one that comes with pricelake")}
			}
			cat, err := c.loadCatalog(files)
			if err != nil {
				return err
			}
			a, err := c.open()
			if err != nil {
				return err
			}
			defer a.Close()
			changes, err := a.ApplyCatalog(cmd.Context(), cat, app.ApplyOptions{DryRun: dryRun, Keep: keep})
			if err != nil {
				return err
			}
			return c.printChanges(changes, dryRun)
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print what would change, change nothing")
	cmd.Flags().BoolVar(&shipped, "shipped", false, "apply the catalog that comes with pricelake")
	cmd.Flags().BoolVar(&keep, "keep", false, "leave calls and instruments that the files do not name")
	return cmd
}

func (c *cli) printChanges(changes []app.CatalogChange, dryRun bool) error {
	if c.flags.json {
		for _, ch := range changes {
			if err := c.out.value(ch); err != nil {
				return err
			}
		}
		return nil
	}
	if len(changes) == 0 {
		c.out.line("nothing to change")
		return nil
	}
	rows := make([][]string, len(changes))
	for i, ch := range changes {
		rows[i] = []string{ch.Change, ch.What, ch.ID, ch.Version}
	}
	c.out.table([]string{"change", "what", "id", "version"}, rows)
	if dryRun {
		c.out.line("dry run: nothing was changed")
	}
	return nil
}

func (c *cli) catalogList() *cobra.Command {
	var shipped bool
	cmd := &cobra.Command{
		Use:     "ls [FILE…]",
		Short:   "List the calls of the active catalog, or of files",
		Example: examples("pricelake catalog ls", "pricelake catalog ls --shipped", "pricelake catalog ls catalog.yaml --json"),
		RunE: func(cmd *cobra.Command, files []string) error {
			calls, err := c.listCalls(cmd.Context(), files, shipped)
			if err != nil {
				return err
			}
			if c.flags.json {
				for _, call := range calls {
					if err := c.out.value(call); err != nil {
						return err
					}
				}
				return nil
			}
			rows := make([][]string, len(calls))
			for i, call := range calls {
				rows[i] = []string{call.CallID, call.Provider, scheduleText(call.Schedule), strconv.Itoa(len(call.Symbols)),
					strconv.FormatBool(call.Enabled), call.Request.Method + " " + call.Request.URL}
			}
			c.out.table([]string{"call", "provider", "schedule", "symbols", "enabled", "request"}, rows)
			return nil
		},
	}
	cmd.Flags().BoolVar(&shipped, "shipped", false, "the catalog that comes with pricelake")
	return cmd
}

func (c *cli) listCalls(ctx context.Context, files []string, shipped bool) ([]schemas.CallDefined, error) {
	if shipped || len(files) > 0 {
		cat, err := c.loadCatalog(files)
		if err != nil {
			return nil, err
		}
		return cat.Calls, nil
	}
	a, err := c.open()
	if err != nil {
		return nil, err
	}
	defer a.Close()
	return a.ActiveCalls(ctx)
}

func scheduleText(s schemas.CallSchedule) string {
	if s.Cron != "" {
		return s.Cron + " " + s.Zone
	}
	return "every " + (time.Duration(s.EveryMicros) * time.Microsecond).String()
}

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
