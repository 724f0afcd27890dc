package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/ops"
)

func (c *cli) doctorCommand() *cobra.Command {
	var timeout time.Duration
	var admin []string
	cmd := &cobra.Command{
		Use:   "doctor [ROLE…]",
		Short: "Check everything the roles rely on against the live servers, and say what to mend",
		Long: `Looks at addresses, logins, versions, topics, settings of the brokers, schemas,
migrations, rights, consumer groups, clocks and disks, all at once, and changes
nothing. Each finding is ok, warn (it works, and may not for long) or fail, and
says what to do. The status is 0 when nothing failed, 3 otherwise.

With a ROLE only what that role needs is looked at, and the role must be running.
A role that runs and waits for something says what at its admin address: that of the
configuration is asked, and those that --admin-addr names.
Where no servers are configured, those of a running ` + "`pricelake up`" + ` are looked at.`,
		Example: examples("pricelake doctor", "pricelake doctor lake",
			`pricelake doctor --json | jq -r 'select(.verdict == "fail") | .remedy'`),
		ValidArgs: append(app.RoleNames(), allRoles),
		RunE: func(cmd *cobra.Command, args []string) error {
			var roles []string
			if len(args) > 0 {
				var err error
				if roles, err = chosenRoles(args, app.RoleNames(), "the roles"); err != nil {
					return err
				}
			}
			if timeout <= 0 {
				return usageError{fmt.Errorf("--timeout %v: write a duration above 0, such as 5s", timeout)}
			}
			s, err := c.servers()
			if err != nil {
				return err
			}
			log := slog.New(slog.DiscardHandler) // what the clients say is in the findings
			if c.flags.logLevel == "debug" {
				log = c.toolLogger()
			}
			a, err := app.New(s, log, ops.NewRegistry(buildVersion().Version))
			if err != nil {
				return err
			}
			defer a.Close()
			return c.printDiagnosis(a.Doctor(cmd.Context(), app.DoctorOptions{Roles: roles, Timeout: timeout, Admin: c.adminAddrs(s, admin), Now: time.Now}))
		},
	}
	cmd.Flags().StringSliceVar(&admin, "admin-addr", nil, "admin addresses of roles, host:port, beside that of the configuration")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "how long one check may take")
	return cmd
}

// adminAddrs are where processes of roles say what they wait for: as the
// configuration says, as a running `up` says, and as the flag says.
func (c *cli) adminAddrs(s app.Settings, more []string) []string {
	addrs := slices.Clone(more)
	if addr, err := reachable(s.Config.Admin.Addr); err == nil {
		addrs = append(addrs, addr)
	}
	if up, err := c.runningUp(); err == nil && up != nil && s.Embedded {
		addrs = append(addrs, strings.TrimPrefix(up.Admin, "http://"))
	}
	return addrs
}

// printDiagnosis prints the findings: those with a remedy last, where they are
// seen.
func (c *cli) printDiagnosis(d app.Diagnosis) error {
	if c.flags.json {
		for _, f := range d.Findings {
			if err := c.out.value(f); err != nil {
				return err
			}
		}
	} else {
		c.diagnosisTable(d)
	}
	if !d.OK {
		failed := 0
		for _, f := range d.Findings {
			if f.Verdict == app.VerdictFail {
				failed++
			}
		}
		if failed == 1 {
			return checkError{errors.New("one check failed; it says what to do")}
		}
		return checkError{fmt.Errorf("%d checks failed; each says what to do", failed)}
	}
	return nil
}

func (c *cli) diagnosisTable(d app.Diagnosis) {
	header := []string{"verdict", "area", "check", "subject", "finding", "remedy"}
	if !c.out.terminal {
		rows := make([][]string, len(d.Findings))
		for i, f := range d.Findings {
			rows[i] = []string{string(f.Verdict), f.Area, f.Check, f.Subject, f.Text, f.Remedy}
		}
		c.out.table(header, rows)
		return
	}
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.Style().Color.Header = text.Colors{text.Bold}
	const others = 45 // columns of the table beside the finding
	width := max(c.out.width-others, 30)
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 4, WidthMax: width, WidthMaxEnforcer: wrapLines}})
	t.AppendHeader(table.Row{header[0], header[1], header[2], header[4]})
	for _, f := range d.Findings {
		t.AppendRow(table.Row{c.verdict(f.Verdict), f.Area, f.Check, finding(f)})
	}
	fmt.Fprintln(c.out.w, t.Render())
}

// wrapLines wraps each line by itself; the library would join them.
func wrapLines(cell string, width int) string {
	lines := strings.Split(cell, "\n")
	for i, line := range lines {
		lines[i] = text.WrapSoft(line, width)
	}
	return strings.Join(lines, "\n")
}

func (c *cli) verdict(v app.Verdict) string {
	if v == app.VerdictOK {
		return c.out.good(string(v))
	}
	return c.out.bad(string(v))
}

// finding is what a table shows of a finding: the remedy on a line of its own.
func finding(f app.Finding) string {
	lines := []string{f.Text}
	if f.Subject != "" {
		lines[0] = f.Subject + ": " + f.Text
	}
	if f.Remedy != "" {
		lines = append(lines, "→ "+f.Remedy)
	}
	return strings.Join(lines, "\n")
}
