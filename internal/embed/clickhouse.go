package embed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
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

// ClickHouseConfig says where and how the embedded ClickHouse runs.
type ClickHouseConfig struct {
	// DataDir is the locked data directory; ClickHouse has the folder
	// "clickhouse" inside, the passwords lie beside it.
	DataDir string
	// Engine is what Locate or Fetch found.
	Engine Engine
	// Addresses chooses the ports.
	Addresses *Addresses
	// NativeAddr and HTTPAddr are loopback host:ports to use; empty lets
	// Addresses choose.
	NativeAddr, HTTPAddr string
	// ChildCommand is the command that calls ChildMain with what is appended
	// to it. Empty means this very binary with the sub-command ChildCommand. A
	// binary built with cgo cannot be the child.
	ChildCommand []string
	// Databases the owner has all rights in, "test_*" for all with a prefix.
	// Empty means pricelake. The first one is made at the start.
	Databases []string
	// OwnerGrants are further rights of the owner, as GRANT statements.
	OwnerGrants []string
	// AllowConnect lets the engine open connections of its own, which its
	// Kafka engine needs.
	AllowConnect bool
	// MemoryLimit bounds the engine, in bytes. Zero means half of the
	// machine's memory.
	MemoryLimit uint64
	// Logger gets restarts and what the engine said when it could not start.
	// Required.
	Logger *slog.Logger
}

// ClickHouse is a ClickHouse server in a child process. It dies with this
// process, and what it has acknowledged survives that.
type ClickHouse struct {
	cfg       ClickHouseConfig
	dir       string
	passwords passwords
	operator  Credentials
	client    *serverClient

	mu       sync.Mutex
	native   string
	http     string
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
	}
	if err := c.prepare(ctx); err != nil {
		return nil, err
	}
	if err := c.launch(ctx); err != nil {
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
	if err := makeDir(c.dir); err != nil {
		return err
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
	defer native.Close()
	web, err := c.cfg.Addresses.Listen(ServiceClickHouseHTTP, c.cfg.HTTPAddr, httpPort)
	if err != nil {
		return err
	}
	c.native, c.http = native.Addr().String(), web.Addr().String()
	return web.Close()
}

// launch starts a child and waits until it, and no other, answers.
func (c *ClickHouse) launch(ctx context.Context) error {
	replica := rand.Text()
	if err := writeServerConfig(c.serverConfig(replica)); err != nil {
		return err
	}
	started := time.Now()
	ch, err := spawn(c.argv(), c.dir, filepath.Join(c.dir, "log", "child.log"), c.recordPath())
	if err != nil {
		return err
	}
	if err := c.awaitAnswer(ctx, ch, replica); err != nil {
		ch.kill()
		<-ch.done
		return err
	}
	c.cfg.Logger.Debug("ClickHouse answers", "pid", ch.pid, "after", time.Since(started).Round(time.Millisecond))
	c.mu.Lock()
	c.child, c.unready = ch, nil
	c.mu.Unlock()
	return nil
}

func (c *ClickHouse) serverConfig(replica string) serverConfig {
	return serverConfig{
		Dir:          c.dir,
		NativePort:   portOf(c.native),
		HTTPPort:     portOf(c.http),
		ReplicaID:    replica,
		MemoryLimit:  c.cfg.MemoryLimit,
		Passwordless: !c.cfg.Engine.Binary,
		Operator:     sha256Hex(c.operator.Password),
		Owner:        sha256Hex(c.passwords.Owner.Password),
		Reader:       sha256Hex(c.passwords.Reader.Password),
		OwnerGrants:  append(ownerGrants(c.cfg.Databases), c.cfg.OwnerGrants...),
		ReaderGrants: readerGrants(c.cfg.Databases),
	}
}

func portOf(addr string) int {
	_, port, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(port)
	return n
}

// argv is the command line of the child.
func (c *ClickHouse) argv() []string {
	config := "--config-file=" + filepath.Join(c.dir, "config", "config.xml")
	if c.cfg.Engine.Binary {
		return []string{c.cfg.Engine.Path, "server", config}
	}
	argv := c.cfg.ChildCommand
	if len(argv) == 0 {
		self, err := os.Executable()
		if err != nil {
			self = os.Args[0]
		}
		argv = []string{self, ChildCommand}
	}
	argv = append(argv[:len(argv):len(argv)], "--library="+c.cfg.Engine.Path, "--dir="+c.dir)
	if c.cfg.AllowConnect {
		argv = append(argv, "--allow-connect")
	}
	return append(argv, "--", config, "--log-level=warning",
		// A terminal and this flag, or one bad client aborts the server.
		"--interactive", "--disable_suggestion", "--history_file=/dev/null",
		"--query=SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP")
}

// awaitAnswer asks for the macro that only this child was given: /ping might be
// answered by another program that took the port.
func (c *ClickHouse) awaitAnswer(ctx context.Context, ch *child, replica string) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		select {
		case <-ch.done:
			return fmt.Errorf("ClickHouse ended during its start: %s (its logs are in %q)", c.lastWords(), filepath.Join(c.dir, "log"))
		case <-ctx.Done():
			return fmt.Errorf("ClickHouse did not answer on %s: %s (its logs are in %q; the last try: %w)", c.http, c.lastWords(), filepath.Join(c.dir, "log"), errors.Join(ctx.Err(), last))
		case <-tick.C:
		}
		var answer string
		if answer, last = c.client.query(ctx, c.http, c.operator, "SELECT getMacro('replica')"); last == nil && answer != replica {
			last = fmt.Errorf("the answer %q is not of this child", answer)
		} else if last == nil {
			return dialable(ctx, c.native)
		}
	}
}

// dialable says whether the native port takes connections.
func dialable(ctx context.Context, addr string) error {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("ClickHouse does not listen on %s: %w", addr, err)
	}
	return conn.Close()
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
