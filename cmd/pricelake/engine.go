package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/embed"
)

// embedded says whether this build has the embedded stack.
func embedded() bool { return embed.Available() }

func (c *cli) engineCommandGroup() *cobra.Command {
	cmd := &cobra.Command{Use: "engine", Short: "The embedded ClickHouse engine"}
	fetch := &cobra.Command{
		Use:     "fetch",
		Short:   "Fetch the ClickHouse library into the cache, if it is not there",
		Args:    cobra.NoArgs,
		Example: examples("pricelake engine fetch"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			engine, err := c.locateEngine(cmd.Context())
			if err != nil {
				return err
			}
			if c.flags.json {
				return c.out.value(map[string]string{"engine": engine.Path, "version": engine.Version})
			}
			c.out.line("%s  %s", engine.Version, engine.Path)
			return nil
		},
	}
	cmd.AddCommand(fetch, c.engineRunCommand())
	return cmd
}

// locateEngine finds the engine, and fetches it where there is none.
func (c *cli) locateEngine(ctx context.Context) (embed.Engine, error) {
	engine, _, err := embed.Locate(ctx)
	if !errors.Is(err, embed.ErrNoEngine) {
		return engine, err
	}
	screen := &upScreen{out: c.out, stderr: c.stderr}
	defer screen.done()
	return embed.Fetch(ctx, screen.fetch)
}
