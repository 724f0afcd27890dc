package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/embed"
	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/ops"
	"github.com/pricelake/pricelake/schemas/avro"
)

// childCommand is the hidden first argument of the processes that this binary
// starts of itself: one for each server and each role.
const childCommand = "child"

// The variables that tell a child what it needs beside the configuration.
const (
	childDirEnv    = "CHAOS_DIR"
	childAddrEnv   = "CHAOS_ADDR"
	childNativeEnv = "CHAOS_NATIVE_ADDR"
	childHTTPEnv   = "CHAOS_HTTP_ADDR"
)

// runChild is the whole life of a child.
func runChild(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	if len(args) == 0 {
		return errors.New("a child wants to be told what it is")
	}
	dir := getenv(childDirEnv)
	switch args[0] {
	case "broker":
		return runBroker(ctx, dir, getenv(childAddrEnv), log)
	case "registry":
		return runRegistry(ctx, dir, getenv(childAddrEnv), log)
	case "clickhouse":
		return runClickHouse(ctx, dir, getenv(childNativeEnv), getenv(childHTTPEnv), log)
	case "role":
		return runRoles(ctx, args[1:], getenv, log)
	}
	return fmt.Errorf("no child %q", args[0])
}

// runRoles runs roles as `pricelake run` does.
func runRoles(ctx context.Context, names []string, getenv func(string) string, log *slog.Logger) error {
	cfg := config.Default()
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, failpoint.Env) }) // no settings
	if err := cfg.ApplyEnv(env); err != nil {
		return err
	}
	password, err := cfg.ClickHouse.Password.Resolve(getenv)
	if err != nil {
		return fmt.Errorf("the password of ClickHouse: %w", err)
	}
	points, err := failpoint.FromEnv(getenv)
	if err != nil {
		return err
	}
	a, err := app.New(app.Settings{Config: cfg, ClickHousePassword: password, Getenv: getenv, Failpoints: points}, log, ops.NewRegistry("chaos"))
	if err != nil {
		return err
	}
	defer a.Close()
	app.LimitMemory(getenv, len(names)) // as `pricelake run` does
	return a.Run(ctx, names)
}

// service is an embedded server while it runs.
type service interface {
	Run(ctx context.Context) error
}

// inDir locks a data directory, starts a server on it and runs it to its end.
func inDir(ctx context.Context, dir string, start func(*embed.Addresses) (service, func(context.Context) error, error)) error {
	lock, err := embed.LockDir(dir)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	addresses, err := embed.OpenAddresses(dir)
	if err != nil {
		return err
	}
	s, stop, err := start(addresses)
	if err != nil {
		return err
	}
	return errors.Join(s.Run(ctx), stop(context.WithoutCancel(ctx)))
}

func runBroker(ctx context.Context, dir, addr string, log *slog.Logger) error {
	return inDir(ctx, dir, func(a *embed.Addresses) (service, func(context.Context) error, error) {
		b, err := embed.StartBroker(ctx, embed.BrokerConfig{DataDir: dir, Addresses: a, Addr: addr, Logger: log})
		if err != nil {
			return nil, nil, err
		}
		return b, func(context.Context) error { return b.Close() }, nil
	})
}

func runRegistry(ctx context.Context, dir, addr string, log *slog.Logger) error {
	return inDir(ctx, dir, func(a *embed.Addresses) (service, func(context.Context) error, error) {
		r, err := embed.StartRegistry(ctx, embed.RegistryConfig{DataDir: dir, Addresses: a, Addr: addr, Logger: log,
			Check: func(_, schema string, earlier []string) error { return avro.CheckFullTransitive(schema, earlier) }})
		if err != nil {
			return nil, nil, err
		}
		return r, r.Close, nil
	})
}

// clickHouseFile says in the folder of the embedded ClickHouse who may use it.
const clickHouseFile = "account.json"

// account is a user of ClickHouse.
type account struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

func runClickHouse(ctx context.Context, dir, native, http string, log *slog.Logger) error {
	return inDir(ctx, dir, func(a *embed.Addresses) (service, func(context.Context) error, error) {
		engine, _, err := embed.Locate(ctx)
		if errors.Is(err, embed.ErrNoEngine) {
			engine, err = embed.Fetch(ctx, nil)
		}
		if err != nil {
			return nil, nil, err
		}
		c, err := embed.StartClickHouse(ctx, embed.ClickHouseConfig{
			DataDir: dir, Engine: engine, Addresses: a, NativeAddr: native, HTTPAddr: http, Logger: log})
		if err != nil {
			return nil, nil, err
		}
		text, err := json.Marshal(account{c.Owner().User, c.Owner().Password})
		if err == nil {
			err = os.WriteFile(dir+"/"+clickHouseFile, text, 0o600)
		}
		if err != nil {
			return nil, nil, errors.Join(err, c.Stop(ctx))
		}
		return c, c.Stop, nil
	})
}
