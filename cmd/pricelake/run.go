package main

import (
	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/ops"
)

func (c *cli) runCommand() *cobra.Command {
	var adminAddr string
	cmd := &cobra.Command{
		Use:   "run ROLE…",
		Short: "Run roles against Kafka, a schema registry and ClickHouse of your own",
		Long: `Runs one or more roles in this process until it is told to stop:

  scheduler      asks for the polls that are due
  poller         makes the HTTP calls
  normalizer     turns answers into prices
  deduplicator   drops repeats, numbers revisions
  lake           loads ClickHouse
  monitor        shows how far the others are, also when they do not run
  all            every role

Set up the servers once with ` + "`topics apply`, `schemas register`, `migrate` and `catalog apply`.",
		Args: cobra.ArbitraryArgs, // none is an error that names the roles
		Example: examples(
			"PRICELAKE_KAFKA_BROKERS=kafka:9092 PRICELAKE_REGISTRY_URL=http://registry:8081 pricelake run scheduler poller",
			"pricelake run --config pricelake.yaml lake"),
		ValidArgs: append(app.RoleNames(), allRoles),
		RunE: func(cmd *cobra.Command, args []string) error {
			roles, err := chosenRoles(args, app.RoleNames(), "the roles")
			if err != nil {
				return err
			}
			s, err := c.servers()
			if err != nil {
				return err
			}
			if adminAddr != "" {
				s.Config.Admin.Addr = adminAddr
			}
			log, err := c.logger(s.Config)
			if err != nil {
				return err
			}
			a, err := app.New(s, log, ops.NewRegistry(buildVersion().Version))
			if err != nil {
				return err
			}
			defer a.Close()
			app.LimitMemory(c.getenv, len(roles))
			return a.Run(cmd.Context(), roles)
		},
	}
	cmd.Flags().StringVar(&adminAddr, "admin-addr", "", "host:port of /metrics, /livez and /readyz; each process of a machine needs its own (default 127.0.0.1:8090)")
	return cmd
}
