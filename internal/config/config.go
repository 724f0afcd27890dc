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
	// Name of this process among those of its roles. The same after a restart,
	// it lets a successor end at once what was left open; no two processes that
	// run at the same time may share it.
	Instance string `yaml:"instance"`
	// What a process keeps on disk: the deduplicator's state and, under `up`,
	// broker, registry and lake.
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
	// debug, info, warn or error.
	Level string `yaml:"level"`
	// text or json.
	Format string `yaml:"format"`
}

// Admin configures the address of /metrics, /livez and /readyz.
type Admin struct {
	// Address, host:port; port 0 takes a free one.
	Addr string `yaml:"addr"`
}

// Poller configures the poller.
type Poller struct {
	// Polls under way at once in this process.
	InFlight int `yaml:"in_flight"`
	// Hosts, "host" or "host:port", that calls may reach on private or loopback
	// addresses. All others must have public ones.
	AllowPrivate []string `yaml:"allow_private"`
}

// Processor configures normalizer and deduplicator.
type Processor struct {
	// Transactions under way at once in this process.
	Sessions int `yaml:"sessions"`
	// Most records in one transaction.
	MaxRecords int `yaml:"max_records"`
}

// Lake configures the ClickHouse sink.
type Lake struct {
	// Least time between two writes of a partition's prices that are not full.
	FlushInterval time.Duration `yaml:"flush_interval"`
	// The same for every other table.
	OtherFlushInterval time.Duration `yaml:"other_flush_interval"`
	// Most rows in one block.
	MaxRows int `yaml:"max_rows"`
	// Most bytes in one block.
	MaxBytes int `yaml:"max_bytes"`
	// Memory of the records that wait, are being written, or are columns of a
	// block to come, over all topics. A block is cut shorter where it would not fit.
	BufferBytes int `yaml:"buffer_bytes"`
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
			SessionTimeout:     10 * time.Second,
			TransactionTimeout: 10 * time.Second,
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
			BufferBytes:        96 << 20,
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

// check reports a key whose value cannot work, with what to write instead.
type check func(ok bool, key, want string)

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
	c.Kafka.validate(bad)
	c.Registry.validate(bad)
	c.ClickHouse.validate(bad)
	bad(c.Poller.InFlight > 0, "poller.in_flight", "a number above 0")
	bad(c.Processor.Sessions > 0, "processor.sessions", "a number above 0")
	bad(c.Processor.MaxRecords > 0, "processor.max_records", "a number above 0")
	c.Lake.validate(bad)
	return errors.Join(errs...)
}

// leastBuffer holds the largest answer as a record and as a row.
const leastBuffer = 16 << 20

func (l *Lake) validate(bad check) {
	bad(l.FlushInterval > 0, "lake.flush_interval", "a duration above 0, such as 1s")
	bad(l.OtherFlushInterval > 0, "lake.other_flush_interval", "a duration above 0, such as 5s")
	bad(l.MaxRows > 0 && l.MaxRows <= 1_000_000, "lake.max_rows", "1 to 1000000: ClickHouse keeps a block whole up to that")
	bad(l.MaxBytes > 0, "lake.max_bytes", "a number above 0")
	bad(l.BufferBytes >= leastBuffer, "lake.buffer_bytes", fmt.Sprintf("at least %d: the largest answer must fit", leastBuffer))
}
