// Package embedtest gives tests a real ClickHouse: one engine for a whole test
// process, a fresh database for each test.
//
// A package that uses it calls Main in its TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(embedtest.Main(m)) }
package embedtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/embed"
)

// shared is what the tests of this process have in common, made at first use.
var shared struct { //nolint:gochecknoglobals // the tests of a binary have one engine between them
	engine server
	binary child
}

type server struct {
	once sync.Once
	ch   *embed.ClickHouse
	dir  string
	kept bool // the data outlive it
	err  error
}

// child is the binary that runs the engine.
type child struct {
	once sync.Once
	dir  string
	path string
	err  error
}

// Main runs the tests and ends the engine they may have started. The result is
// the status to exit with.
func Main(m *testing.M) int {
	code := m.Run()
	if err := errors.Join(shared.engine.stop(), shared.binary.remove()); err != nil {
		fmt.Fprintln(os.Stderr, "embedtest:", err)
		return max(code, 1)
	}
	return code
}

// ClickHouse is the engine of this test process; it has all databases named
// test_* for its owner. Without an engine on this machine the test is skipped,
// or fails where CI=true.
func ClickHouse(t testing.TB) *embed.ClickHouse {
	t.Helper()
	shared.engine.once.Do(func() {
		shared.engine.start(func(c *embed.ClickHouseConfig) { c.Databases = []string{"pricelake", "test_*"} })
	})
	if shared.engine.err != nil {
		Missing(t, shared.engine.err)
	}
	return shared.engine.ch
}

// Database makes a database for this test, drops it at its end and returns its
// name. The owner of the engine has in it the rights it has in pricelake.
func Database(t testing.TB) string {
	t.Helper()
	ch := ClickHouse(t)
	name := "test_" + strings.ToLower(rand.Text()[:12])
	if err := ch.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ch.Exec(context.Background(), "DROP DATABASE "+name+" SYNC"); err != nil {
			t.Error(err)
		}
	})
	return name
}

// WithUsers starts an engine for this test alone, whose users are those of the
// XML files in dir, which may refer to the environment variables named. It has a
// database pricelake.
func WithUsers(t testing.TB, dir string, env ...string) *embed.ClickHouse {
	t.Helper()
	var s server
	s.start(func(c *embed.ClickHouseConfig) { c.UsersDir, c.Env, c.Databases = dir, env, nil })
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	if s.err != nil {
		Missing(t, s.err)
	}
	return s.ch
}

// In starts an engine for this test alone, with its data in dir, where they stay:
// the next one finds them. It has a database pricelake.
func In(t testing.TB, dir string) *embed.ClickHouse {
	t.Helper()
	s := server{dir: dir, kept: true}
	s.start(func(*embed.ClickHouseConfig) {})
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	if s.err != nil {
		Missing(t, s.err)
	}
	return s.ch
}

// Missing skips the test for the want of an engine, or fails it where CI=true
// and for any other error.
func Missing(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, embed.ErrNoEngine) || errors.Is(err, embed.ErrUnavailable) {
		if os.Getenv("CI") != "true" {
			t.Skipf("no ClickHouse for this test: %v", err)
		}
	}
	t.Fatal(err)
}

// Engine locates the engine and the command of the child process, which it
// builds without cgo the first time. Where CI=true a missing library is
// fetched.
func Engine(ctx context.Context) (engine embed.Engine, child []string, err error) {
	engine, _, err = embed.Locate(ctx)
	if errors.Is(err, embed.ErrNoEngine) && os.Getenv("CI") == "true" {
		engine, err = embed.Fetch(ctx, nil)
	}
	if err != nil {
		return engine, nil, err
	}
	shared.binary.once.Do(shared.binary.build)
	return engine, []string{shared.binary.path, embed.ChildCommand}, shared.binary.err
}

// build makes the child without cgo: a binary with cgo, as -race makes it,
// cannot host the library.
func (c *child) build() {
	if c.dir, c.err = os.MkdirTemp("", "pricelake-child-"); c.err != nil {
		return
	}
	c.path = filepath.Join(c.dir, "clickhouse-child")
	cmd := exec.Command("go", "build", "-o", c.path, "github.com/pricelake/pricelake/internal/embed/clickhouse-child")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		c.err = fmt.Errorf("building the ClickHouse child: %w: %s", err, out)
	}
}

func (c *child) remove() error {
	if c.dir == "" {
		return nil
	}
	return os.RemoveAll(c.dir)
}

// start starts an engine with the configuration of tests, which set completes.
func (s *server) start(set func(*embed.ClickHouseConfig)) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	engine, child, err := Engine(ctx)
	if err != nil {
		s.err = err
		return
	}
	if !s.kept {
		if s.dir, s.err = os.MkdirTemp("", "pricelake-clickhouse-"); s.err != nil {
			return
		}
	}
	addresses, err := embed.OpenAddresses(s.dir)
	if err != nil {
		s.err = err
		return
	}
	cfg := embed.ClickHouseConfig{
		DataDir:      s.dir,
		Engine:       engine,
		Addresses:    addresses,
		NativeAddr:   "127.0.0.1:0",
		HTTPAddr:     "127.0.0.1:0",
		ChildCommand: child,
		Logger:       slog.New(slog.DiscardHandler),
	}
	set(&cfg)
	s.ch, s.err = embed.StartClickHouse(ctx, cfg)
}

func (s *server) stop() error {
	var errs []error
	if s.ch != nil {
		errs = append(errs, s.ch.Stop(context.Background()))
	}
	if s.dir != "" && !s.kept {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}
