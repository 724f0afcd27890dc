package app

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/embed"
	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/ops"
	"github.com/pricelake/pricelake/internal/simulator"
	"github.com/pricelake/pricelake/producers/catalog"
	"github.com/pricelake/pricelake/schemas/avro"
)

// UpOptions say what `up` starts beside the configuration.
type UpOptions struct {
	Demo    bool
	Seed    int64 // of the simulator
	Version string
	// Without names roles that are not started.
	Without []string
	// Catalog makes the catalog to apply; it is given the simulator's address.
	// Unused with Demo.
	Catalog func(simulator string) (*catalog.Catalog, error)
	// Addresses, host:port; empty lets the data dir choose.
	KafkaAddr, RegistryAddr, ClickHouseAddr, ClickHouseHTTPAddr, AdminAddr string
	Events                                                                 UpEvents
}

// UpEvents is how `up` tells what it does. Calls come from several goroutines.
type UpEvents struct {
	Step   func(text string)
	Notice func(text string)
	Fetch  func(step string, done, total int64) // of the ClickHouse library, in bytes
	Ready  func(Endpoints)
	Counts func(Counts)
}

// UpDefaults is the configuration of `up` that nobody configured: one machine,
// where one replica is all there can be and rows may be small and soon.
func UpDefaults() config.Config {
	c := config.Default()
	c.Instance = "up" // there is one on a data dir
	c.Kafka.Partitions = 3
	c.Kafka.ReplicationFactor = 1
	c.Admin.Addr = ""
	c.Poller.AllowPrivate = LoopbackHosts()
	c.Lake.FlushInterval = 500 * time.Millisecond
	c.Lake.OtherFlushInterval = time.Second
	return c
}

// stopTimeout bounds the end of the embedded services once every role has
// stopped. ClickHouse needs 5 s when a query runs.
const stopTimeout = 8 * time.Second

// Up runs everything in this process until ctx ends, then stops it in order:
// roles first, ClickHouse and the broker last.
func Up(ctx context.Context, cfg config.Config, opts UpOptions, log *slog.Logger, getenv func(string) string) (err error) {
	u := &upRun{cfg: cfg, opts: opts, log: log}
	if err := u.lock(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.close(ctx)) }()
	if err := u.start(ctx); err != nil {
		return u.startError(ctx, err)
	}
	if err := u.prepare(ctx, getenv); err != nil {
		return u.startError(ctx, err)
	}
	return u.run(ctx)
}

// upRun is one run of `up`.
type upRun struct {
	cfg   config.Config
	opts  UpOptions
	log   *slog.Logger
	group ops.Group

	dir        *embed.Lock
	addresses  *embed.Addresses
	broker     *embed.Broker
	registry   *embed.Registry
	clickhouse *embed.ClickHouse
	app        *App
	endpoints  Endpoints
}

// startError makes an interrupted start a clean end.
func (u *upRun) startError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (u *upRun) lock() (err error) {
	if u.dir, err = embed.LockDir(u.cfg.DataDir); err != nil {
		return err
	}
	if u.addresses, err = embed.OpenAddresses(u.cfg.DataDir); err != nil {
		return errors.Join(err, u.dir.Close())
	}
	return nil
}

