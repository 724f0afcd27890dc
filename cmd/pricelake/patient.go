package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// retryPause is long enough for logs to stay readable, and short beside the
// start of any server.
const retryPause = 2 * time.Second

// patient gives a command that may be repeated the flag --wait. Set-up that an
// orchestrator starts together with its servers then waits for them in one
// process, which says what for, instead of failing over and over.
func (c *cli) patient(cmd *cobra.Command) *cobra.Command {
	var wait time.Duration
	cmd.Flags().DurationVar(&wait, "wait", 0, "when it fails, try again for this long: servers may still be starting")
	once := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		deadline := time.Now().Add(wait)
		for said := ""; ; {
			err := once(cmd, args)
			if err == nil || final(err) || time.Until(deadline) < retryPause {
				return err
			}
			if text := err.Error(); text != said {
				fmt.Fprintf(c.stderr, "pricelake: %s; trying again until %s\n", text, deadline.Format(time.TimeOnly))
				said = text
			}
			pause := time.NewTimer(retryPause)
			select {
			case <-cmd.Context().Done():
				pause.Stop()
				return err
			case <-pause.C:
			}
		}
	}
	return cmd
}

// final says that a second try would end as the first did.
func final(err error) bool {
	return errors.As(err, new(usageError)) || errors.As(err, new(checkError))
}
