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
	"runtime/debug"
	"runtime/pprof"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/embed"
	"github.com/pricelake/pricelake/internal/freeport"
	"github.com/pricelake/pricelake/internal/ops"
	"github.com/pricelake/pricelake/producers/catalog"
)

// The children of a measurement: the first argument of RunChild.
const (
	childBroker = "broker"
	childRole   = "role" // and the role's name
	childUp     = "up"   // and the catalog's file
	// childSimulator serves price APIs that work.
	childSimulator = "simulator"
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
	case len(args) == 2 && args[0] == childUp:
		return runUp(ctx, args[1], getenv, log)
	case len(args) == 1 && args[0] == childSimulator:
		o := app.SimulatorOptions{Addr: getenv(childAddrEnv), AdminAddr: "127.0.0.1:0", Seed: 1}
		return app.RunSimulator(ctx, o, log, ops.NewRegistry("bench"))
	}
	return fmt.Errorf("no child %q: this command is run by `pricelake bench` itself", args)
}

// brokerGC lets the broker use four times its few megabytes before it collects: it makes
// them anew with every answer, and is not what is measured.
const brokerGC = 400

func runBroker(ctx context.Context, dir, addr string, log *slog.Logger) error {
	debug.SetGCPercent(brokerGC)
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

// runUp runs the whole stack as `pricelake up` does, configured by the
// environment, at addresses that nobody uses.
func runUp(ctx context.Context, file string, getenv func(string) string, log *slog.Logger) error {
	cfg := app.UpDefaults()
	if err := cfg.ApplyEnv(os.Environ()); err != nil {
		return err
	}
	if err := cfg.Validate(); err != nil {
		return err
	}
	cat, err := catalog.Load(file)
	if err != nil {
		return err
	}
	o := app.UpOptions{Version: "bench", Catalog: func(string) (*catalog.Catalog, error) { return cat, nil },
		Events: app.UpEvents{Step: func(string) {}, Notice: func(string) {}, Fetch: func(string, int64, int64) {},
			Ready: func(app.Endpoints) {}, Counts: func(app.Counts) {}}}
	for _, addr := range []*string{&o.KafkaAddr, &o.RegistryAddr, &o.ClickHouseAddr, &o.ClickHouseHTTPAddr, &o.AdminAddr} {
		if *addr, err = freeport.Addr(); err != nil {
			return err
		}
	}
	return app.Up(ctx, cfg, o, log, getenv)
}

// profilesIn is the variable that has a child write its profiles into a folder, which
// is made; empty: none.
func profilesIn(folder string) (variable string, err error) {
	if folder == "" {
		return childProfileEnv + "=", nil
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return "", fmt.Errorf("finding the folder for profiles: %w", err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("making a folder for profiles: %w", err)
	}
	return childProfileEnv + "=" + folder, nil
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
