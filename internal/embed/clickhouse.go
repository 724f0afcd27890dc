package embed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

const (
	nativePort = 9000
	httpPort   = 8123
	// startPatience is how long the engine may take to answer. An empty one
	// takes 0.2 s; one that replays a lot after a crash takes longer.
	startPatience = 60 * time.Second
	// stopPatience is how long it may take to end. With an open connection it
	// waits for 5 s; killing it loses nothing that it acknowledged.
	stopPatience = 3 * time.Second
	// lockWait is how long a start waits for the data of an earlier child.
	lockWait = 10 * time.Second
)

// ClickHouse is a ClickHouse server in a child process. It dies with this
// process, and what it has acknowledged survives that.
type ClickHouse struct {
	cfg       ClickHouseConfig
	dir       string
	passwords passwords
	operator  Credentials
	client    *serverClient
	logs      logs
	native    string // host:port, fixed after the start
	http      string

	mu       sync.Mutex
	child    *child
	stopped  bool
	unready  error
	restarts int
}

// StartClickHouse starts the engine and returns when it answers. A child that
// an earlier process left behind is ended first.
func StartClickHouse(ctx context.Context, cfg ClickHouseConfig) (*ClickHouse, error) {
	if len(cfg.Databases) == 0 {
		cfg.Databases = []string{"pricelake"}
	}
	c := &ClickHouse{
		cfg:      cfg,
		dir:      filepath.Join(cfg.DataDir, "clickhouse"),
		operator: Credentials{operatorUser, rand.Text()},
		client:   newServerClient(),
		logs:     logs{dir: filepath.Join(cfg.DataDir, "clickhouse", "log")},
	}
	if err := c.prepare(ctx); err != nil {
		return nil, err
	}
	if err := c.firstLaunch(ctx); err != nil {
		c.client.close()
		return nil, err
	}
	create := "CREATE DATABASE IF NOT EXISTS " + cfg.Databases[0]
	if _, err := c.client.query(ctx, c.http, c.operator, create); err != nil {
		return nil, errors.Join(fmt.Errorf("making the database: %w", err), c.Stop(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// prepare makes the folder, the passwords and the addresses, and ends what an
// earlier run left behind: its ports and its data have to be free.
func (c *ClickHouse) prepare(ctx context.Context) (err error) {
	for _, sub := range []string{"", "config", "data", "data/metadata", "files", "log"} {
		dir := filepath.Join(c.dir, sub)
		if err := errors.Join(makeDir(dir), removeTemporaries(dir)); err != nil {
			return err
		}
	}
	if c.passwords, err = loadPasswords(filepath.Join(c.cfg.DataDir, "clickhouse-passwords.json")); err != nil {
		return err
	}
	if err := endPredecessor(c.recordPath()); err != nil {
		return err
	}
	if err := c.waitForData(ctx); err != nil {
		return err
	}
	return c.chooseAddresses()
}

func (c *ClickHouse) recordPath() string { return filepath.Join(c.dir, "child.json") }

// waitForData waits until no engine holds the data any more.
func (c *ClickHouse) waitForData(ctx context.Context) error {
	path := filepath.Join(c.dir, "data", "status")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	lock := flock.New(path)
	if ok, err := lock.TryLockContext(ctx, 5*time.Millisecond); !ok {
		holder, _ := os.ReadFile(path)
		return fmt.Errorf("another ClickHouse holds %q: end it, then start again (it says: %q) (%w)", filepath.Dir(path), holder, err)
	}
	return lock.Close()
}

// chooseAddresses takes the two ports and lets go of them: the engine binds
// them itself.
func (c *ClickHouse) chooseAddresses() error {
	native, err := c.cfg.Addresses.Listen(ServiceClickHouseNative, c.cfg.NativeAddr, nativePort)
	if err != nil {
		return err
	}
	defer func() { _ = native.Close() }()
	web, err := c.cfg.Addresses.Listen(ServiceClickHouseHTTP, c.cfg.HTTPAddr, httpPort)
	if err != nil {
		return err
	}
	c.native, c.http = native.Addr().String(), web.Addr().String()
	return web.Close()
}

// NativeAddr is the host:port of the native protocol.
func (c *ClickHouse) NativeAddr() string { return c.native }

// HTTPURL is the base URL of the HTTP interface.
func (c *ClickHouse) HTTPURL() string { return "http://" + c.http }

// Owner is the user that may read and write the databases of the
// configuration and nothing outside. The password is the same at every start.
func (c *ClickHouse) Owner() Credentials { return c.passwords.Owner }

// Reader is the user that may read these databases, within limits of time,
// memory and rows. The password is the same at every start.
func (c *ClickHouse) Reader() Credentials { return c.passwords.Reader }

// Operator is the user that may do everything. Its password is new at every
// start and must not be handed to people or written down.
func (c *ClickHouse) Operator() Credentials { return c.operator }

// Pid is the process of the engine at the moment, 0 when none runs.
func (c *ClickHouse) Pid() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.child == nil {
		return 0
	}
	return c.child.pid
}

// Stop ends the engine, by force when it does not end within stopPatience or
// ctx, and returns when it is gone.
func (c *ClickHouse) Stop(ctx context.Context) error {
	c.mu.Lock()
	c.stopped = true
	ch := c.child
	c.mu.Unlock()
	defer c.client.close()
	if ch == nil {
		return nil
	}
	patience := stopPatience
	if deadline, ok := ctx.Deadline(); ok {
		patience = max(0, min(patience, time.Until(deadline)))
	}
	polite := endOfInput
	if c.cfg.Engine.Binary {
		polite = terminate
	}
	ch.stop(polite, patience)
	return nil
}

// Exec runs one statement as the operator, for the few things that are ours to
// do: databases of tests, checks.
func (c *ClickHouse) Exec(ctx context.Context, sql string) error {
	_, err := c.client.query(ctx, c.http, c.operator, sql)
	return err
}
