package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// Config is the configuration of a process: every role reads its part. Values
// come from Default, then a file, then PRICELAKE_… variables, then flags.
type Config struct {
	// Instance names this process among those of its roles; the same after a
	// restart, it lets a successor end at once what was left open. No two
	// processes that run at the same time may share it.
	Instance string `yaml:"instance"`
	// DataDir holds what a process keeps on disk: the deduplicator's state and,
	// under `up`, broker, registry and lake.
	DataDir    string     `yaml:"data_dir"`
	Log        Log        `yaml:"log"`
	Admin      Admin      `yaml:"admin"`
	Kafka      Kafka      `yaml:"kafka"`
	Registry   Registry   `yaml:"registry"`
	ClickHouse ClickHouse `yaml:"clickhouse"`
	Poller     Poller     `yaml:"poller"`
	Processor  Processor  `yaml:"processor"`
	Lake       Lake       `yaml:"lake"`
}

// Log configures the process' log, written to standard error.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn, error
	Format string `yaml:"format"` // text, json
}

// Admin configures the address of /metrics, /livez and /readyz.
type Admin struct {
	Addr string `yaml:"addr"` // host:port; port 0 takes a free one
}

// Kafka configures the broker's clients.
type Kafka struct {
	Brokers            []string      `yaml:"brokers"`
	Partitions         int           `yaml:"partitions"`          // of keyed topics, when `topics apply` creates them
	ReplicationFactor  int           `yaml:"replication_factor"`  // -1: the broker's default
	SessionTimeout     time.Duration `yaml:"session_timeout"`     // a dead member's partitions move after it
	TransactionTimeout time.Duration `yaml:"transaction_timeout"` // at most the session timeout
}

// Registry configures the schema registry (Confluent API).
type Registry struct {
	URL string `yaml:"url"`
}

// ClickHouse configures the lake's server.
type ClickHouse struct {
	Addr     string `yaml:"addr"` // native protocol, host:port
	User     string `yaml:"user"`
	Password Secret `yaml:"password"` // env:NAME or file:/path
	Database string `yaml:"database"`
}

// Poller configures the poller.
type Poller struct {
	InFlight int `yaml:"in_flight"` // polls under way at once in this process
	// AllowPrivate names hosts, "host" or "host:port", that calls may reach on
	// private or loopback addresses. All others must have public ones.
	AllowPrivate []string `yaml:"allow_private"`
}

// Processor configures normalizer and deduplicator.
type Processor struct {
	Sessions   int `yaml:"sessions"`    // transactions under way at once in this process
	MaxRecords int `yaml:"max_records"` // in one transaction
}

// Lake configures the ClickHouse sink.
type Lake struct {
	FlushInterval      time.Duration `yaml:"flush_interval"`       // prices
	OtherFlushInterval time.Duration `yaml:"other_flush_interval"` // every other table
	MaxRows            int           `yaml:"max_rows"`             // in one block
	MaxBytes           int           `yaml:"max_bytes"`            // in one block
}

// Default returns the configuration of a process that nobody configured: every
// server on this machine at its usual port.
func Default() Config {
	return Config{
		Instance: instanceName(),
		Log:      Log{Level: "info", Format: "text"},
		Admin:    Admin{Addr: "127.0.0.1:8090"},
		Kafka: Kafka{
			Brokers:            []string{"127.0.0.1:9092"},
			Partitions:         12,
			ReplicationFactor:  -1,
			SessionTimeout:     30 * time.Second,
			TransactionTimeout: 20 * time.Second,
		},
		Registry:   Registry{URL: "http://127.0.0.1:8081"},
		ClickHouse: ClickHouse{Addr: "127.0.0.1:9000", User: "pricelake", Database: "pricelake"},
		Poller:     Poller{InFlight: 256},
		Processor:  Processor{Sessions: 1, MaxRecords: 5000},
		Lake: Lake{
			FlushInterval:      time.Second,
			OtherFlushInterval: 5 * time.Second,
			MaxRows:            100_000,
			MaxBytes:           64 << 20,
		},
	}
}

// instanceName is unique on a network of machines with names of their own. It
// changes at a restart: name instances where takeovers should not wait.
func instanceName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}

// Validate reports every value that cannot work, with what to write instead.
func (c *Config) Validate() error {
	var errs []error
	bad := func(ok bool, key, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: write %s", key, want))
		}
	}
	var level slog.Level
	bad(level.UnmarshalText([]byte(c.Log.Level)) == nil, "log.level", "debug, info, warn or error")
	bad(c.Log.Format == "text" || c.Log.Format == "json", "log.format", "text or json")
	bad(c.Instance != "", "instance", "a name, such as the host's")
	bad(len(c.Kafka.Brokers) > 0, "kafka.brokers", "at least one host:port")
	bad(c.Kafka.Partitions > 0, "kafka.partitions", "a number above 0")
	bad(c.Kafka.ReplicationFactor == -1 || c.Kafka.ReplicationFactor > 0, "kafka.replication_factor", "-1 (the broker's default) or a number above 0")
	bad(c.Kafka.SessionTimeout >= time.Second, "kafka.session_timeout", "at least 1s")
	bad(c.Kafka.TransactionTimeout >= time.Second && c.Kafka.TransactionTimeout <= c.Kafka.SessionTimeout,
		"kafka.transaction_timeout", "at least 1s and at most kafka.session_timeout: a killed owner's open transaction holds up its successor that long")
	bad(c.Registry.URL != "", "registry.url", "http://host:port")
	bad(c.ClickHouse.Addr != "", "clickhouse.addr", "host:port of the native protocol")
	bad(c.ClickHouse.Database != "", "clickhouse.database", "a database name")
	bad(c.Poller.InFlight > 0, "poller.in_flight", "a number above 0")
	bad(c.Processor.Sessions > 0, "processor.sessions", "a number above 0")
	bad(c.Processor.MaxRecords > 0, "processor.max_records", "a number above 0")
	bad(c.Lake.FlushInterval > 0, "lake.flush_interval", "a duration above 0, such as 1s")
	bad(c.Lake.OtherFlushInterval > 0, "lake.other_flush_interval", "a duration above 0, such as 5s")
	bad(c.Lake.MaxRows > 0 && c.Lake.MaxRows <= 1_000_000, "lake.max_rows", "1 to 1000000: ClickHouse keeps a block whole up to that")
	bad(c.Lake.MaxBytes > 0, "lake.max_bytes", "a number above 0")
	return errors.Join(errs...)
}
