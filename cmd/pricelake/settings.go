package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/ops"
)

func (c *cli) getenv(name string) string {
	value := ""
	for _, kv := range c.env {
		if k, v, ok := strings.Cut(kv, "="); ok && k == name {
			value = v
		}
	}
	return value
}

// settings is the configuration of this invocation: defaults, then the file, the
// environment and the flags; where those name no servers, the `up` that runs on
// this machine. named is false when there are no servers to talk to.
func (c *cli) settings() (s app.Settings, named bool, err error) {
	cfg := config.Default()
	var found *app.Endpoints
	// Never half of one and half of the other: whoever names servers names all.
	if !c.configured() {
		if found, err = c.runningUp(); err != nil {
			return s, false, err
		}
	}
	password := ""
	if found != nil {
		cfg.Kafka.Brokers = []string{found.Kafka}
		cfg.Registry.URL = found.Registry
		cfg.ClickHouse.Addr = found.ClickHouseNative
		cfg.ClickHouse.User = found.ClickHouseUser
		password = found.ClickHousePassword
	}
	if err := c.overlay(&cfg); err != nil {
		return s, false, usageError{err}
	}
	s = app.Settings{Config: cfg, ClickHousePassword: password, Embedded: found != nil, Getenv: c.getenv}
	if found != nil {
		s.ReaderUser, s.ReaderPassword = found.ReaderUser, found.ReaderPassword
	}
	return s, found != nil || c.configured(), nil
}

// errNoLake keeps a tool from acting on whatever happens to listen at the usual
// ports.
var errNoLake = errors.New("no running lake was found: start one with `pricelake up`, name its --data-dir, or name your servers " +
	"(--config, or PRICELAKE_KAFKA_BROKERS, PRICELAKE_REGISTRY_URL and PRICELAKE_CLICKHOUSE_ADDR)")

// servers is settings for commands that need servers.
func (c *cli) servers() (app.Settings, error) {
	s, named, err := c.settings()
	if err == nil && !named {
		err = usageError{errNoLake}
	}
	return s, err
}

// configured says that a file or the environment names servers. Tools then look
// for no running `up`.
func (c *cli) configured() bool {
	if c.flags.config != "" {
		return true
	}
	for _, name := range []string{"PRICELAKE_CONFIG", "PRICELAKE_KAFKA_BROKERS", "PRICELAKE_REGISTRY_URL", "PRICELAKE_CLICKHOUSE_ADDR"} {
		if c.getenv(name) != "" {
			return true
		}
	}
	return false
}

// configFile is the configuration file of this invocation, empty for none.
func (c *cli) configFile() string {
	if c.flags.config != "" {
		return c.flags.config
	}
	return c.getenv("PRICELAKE_CONFIG")
}

// cannotWork stands above the mistakes of a configuration.
const cannotWork = "the configuration cannot work:\n"

// overlay applies the file, the environment and the global flags. It reports the
// mistakes of all of them at once.
func (c *cli) overlay(cfg *config.Config) error {
	var wrong []error
	if file := c.configFile(); file != "" {
		err := cfg.ApplyFile(file)
		if err != nil && !errors.As(err, new(config.Problems)) {
			return err // there is no such file, say
		}
		wrong = append(wrong, err)
	}
	wrong = append(wrong, cfg.ApplyEnv(c.env))
	if c.flags.dataDir != "" {
		cfg.DataDir = c.flags.dataDir
	}
	if c.flags.logLevel != "" {
		cfg.Log.Level = c.flags.logLevel
	}
	if err := errors.Join(append(wrong, cfg.Validate())...); err != nil {
		return fmt.Errorf("%s%w", cannotWork, err)
	}
	return nil
}

// runningUp finds the `up` whose data dir was named, else the one that runs on a
// default data dir; nil when there is none.
func (c *cli) runningUp() (*app.Endpoints, error) {
	named := c.flags.dataDir
	if named == "" {
		named = c.getenv("PRICELAKE_DATA_DIR")
	}
	if named != "" {
		e, ok, err := app.ReadEndpoints(named)
		if err != nil || !ok || !answers(e.Kafka) {
			return nil, err
		}
		return &e, nil
	}
	lake, demo, err := app.DataDirs(c.getenv)
	if err != nil {
		return nil, nil //nolint:nilerr // nowhere to look: nothing runs there
	}
	for _, dir := range []string{lake, demo} {
		e, ok, err := app.ReadEndpoints(dir)
		if err != nil {
			return nil, err
		}
		if ok && answers(e.Kafka) {
			return &e, nil
		}
	}
	return nil, nil
}

func answers(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// logger returns the process' logger, to standard error.
func (c *cli) logger(cfg config.Config) (*slog.Logger, error) {
	l, err := ops.NewLogger(c.stderr, cfg.Log.Format, cfg.Log.Level)
	if err != nil {
		return nil, usageError{err}
	}
	return l, nil
}

// toolLogger is for short commands: they speak through their output, so only
// warnings reach standard error.
func (c *cli) toolLogger() *slog.Logger {
	level := slog.LevelWarn
	if c.flags.logLevel == "debug" {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(c.stderr, &slog.HandlerOptions{Level: level}))
}

// open connects the tools to the servers of this invocation.
func (c *cli) open() (*app.App, error) {
	s, err := c.servers()
	if err != nil {
		return nil, err
	}
	return app.New(s, c.toolLogger(), ops.NewRegistry(buildVersion().Version))
}

// openFile opens a file or, for "-", standard input.
func (c *cli) readFile(name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, usageError{fmt.Errorf("there is no file %q", name)}
	}
	return b, err
}
