//go:build noembed || !unix

package embed

import (
	"context"
	"os"
	"time"
)

// Available reports whether this binary holds the embedded stack.
func Available() bool { return false }

// Broker is not part of this build.
type Broker struct{}

// StartBroker fails with ErrUnavailable.
func StartBroker(context.Context, BrokerConfig) (*Broker, error) { return nil, ErrUnavailable }

// Addr is empty.
func (*Broker) Addr() string { return "" }

// ApplyRetention does nothing.
func (*Broker) ApplyRetention() {}

// Run fails with ErrUnavailable.
func (*Broker) Run(context.Context) error { return ErrUnavailable }

// Ready is ErrUnavailable.
func (*Broker) Ready() error { return ErrUnavailable }

// Close does nothing.
func (*Broker) Close() error { return nil }

// ChildMain reports that this build cannot be the child.
func ChildMain([]string) int {
	os.Stderr.WriteString(ErrUnavailable.Error() + "\n")
	return 1
}

// child is never made in this build.
type child struct {
	pid  int
	done chan struct{}
	err  error
}

func spawn([]string, string, string, string, []string) (*child, error) { return nil, ErrUnavailable }

func (*child) stop(func(*child), time.Duration) {}

func (*child) kill() {}

func endOfInput(*child) {}

func terminate(*child) {}

func endPredecessor(string) error { return nil }
