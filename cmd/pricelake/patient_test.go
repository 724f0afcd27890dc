package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"
)

func TestPatient(t *testing.T) {
	down := errors.New("nobody answers at kafka:9092")
	for _, tc := range []struct {
		name  string
		args  []string
		fails []error // of the tries in turn; after them it works
		want  error
		tries int
		says  int // lines on standard error
	}{
		{name: "at once", args: []string{"--wait", "1m"}, tries: 1},
		{name: "without the flag", fails: []error{down}, want: down, tries: 1},
		{name: "late servers", args: []string{"--wait", "1m"}, fails: []error{down, down, errors.New("no topic")}, tries: 4, says: 2},
		{name: "no servers", args: []string{"--wait", "5s"}, fails: []error{down, down, down, down}, want: down, tries: 3, says: 1},
		{name: "wrong usage", args: []string{"--wait", "1m"}, fails: []error{usageError{down}}, want: down, tries: 1},
		{name: "a check", args: []string{"--wait", "1m"}, fails: []error{checkError{down}}, want: down, tries: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var stderr bytes.Buffer
				c := &cli{stderr: &stderr}
				tries := 0
				cmd := c.patient(&cobra.Command{Use: "try", SilenceErrors: true, SilenceUsage: true, RunE: func(*cobra.Command, []string) error {
					tries++
					if tries <= len(tc.fails) {
						return tc.fails[tries-1]
					}
					return nil
				}})
				cmd.SetArgs(tc.args)
				err := cmd.ExecuteContext(t.Context())
				if !errors.Is(err, tc.want) || tries != tc.tries {
					t.Errorf("%d tries ended with %v, want %d and %v", tries, err, tc.tries, tc.want)
				}
				if got := strings.Count(stderr.String(), "\n"); got != tc.says {
					t.Errorf("%d lines on standard error, want %d:\n%s", got, tc.says, &stderr)
				}
			})
		})
	}
}

func TestPatientStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		c := &cli{stderr: &bytes.Buffer{}}
		cmd := c.patient(&cobra.Command{Use: "try", SilenceErrors: true, SilenceUsage: true, RunE: func(*cobra.Command, []string) error {
			return errors.New("nobody answers")
		}})
		cmd.SetArgs([]string{"--wait", "1h"})
		start := time.Now()
		if err := cmd.ExecuteContext(ctx); err == nil || time.Since(start) > 3*time.Second {
			t.Errorf("ended with %v after %v, want its error after 3s", err, time.Since(start))
		}
	})
}
