package main

import (
	"os"
	"os/user"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/app"
)

func (c *cli) pauseCommand() *cobra.Command {
	return c.switchCommand(true, &cobra.Command{
		Use:   "pause ROLE…",
		Short: "Let roles take nothing new, in every process and after any restart",
		Long: `A paused role finishes what it has in hand and takes nothing new until ` + "`resume`" + `,
in every process that runs it, restarted or not. What it would have worked on waits
in Kafka; slots that pass while the scheduler is paused are missed, and counted.

To stop calling APIs, pause the scheduler: a paused poller makes the calls that
were asked for once it is resumed.`,
		Example: examples(`pricelake pause lake --reason "ClickHouse moves to another disk"`, "pricelake pause scheduler"),
	})
}

func (c *cli) resumeCommand() *cobra.Command {
	return c.switchCommand(false, &cobra.Command{
		Use:     "resume ROLE…",
		Short:   "End the pause of roles",
		Example: examples("pricelake resume lake"),
	})
}

func (c *cli) switchCommand(paused bool, cmd *cobra.Command) *cobra.Command {
	var reason string
	cmd.Args = cobra.ArbitraryArgs // none is an error that names the roles
	cmd.ValidArgs = append(app.PausableRoles(), allRoles)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		roles, err := chosenRoles(args, app.PausableRoles(), "those that can be paused")
		if err != nil {
			return err
		}
		a, err := c.open()
		if err != nil {
			return err
		}
		defer a.Close()
		for _, role := range roles {
			s, err := a.SwitchRole(cmd.Context(), role, paused, operator(), reason)
			if err != nil {
				return err
			}
			if err := c.printSwitch(s); err != nil {
				return err
			}
		}
		return nil
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for those who read status or /readyz")
	return cmd
}

func (c *cli) printSwitch(s app.RoleSwitch) error {
	if c.flags.json {
		return c.out.value(s)
	}
	state, was := "runs", ""
	if s.Paused {
		state = "is paused"
	}
	if !s.Changed {
		was = " as before"
	}
	c.out.line("%s %s%s", s.Role, state, was)
	return nil
}

// operator names who runs this command, user@host.
func operator() string {
	name := strconv.Itoa(os.Getuid()) // a container's user may have no name
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return name + "@" + host
}