// start brings the three servers up, at the same time.
func (u *upRun) start(ctx context.Context) error {
	u.opts.Events.Step("starting broker, schema registry and ClickHouse in " + u.cfg.DataDir)
	var g errgroup.Group
	g.Go(func() (err error) {
		u.broker, err = embed.StartBroker(ctx, embed.BrokerConfig{
			DataDir: u.cfg.DataDir, Addresses: u.addresses, Addr: u.opts.KafkaAddr, Logger: u.log.With("part", "broker")})
		return err
	})
	g.Go(func() (err error) {
		u.registry, err = embed.StartRegistry(ctx, embed.RegistryConfig{
			DataDir: u.cfg.DataDir, Addresses: u.addresses, Addr: u.opts.RegistryAddr, Logger: u.log.With("part", "registry"),
			Check: func(_, schema string, earlier []string) error { return avro.CheckFullTransitive(schema, earlier) }})
		return err
	})
	g.Go(func() (err error) {
		engine, err := u.engine(ctx)
		if err != nil {
			return err
		}
		u.clickhouse, err = embed.StartClickHouse(ctx, embed.ClickHouseConfig{
			DataDir: u.cfg.DataDir, Engine: engine, Addresses: u.addresses, NativeAddr: u.opts.ClickHouseAddr, HTTPAddr: u.opts.ClickHouseHTTPAddr,
			Logger: u.log.With("part", "clickhouse")})
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	u.group.Add("broker", u.broker.Run)
	u.group.Add("schema registry", u.registry.Run)
	u.group.Add("clickhouse", u.clickhouse.Run)
	return nil
}

// engine finds the ClickHouse engine on this machine, or fetches it.
func (u *upRun) engine(ctx context.Context) (embed.Engine, error) {
	engine, notice, err := embed.Locate(ctx)
	if err == nil {
		if notice != "" {
			u.opts.Events.Notice(notice)
		}
		return engine, nil
	}
	if !errors.Is(err, embed.ErrNoEngine) {
		return engine, err
	}
	return embed.Fetch(ctx, u.opts.Events.Fetch)
}

// prepare makes topics, schemas, tables and the catalog, and the roles that
// will run on them.
func (u *upRun) prepare(ctx context.Context, getenv func(string) string) error {
	cfg := u.cfg
	cfg.Kafka.Brokers = []string{u.broker.Addr()}
	cfg.Registry.URL = u.registry.URL()
	cfg.ClickHouse.Addr = u.clickhouse.NativeAddr()
	cfg.ClickHouse.User = u.clickhouse.Owner().User
	metrics := ops.NewRegistry(u.opts.Version)
	a, err := New(Settings{Config: cfg, ClickHousePassword: u.clickhouse.Owner().Password, Getenv: getenv}, u.log, metrics)
	if err != nil {
		return err
	}
	u.app = a
	a.profile = kafka.Embedded()
	a.profile.Partitions = int32(cfg.Kafka.Partitions)
	a.health.Add("broker", func(context.Context) error { return u.broker.Ready() })
	a.health.Add("clickhouse", func(context.Context) error { return u.clickhouse.Ready() })

	u.opts.Events.Step("making topics, schemas and tables")
	var g errgroup.Group
	g.Go(func() error { _, err := a.ApplyTopics(ctx); return err })
	g.Go(func() error { _, err := a.RegisterSchemas(ctx); return err })
	g.Go(func() error { _, err := a.Migrate(ctx); return err })
	sim, err := u.simulator()
	if err := errors.Join(err, g.Wait()); err != nil {
		return err
	}
	if err := u.applyCatalog(ctx, sim); err != nil {
		return err
	}
	return u.serveAdmin(sim)
}

// simulator opens the simulator's address and adds it to the run.
func (u *upRun) simulator() (url string, err error) {
	if !u.opts.Demo {
		return "", nil
	}
	l, err := u.addresses.Listen("simulator", "", simulatorPort)
	if err != nil {
		return "", err
	}
	sim := simulator.New(simulator.Config{
		Seed: uint64(u.opts.Seed), Rates: simulator.DefaultRates(),
		StateFile: filepath.Join(u.dir.Dir(), "simulator.json"), Log: u.log.With("part", "simulator")})
	u.group.Add("simulator", func(ctx context.Context) error { return sim.Run(ctx, l) })
	return "http://" + l.Addr().String(), nil
}

const (
	simulatorPort = 8099
	adminPort     = 8090
)

func (u *upRun) applyCatalog(ctx context.Context, sim string) error {
	u.opts.Events.Step("applying the catalog")
	make := u.opts.Catalog
	if u.opts.Demo {
		make = catalog.Demo
	}
	cat, err := make(sim)
	if err != nil {
		return err
	}
	_, err = u.app.ApplyCatalog(ctx, cat, ApplyOptions{})
	return err
}

func (u *upRun) serveAdmin(sim string) error {
	addr := u.opts.AdminAddr
	if addr == "" {
		addr = u.cfg.Admin.Addr
	}
	l, err := u.addresses.Listen("admin", addr, adminPort)
	if err != nil {
		return err
	}
	for _, n := range u.addresses.Notices() {
		u.opts.Events.Notice(n)
	}
	admin := &ops.Admin{Health: u.app.health, Metrics: u.app.metrics}
	u.group.Add("admin", func(ctx context.Context) error {
		return ops.Serve(ctx, l, ops.LoopbackOnly(admin.Handler()))
	})
	u.endpoints = Endpoints{
		Event:              "ready",
		Kafka:              u.broker.Addr(),
		Registry:           u.registry.URL(),
		ClickHouseNative:   u.clickhouse.NativeAddr(),
		ClickHouseHTTP:     u.clickhouse.HTTPURL(),
		ClickHouseUser:     u.clickhouse.Owner().User,
		ClickHousePassword: u.clickhouse.Owner().Password,
		Admin:              "http://" + l.Addr().String(),
		Simulator:          sim,
		DataDir:            u.dir.Dir(),
		ReaderUser:         u.clickhouse.Reader().User,
		ReaderPassword:     u.clickhouse.Reader().Password,
	}
	return u.endpoints.write(u.dir.Dir())
}

// run starts the roles beside the servers and waits for the end. The servers
// outlive the roles: they get a context of their own.
func (u *upRun) run(ctx context.Context) error {
	var roles ops.Group
	u.app.addRoles(&roles, slices.DeleteFunc(RoleNames(), func(name string) bool { return slices.Contains(u.opts.Without, name) }))
	roles.Add("counts", func(ctx context.Context) error { return u.app.watchCounts(ctx, u.opts.Events.Counts) })

	drain := context.AfterFunc(ctx, u.app.health.Drain)
	defer drain()
	servers, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	rolesCtx, end := context.WithCancel(ctx)
	defer end()
	var g errgroup.Group
	g.Go(func() error {
		defer end() // a server that ended takes the roles with it
		return u.group.Run(servers)
	})
	g.Go(func() error {
		defer stop()
		return roles.Run(rolesCtx)
	})
	u.opts.Events.Ready(u.endpoints)
	return g.Wait()
}

// close stops what start has started: ClickHouse before the broker, the lock
// last.
func (u *upRun) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	var errs []error
	if u.app != nil {
		u.app.Close()
	}
	if u.clickhouse != nil {
		errs = append(errs, u.clickhouse.Stop(ctx))
	}
	if u.registry != nil {
		errs = append(errs, u.registry.Close(ctx))
	}
	if u.broker != nil {
		errs = append(errs, u.broker.Close())
	}
	return errors.Join(append(errs, u.dir.Close())...)
}
