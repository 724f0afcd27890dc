package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
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
See docs/catalog.md for every key. Wherever a file is named, two words are
catalogs that come with pricelake: "shipped" (public APIs that want no key) and
"demo" (the same providers, played by ` + "`pricelake simulator`" + `). Write ./demo for
a file of that name.`,
	}
	cmd.PersistentFlags().StringVar(&c.simulator, "simulator", simulatorURL, "where the simulator of the catalog \"demo\" is")
	cmd.AddCommand(c.catalogValidate(), c.catalogApply(), c.catalogList(), c.catalogTry())
	return cmd
}

// Catalogs that come with pricelake, as they are named in place of a file.
const (
	catalogShipped = "shipped"
	catalogDemo    = "demo"
)

// loadCatalog reads what is named together, or the shipped catalog when nothing
// is. Every problem is printed, one a line.
func (c *cli) loadCatalog(names []string) (*catalog.Catalog, error) {
	if len(names) == 0 {
		names = []string{catalogShipped}
	}
	var files []string
	var builtIn []catalog.Source
	for _, name := range names {
		switch name {
		case catalogShipped:
			builtIn = append(builtIn, catalog.DefaultSource())
		case catalogDemo:
			builtIn = append(builtIn, catalog.DemoSource(c.simulator))
		default:
			files = append(files, name)
		}
	}
	cat, err := catalog.LoadWith(builtIn, files...)
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
		Use:   "apply FILE|shipped|demo…",
		Short: "Make a catalog the active one",
		Long: `Publishes the difference between the catalog and the active one. A catalog with a
mistake changes nothing: the last good one stays active. Calls and instruments
that the files no longer name are removed, unless --keep is given.`,
		Example: examples("pricelake catalog apply catalog.yaml", "pricelake catalog apply --dry-run catalog.yaml",
			"pricelake catalog apply shipped own.yaml", "pricelake catalog apply demo --simulator http://simulator:8099"),
		RunE: func(cmd *cobra.Command, files []string) error {
			if shipped == (len(files) > 0) {
				return usageError{errors.New("name the catalog's files, or give --shipped for the one that comes with pricelake")}
			}
			cat, err := c.loadCatalog(files)
			if err != nil {
				return err
			}
			if slices.Contains(files, catalogDemo) {
				if err := app.AskSimulator(cmd.Context(), c.simulator); err != nil {
					return fmt.Errorf("the demo's calls would all fail: %w; start `pricelake simulator` (with docker compose: the profile demo), "+
						"say where it is with --simulator, or apply another catalog", err)
				}
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
	return c.patient(cmd)
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
