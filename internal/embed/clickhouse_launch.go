package embed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/pricelake/pricelake/internal/accounts"
)

// portTries is how often a first start moves on when another program takes a
// port between our choice and the engine's.
const portTries = 3

// firstLaunch is launch, with other ports when these were lost meanwhile.
func (c *ClickHouse) firstLaunch(ctx context.Context) error {
	for try := 1; ; try++ {
		err := c.launch(ctx)
		if !errors.Is(err, errPortTaken) || try == portTries {
			return err
		}
		if err := c.chooseAddresses(); err != nil {
			return err
		}
	}
}

// launch starts a child and waits until it, and no other, answers.
func (c *ClickHouse) launch(ctx context.Context) error {
	replica := rand.Text()
	if err := writeServerConfig(c.serverConfig(replica)); err != nil {
		return err
	}
	if err := copyUsers(c.cfg.UsersDir, filepath.Join(c.dir, "config", "users.d")); err != nil {
		return err
	}
	if err := c.logs.mark(); err != nil {
		return err
	}
	started := time.Now()
	ch, err := spawn(c.argv(), c.dir, c.logs.path(childLog), c.recordPath(), c.cfg.Env)
	if err != nil {
		return err
	}
	if err := c.awaitAnswer(ctx, ch, replica); err != nil {
		ch.kill()
		<-ch.done
		return err
	}
	c.cfg.Logger.Debug("ClickHouse answers", "pid", ch.pid, "after", time.Since(started).Round(time.Millisecond))
	if c.logs.contain(notConfined) {
		c.cfg.Logger.Warn("the kernel cannot confine ClickHouse: who has a password of it can read the files of this account", "why", c.logs.lastWords())
	}
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
		Database:     c.cfg.Databases[0],
		Passwordless: !c.cfg.Engine.Binary,
		Operator:     sha256Hex(c.operator.Password),
		Owner:        sha256Hex(c.passwords.Owner.Password),
		Reader:       sha256Hex(c.passwords.Reader.Password),
		OwnUsers:     c.cfg.UsersDir == "",
		OwnerGrants:  append(ownerGrants(c.cfg.Databases), c.cfg.OwnerGrants...),
		ReaderGrants: readerGrants(c.cfg.Databases),

		ReaderProfile: accounts.ReaderProfile(),
		ReaderQueries: accounts.ReaderQueriesPerMinute,
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
	for asked := time.Now(); ; {
		select {
		case <-ch.done:
			return fmt.Errorf("ClickHouse ended during its start: %s (its logs are in %q)", c.logs.lastWords(), c.logs.dir)
		case <-ctx.Done():
			return fmt.Errorf("ClickHouse did not answer on %s: %s (its logs are in %q): %w", c.http, c.logs.lastWords(), c.logs.dir, ctx.Err())
		case <-tick.C:
		}
		if c.isReplica(ctx, replica) {
			return dialable(ctx, c.native)
		}
		// A server that could not listen goes on without: only its log tells.
		if time.Since(asked) > logInterval {
			asked = time.Now()
			if c.logs.contain("Address already in use") {
				return fmt.Errorf("starting ClickHouse on %s and %s: %w", c.native, c.http, errPortTaken)
			}
		}
	}
}

// logInterval is the time between two looks into the log of a slow start.
const logInterval = 200 * time.Millisecond

// isReplica reports whether the HTTP port answers, soon, with this macro.
func (c *ClickHouse) isReplica(ctx context.Context, replica string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	answer, err := c.client.query(ctx, c.http, c.operator, "SELECT getMacro('replica')")
	return err == nil && answer == replica
}

var errPortTaken = errors.New("another program took the port: stop that program or configure other ports")

// dialable says whether the native port takes connections.
func dialable(ctx context.Context, addr string) error {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("ClickHouse does not listen on %s: %w", addr, err)
	}
	return conn.Close()
}
