package kafka

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/secure"
)

// Config is what every client of this package needs to know. Take
// DefaultConfig, set Brokers, and pass the same value to every loop.
type Config struct {
	// Brokers are the addresses to start from, "host:port".
	Brokers []string
	// ClientID names the process to the brokers, in their logs and quotas.
	ClientID string
	// SessionTimeout is how long a member that went silent keeps its
	// partitions. Brokers refuse less than their own minimum (6 s unless set).
	SessionTimeout time.Duration
	// RebalanceTimeout is how long the members have to give up partitions. A
	// batch may take a third of it, a worker's last batch DrainTimeout.
	RebalanceTimeout time.Duration
	// TransactionTimeout is after how long brokers abort a transaction whose
	// owner went silent; at most SessionTimeout, because until then the next
	// owner of its partitions waits.
	TransactionTimeout time.Duration
	// DrainTimeout is how long work in hand may go on once the process stops
	// or a partition is revoked. Less than RebalanceTimeout.
	DrainTimeout time.Duration
	// Dialer connects to the brokers; nil: without TLS. Clients of one cluster
	// share one.
	Dialer *secure.Dialer
	// SASL says who this process is.
	SASL SASL
	// Logger receives everything this package has to say, the same again when it
	// happens again: give one that thins that out. nil drops it.
	Logger *slog.Logger
	// Registerer receives the metrics; nil keeps them private.
	Registerer prometheus.Registerer
	// Failpoints are where the kill test ends this process; nil: nowhere.
	Failpoints *failpoint.Set
}

// DefaultConfig returns a Config that only lacks Brokers. What people can set
// has the default that package config documents.
func DefaultConfig() Config {
	k := config.Default().Kafka
	return Config{
		ClientID:           "pricelake",
		SessionTimeout:     k.SessionTimeout,
		RebalanceTimeout:   30 * time.Second,
		TransactionTimeout: k.TransactionTimeout,
		DrainTimeout:       5 * time.Second,
	}
}

// Validate returns every mistake of the configuration at once.
func (c Config) Validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Brokers) == 0 {
		add("kafka: no brokers: give at least one host:port")
	}
	if err := c.SASL.validate(); err != nil {
		errs = append(errs, err)
	}
	if c.ClientID == "" {
		add("kafka: client id is empty: give the process a name")
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"session timeout", c.SessionTimeout},
		{"rebalance timeout", c.RebalanceTimeout},
		{"transaction timeout", c.TransactionTimeout},
		{"drain timeout", c.DrainTimeout},
	} {
		if d.value < time.Millisecond {
			add("kafka: %s is %v: it must be at least 1ms", d.name, d.value)
		}
	}
	if c.TransactionTimeout > c.SessionTimeout {
		add("kafka: transaction timeout %v is above the session timeout %v: an owner that dies would hold up the next one", c.TransactionTimeout, c.SessionTimeout)
	}
	if c.DrainTimeout >= c.RebalanceTimeout {
		add("kafka: drain timeout %v must be below the rebalance timeout %v: the group would go on without this member", c.DrainTimeout, c.RebalanceTimeout)
	}
	return errors.Join(errs...)
}

func (c Config) logger() *slog.Logger {
	if c.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Logger
}

// batchTimeout bounds the work on one batch while it holds up a rebalance.
func (c Config) batchTimeout() time.Duration { return c.RebalanceTimeout / 3 }
