package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/embed"
)

// Exit codes, stable for scripts.
const (
	exitOK     = 0
	exitFailed = 1 // it was tried and failed
	exitUsage  = 2 // the command line or the configuration is wrong
	exitCheck  = 3 // a check ran to its end and found something (verify, schemas check, catalog validate)
)

// checkError is the outcome of a check that ran and found something.
type checkError struct{ error }

// usageError is a wrong command line or configuration.
type usageError struct{ error }

// printedError has been shown to the user already, in the output itself.
type printedError struct{ error }

func (e checkError) Unwrap() error   { return e.error }
func (e usageError) Unwrap() error   { return e.error }
func (e printedError) Unwrap() error { return e.error }

// cli is one invocation: its streams, environment and global flags.
type cli struct {
	stdin  io.Reader
	out    *printer
	stderr io.Writer
	env    []string
	flags  globalFlags
	// simulator is where the calls of the catalog "demo" go.
	simulator string
}

type globalFlags struct {
	config   string
	dataDir  string
	json     bool
	logLevel string
}

// run is the whole program but for signals and the process' exit.
func run(ctx context.Context, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == embed.ChildCommand {
		return embed.ChildMain(args[1:]) // the engine parses its own arguments
	}
	c := &cli{stdin: stdin, stderr: stderr, env: env, out: newPrinter(stdout)}
	root := c.root()
	root.SetArgs(commentsAreNoFlags(args))
	root.SetIn(stdin)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	return c.exit(err)
}

func (c *cli) exit(err error) int {
	if err == nil {
		return exitOK
	}
	if !errors.As(err, new(printedError)) {
		fmt.Fprintf(c.stderr, "pricelake: %s\n", err)
	}
	switch {
	case errors.As(err, new(checkError)):
		return exitCheck
	case errors.As(err, new(usageError)):
		return exitUsage
	}
	return exitFailed
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "pricelake",
		Short: "A price data lake: polls price APIs, keeps every price exactly once, answers SQL",
		Long: `pricelake polls price APIs as a catalog says, publishes every answer into Kafka,
normalises and deduplicates the prices in it, and loads them into ClickHouse:
exactly once, with exact decimals, and nothing lost silently.

Start with everything embedded, against a built-in simulator of real APIs:

  pricelake up --demo

and ask the first question in a second terminal:

  pricelake sql "SELECT * FROM prices_latest"`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			c.out.json = c.flags.json
		},
	}
	f := root.PersistentFlags()
	f.StringVar(&c.flags.config, "config", "", "configuration file (default: none; also PRICELAKE_CONFIG)")
	f.StringVar(&c.flags.dataDir, "data-dir", "", "where state is kept; tools find the running lake there (default ~/.local/share/pricelake/lake, of a demo …/demo)")
	f.BoolVar(&c.flags.json, "json", false, "print JSON, one object a line")
	f.StringVar(&c.flags.logLevel, "log-level", "", "debug, info, warn or error")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath())}
	})
	root.AddCommand(
		c.upCommand(), c.runCommand(), c.catalogCommand(), c.topicsCommand(), c.schemasCommand(),
		c.migrateCommand(), c.sqlCommand(), c.tailCommand(), c.statusCommand(), c.pauseCommand(), c.resumeCommand(), c.verifyCommand(), c.rebuildCommand(),
		c.traceCommand(), c.dlqCommand(), c.quarantineCommand(), c.doctorCommand(), c.engineCommandGroup(), c.aclCommand(), c.configCommand(), c.versionCommand(), c.simulatorCommand(), c.healthcheckCommand(), c.benchCommand(),
	)
	root.Args = cobra.ArbitraryArgs // else cobra refuses an unknown command itself, with the status of a failure
	root.SetOut(c.out.w)
	addHelp(root)
	addCompletion(root)
	wrapUsage(root)
	return root
}

// wrapUsage makes wrong arguments exit with the usage code, for a command and
// all below it.
func wrapUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath())}
			}
			return nil
		}
	}
	if cmd.HasSubCommands() && cmd.Run == nil && cmd.RunE == nil {
		cmd.SuggestionsMinimumDistance = 2 // letters
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return noCommand(cmd, args[0])
			}
			return cmd.Help()
		}
	}
	for _, sub := range cmd.Commands() {
		wrapUsage(sub)
	}
}

// examples indents the lines as cobra shows them.
func examples(lines ...string) string { return "  " + strings.Join(lines, "\n  ") }
