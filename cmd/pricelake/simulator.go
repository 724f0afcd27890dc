package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/ops"
)

// simulatorURL is where `simulator` listens unless told otherwise.
const simulatorURL = "http://127.0.0.1:8099"

func (c *cli) simulatorCommand() *cobra.Command {
	var o app.SimulatorOptions
	cmd := &cobra.Command{
		Use:   "simulator",
		Short: "Serve the simulated price APIs of the demo, for a lake that runs elsewhere",
		Long: `Serves what ` + "`up --demo`" + ` polls as a server of its own: the wire formats of real
providers with their troubles, and under /ledger what it served. Make a lake poll
it with ` + "`catalog apply demo --simulator URL`" + `, and allow the poller to reach it
(PRICELAKE_POLLER_ALLOW_PRIVATE=host:port).

With a data dir it remembers which values it restated, so that a restart takes
none back.`,
		Args:    cobra.NoArgs,
		Example: examples("pricelake simulator", "pricelake simulator --addr 0.0.0.0:8099 --host simulator --seed 7"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg := config.Default()
			if err := c.overlay(&cfg); err != nil {
				return usageError{err}
			}
			if _, _, err := net.SplitHostPort(o.Addr); err != nil {
				return usageError{fmt.Errorf("--addr %q: write host:port", o.Addr)}
			}
			if cfg.DataDir != "" {
				if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
					return fmt.Errorf("making the data dir %q: %w; choose another with --data-dir", cfg.DataDir, err)
				}
				o.StateFile = filepath.Join(cfg.DataDir, "simulator.json")
			}
			if o.AdminAddr == "" {
				o.AdminAddr = cfg.Admin.Addr
			}
			log, err := c.logger(cfg)
			if err != nil {
				return err
			}
			return app.RunSimulator(cmd.Context(), o, log, ops.NewRegistry(buildVersion().Version))
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Addr, "addr", "127.0.0.1:8099", "host:port of the price APIs")
	f.StringVar(&o.AdminAddr, "admin-addr", "", "host:port of /metrics, /livez and /readyz (default 127.0.0.1:8090)")
	f.StringSliceVar(&o.Hosts, "host", nil, "name by which clients call it, beside 127.0.0.1 and localhost (repeatable)")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the simulated prices")
	f.BoolVar(&o.Trouble, "trouble", true, "make trouble as real APIs do: rate limits, errors, slow and restated answers")
	return cmd
}
