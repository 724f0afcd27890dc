package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/embed"
	"github.com/pricelake/pricelake/internal/ops"
)

// The children of a measurement: the first argument of RunChild.
const (
	childBroker = "broker"
	childRole   = "role" // and the role's name
)

// The variables that tell a child what it needs beside the configuration.
const (
	childDirEnv      = "BENCH_DIR"
	childAddrEnv     = "BENCH_ADDR"
	childProfileEnv  = "BENCH_PROFILE_DIR" // empty: no profiles
	childPasswordEnv = "BENCH_CLICKHOUSE_SECRET"
	// childNoIntentsEnv, if not empty, makes the lake record no intents.
	childNoIntentsEnv = "BENCH_NO_INTENTS"
)

// RunChild is the whole life of a process that a measurement starts of its own
// binary, until ctx ends.
func RunChild(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	switch {
	case len(args) == 1 && args[0] == childBroker:
		return runBroker(ctx, getenv(childDirEnv), getenv(childAddrEnv), log)
	case len(args) == 2 && args[0] == childRole:
		return profiled(getenv(childProfileEnv), func() error { return runRole(ctx, args[1], getenv, log) })
	}
	return fmt.Errorf("no child %q: this command is run by `pricelake bench` itself", args)
}

func runBroker(ctx context.Context, dir, addr string, log *slog.Logger) error {
	lock, err := embed.LockDir(dir)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	addresses, err := embed.OpenAddresses(dir)
	if err != nil {
		return err
	}
	b, err := embed.StartBroker(ctx, embed.BrokerConfig{DataDir: dir, Addresses: addresses, Addr: addr, Logger: log})
	if err != nil {
		return err
	}
	return errors.Join(b.Run(ctx), b.Close())
}

// runRole runs a role as `pricelake run` does, configured by the environment.
func runRole(ctx context.Context, role string, getenv func(string) string, log *slog.Logger) error {
	cfg := config.Default()
	if err := cfg.ApplyEnv(os.Environ()); err != nil {
		return err
	}
	if err := cfg.Validate(); err != nil {
		return err
	}
	a, err := app.New(app.Settings{Config: cfg, Getenv: getenv, NoIntents: getenv(childNoIntentsEnv) != ""}, log, ops.NewRegistry("bench"))
	if err != nil {
		return err
	}
	defer a.Close()
	app.LimitMemory(getenv, 1)
	return a.Run(ctx, []string{role})
}

// profiled writes profiles of what run does into a folder.
func profiled(dir string, run func() error) error {
	if dir == "" {
		return run()
	}
	cpu, err := os.Create(filepath.Join(dir, "cpu.pprof"))
	if err != nil {
		return fmt.Errorf("profiling: %w", err)
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return fmt.Errorf("profiling: %w", err)
	}
	err = run()
	pprof.StopCPUProfile()
	return errors.Join(err, cpu.Close(), writeHeap(filepath.Join(dir, "allocs.pprof")))
}

func writeHeap(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("profiling: %w", err)
	}
	runtime.GC()
	return errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
}
