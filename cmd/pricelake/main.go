// Command pricelake is the whole product in one binary: the embedded lake
// (`up`), every role against external servers (`run`), and the tools.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	_ "time/tzdata" // cron zones where the system has none: slim containers
)

// stopDeadline is when a process that was told to stop ends whatever it still
// does. Every part keeps to shorter ones, whether its servers answer or not; this
// is for what nobody thought of. Orchestrators kill after 30 s.
const stopDeadline = 24 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the handler is gone: a second one ends the process
	// at once, which every part survives.
	context.AfterFunc(ctx, func() {
		stop()
		time.AfterFunc(stopDeadline, func() {
			fmt.Fprintf(os.Stderr, "pricelake: still not stopped %s after the signal; ending at once, which every part survives\n", stopDeadline)
			os.Exit(exitFailed)
		})
	})
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
