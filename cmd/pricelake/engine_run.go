package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/embed"
	"github.com/pricelake/pricelake/internal/ops"
)

// engineReady is the line of `engine run --json` once the server answers. With
// users of one's own it names none.
type engineReady struct {
	Event            string `json:"event"` // "ready"
	Version          string `json:"version"`
	ClickHouseNative string `json:"clickhouse_native"`
	ClickHouseHTTP   string `json:"clickhouse_http"`
	User             string `json:"clickhouse_user,omitempty"`
	Password         string `json:"clickhouse_password,omitempty"`
	ReaderUser       string `json:"clickhouse_reader_user,omitempty"`
	ReaderPassword   string `json:"clickhouse_reader_password,omitempty"`
	DataDir          string `json:"data_dir"`
}

func (c *cli) engineRunCommand() *cobra.Command {
	var cfg embed.ClickHouseConfig
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the ClickHouse engine alone, as a server for roles in other processes",
		Long: `Serves the embedded ClickHouse engine on loopback until it is told to stop, for
development and tests of roles that run on their own. An engine that ends is
started again.

Without --users there are an owner and a reader of the database pricelake, with
passwords that are made at the first start and kept in the data dir
(clickhouse-passwords.json). With --users the users are those of the XML files
in that folder, as a ClickHouse server has them in its users.d.`,
		Args: cobra.NoArgs,
		Example: examples("pricelake engine run --data-dir ./clickhouse",
			"pricelake engine run --data-dir ./clickhouse --users deploy/clickhouse/users.d --pass-env CLICKHOUSE_WRITER_PASSWORD"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.engineRun(cmd.Context(), cfg)
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.NativeAddr, "native-addr", "", "host:port of the native protocol (default: 127.0.0.1:9000 or a free port)")
	f.StringVar(&cfg.HTTPAddr, "http-addr", "", "host:port of the HTTP interface (default: 127.0.0.1:8123 or a free port)")
	f.StringVar(&cfg.UsersDir, "users", "", "folder of XML files that declare the users")
	f.StringSliceVar(&cfg.Env, "pass-env", nil, "environment variables the XML files may refer to with from_env")
	return cmd
}

func (c *cli) engineRun(ctx context.Context, cfg embed.ClickHouseConfig) (err error) {
	if cfg.DataDir, err = c.engineDir(); err != nil {
		return err
	}
	lock, err := embed.LockDir(cfg.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if cfg.Addresses, err = embed.OpenAddresses(cfg.DataDir); err != nil {
		return err
	}
	level := c.flags.logLevel
	if level == "" {
		level = "info"
	}
	if cfg.Logger, err = ops.NewLogger(c.stderr, "text", level); err != nil {
		return usageError{err}
	}
	if cfg.Engine, err = c.locateEngine(ctx); err != nil {
		return err
	}
	server, err := embed.StartClickHouse(ctx, cfg)
	if err != nil {
		return err
	}
	if err := c.engineReady(server, cfg); err != nil {
		return errors.Join(err, server.Stop(context.WithoutCancel(ctx)))
	}
	err = server.Run(ctx)
	return errors.Join(err, server.Stop(context.WithoutCancel(ctx)))
}

func (c *cli) engineDir() (string, error) {
	dir := c.flags.dataDir
	if dir == "" {
		lake, _, err := app.DataDirs(c.getenv)
		if err != nil {
			return "", usageError{err}
		}
		dir = filepath.Join(filepath.Dir(lake), "engine")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("finding the data dir: %w", err)
	}
	return dir, nil
}

func (c *cli) engineReady(server *embed.ClickHouse, cfg embed.ClickHouseConfig) error {
	ready := engineReady{
		Event: "ready", Version: cfg.Engine.Version, DataDir: cfg.DataDir,
		ClickHouseNative: server.NativeAddr(), ClickHouseHTTP: server.HTTPURL()}
	if cfg.UsersDir == "" {
		ready.User, ready.Password = server.Owner().User, server.Owner().Password
		ready.ReaderUser, ready.ReaderPassword = server.Reader().User, server.Reader().Password
	}
	if c.flags.json {
		return c.out.value(ready)
	}
	c.out.line("ClickHouse %s is up", ready.Version)
	c.out.line("  native  %s", ready.ClickHouseNative)
	c.out.line("  HTTP    %s", ready.ClickHouseHTTP)
	if ready.User != "" {
		c.out.line("  users   %s and %s, passwords in %s", ready.User, ready.ReaderUser, filepath.Join(cfg.DataDir, "clickhouse-passwords.json"))
	}
	return nil
}
