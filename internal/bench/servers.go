package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pricelake/pricelake/internal/embed"
	"github.com/pricelake/pricelake/internal/freeport"
	"github.com/pricelake/pricelake/schemas/avro"
)

// ServerOptions say which servers a measurement needs.
type ServerOptions struct {
	// Dir keeps their data and logs.
	Dir string
	// Child is the command of this binary that calls RunChild with what is
	// appended to it.
	Child []string
	// Engine is the ClickHouse to start; nil: the measurement needs none.
	Engine *embed.Engine
	Log    *slog.Logger
}

// Servers are broker, schema registry and ClickHouse of a measurement. Broker
// and ClickHouse are processes of their own; the registry, which is asked a few
// times, runs in this one.
type Servers struct {
	Kafka    string // host:port
	Registry string // URL
	// ClickHouse is nil when none was asked for.
	ClickHouse *embed.ClickHouse

	dir      string
	child    []string
	broker   *Process
	registry *embed.Registry
	engine   embed.ClickHouseConfig // of ClickHouse, to start it again
	lock     interface{ Close() error }
}

// startPatience is how long a server or a role may take until it answers.
const startPatience = time.Minute

// StartServers starts the servers and returns when all of them answer. Stop them.
func StartServers(ctx context.Context, o ServerOptions) (s *Servers, err error) {
	s = &Servers{dir: o.Dir, child: o.Child}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
			s = nil
		}
	}()
	if err := os.MkdirAll(filepath.Join(o.Dir, "logs"), 0o700); err != nil {
		return s, fmt.Errorf("making the folder of the measurement: %w", err)
	}
	lock, err := embed.LockDir(o.Dir)
	if err != nil {
		return s, err
	}
	s.lock = lock
	addresses, err := embed.OpenAddresses(o.Dir)
	if err != nil {
		return s, err
	}
	if err := s.startBroker(ctx); err != nil {
		return s, err
	}
	registryAddr, err := freeport.Addr()
	if err != nil {
		return s, err
	}
	s.registry, err = embed.StartRegistry(ctx, embed.RegistryConfig{DataDir: o.Dir, Addresses: addresses, Addr: registryAddr, Logger: o.Log,
		Check: func(_, schema string, earlier []string) error { return avro.CheckFullTransitive(schema, earlier) }})
	if err != nil {
		return s, err
	}
	s.Registry = "http://" + registryAddr
	if o.Engine == nil {
		return s, nil
	}
	return s, s.startClickHouse(ctx, o, addresses)
}

func (s *Servers) startBroker(ctx context.Context) (err error) {
	if s.Kafka, err = freeport.Addr(); err != nil {
		return err
	}
	s.broker, err = s.Start("broker", []string{childAddrEnv + "=" + s.Kafka}, childBroker)
	if err != nil {
		return err
	}
	return s.broker.await(ctx, startPatience, func(ctx context.Context) error { return listens(ctx, s.Kafka) })
}

func (s *Servers) startClickHouse(ctx context.Context, o ServerOptions, addresses *embed.Addresses) error {
	native, err := freeport.Addr()
	if err != nil {
		return err
	}
	web, err := freeport.Addr()
	if err != nil {
		return err
	}
	s.engine = embed.ClickHouseConfig{
		DataDir: o.Dir, Engine: *o.Engine, Addresses: addresses, NativeAddr: native, HTTPAddr: web,
		AllowConnect: true, // its Kafka engine is measured too
		Logger:       o.Log,
	}
	return s.restart(ctx)
}

// restart starts the ClickHouse that was stopped, at its address.
func (s *Servers) restart(ctx context.Context) error {
	started, err := embed.StartClickHouse(ctx, s.engine)
	if err == nil {
		s.ClickHouse = started
	}
	return err
}

// Start starts a child of this binary: what RunChild makes of args. Its
// environment is this process' without the product's settings, and env.
func (s *Servers) Start(name string, env []string, args ...string) (*Process, error) {
	folder := filepath.Join(s.dir, name)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("making a folder for %s: %w", name, err)
	}
	argv := append(append([]string{}, s.child...), args...)
	return startProcess(name, argv, append(append(cleanEnv(), childDirEnv+"="+folder), env...), filepath.Join(s.dir, "logs", name+".log"))
}

// cleanEnv is this process' environment without the product's settings.
func cleanEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PRICELAKE_") || strings.HasPrefix(kv, "PRICELAKE_CACHE_DIR=") {
			env = append(env, kv)
		}
	}
	return env
}

// Stop ends what was started, in the reverse order.
func (s *Servers) Stop() error {
	var errs []error
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	if s.ClickHouse != nil {
		errs = append(errs, s.ClickHouse.Stop(ctx))
	}
	if s.registry != nil {
		errs = append(errs, s.registry.Close(ctx))
	}
	if s.broker != nil {
		errs = append(errs, s.broker.Stop())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

func listens(ctx context.Context, addr string) error {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}
