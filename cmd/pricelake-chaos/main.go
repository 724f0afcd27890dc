//go:build unix

// Command pricelake-chaos is the kill test of pricelake: it runs the whole
// product against a price API of its own, kills, freezes and cuts off its parts
// at random, and then counts whether every price the API ever sent is a row of
// the lake, once, unchanged and in order. A run is repeatable by its seed, and
// the binary is all it takes: it starts itself as every role and every server.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	_ "time/tzdata" // for systems without zones

	"github.com/pricelake/pricelake/internal/embed"
)

// Exit codes, stable for scripts.
const (
	exitOK     = 0
	exitFailed = 1 // the run could not be made
	exitUsage  = 2
	exitCheck  = 3 // the run was made and something is wrong
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends at once
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// errNotOK says that the run found something; the report has said what.
var errNotOK = errors.New("something is wrong")

// usageError is a wrong command line.
type usageError struct{ error }

// Unwrap returns the reason.
func (e usageError) Unwrap() error { return e.error }

// run is the whole program but for signals and the process' exit.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == embed.ChildCommand {
		return embed.ChildMain(args[1:]) // the engine parses its own arguments
	}
	var err error
	if len(args) > 0 && args[0] == childCommand {
		err = runChild(ctx, args[1:], os.Getenv, stderr)
	} else {
		err = test(ctx, args, stdout, stderr)
	}
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errNotOK):
		return exitCheck
	}
	fmt.Fprintf(stderr, "pricelake-chaos: %s\n", err)
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	return exitFailed
}

// test makes one run as the command line says.
func test(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, stderr)
	if err != nil || o == nil {
		return err
	}
	s := newScreen(o, stdout, stderr)
	if o.plan {
		return s.plan(o.steps())
	}
	if o.recount != "" {
		return recount(ctx, o, s)
	}
	return trial(ctx, o, s)
}
