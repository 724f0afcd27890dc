package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/bench"
)

func (c *cli) benchCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "bench", Short: "Measure the product on this machine"}
	child := &cobra.Command{
		Use:     "child",
		Short:   "One server or role of a measurement, as a process of its own",
		Example: "  pricelake bench child broker",
		Hidden:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return bench.RunChild(cmd.Context(), args, c.getenv, c.stderr)
		},
	}
	cmd.AddCommand(c.benchLakeCommand(), c.benchOutageCommand(), c.benchPathCommand(), c.benchProcessorsCommand(), c.benchPoisonCommand(), child)
	return cmd
}

// benchServers says where the servers of a measurement live: in dir, which is
// kept, or in a folder that done removes.
func (c *cli) benchServers(dir string) (o bench.ServerOptions, done func() error, err error) {
	done = func() error { return nil }
	self, err := os.Executable()
	if err != nil {
		return o, done, fmt.Errorf("finding this program: %w", err)
	}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "pricelake-bench-"); err != nil {
			return o, done, fmt.Errorf("making a folder for the measurement: %w", err)
		}
		done = func() error { return os.RemoveAll(dir) }
	} else if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return o, done, usageError{fmt.Errorf("%q holds something already: name a folder that is new or empty", dir)}
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return o, done, errors.Join(fmt.Errorf("finding the folder of the measurement: %w", err), done())
	}
	log := slog.New(slog.NewTextHandler(c.stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	return bench.ServerOptions{Dir: dir, Child: []string{self, "bench", "child"}, Log: log}, done, nil
}
