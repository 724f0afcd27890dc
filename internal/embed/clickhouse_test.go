//go:build !noembed && unix

package embed_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/embed"
	"github.com/pricelake/pricelake/internal/embed/embedtest"
)

func TestClickHouseKeepsEverythingOverARestart(t *testing.T) {
	dir := t.TempDir()
	ch := startEngine(t, dir, nil)
	owner, reader, url, native := ch.Owner(), ch.Reader(), ch.HTTPURL(), ch.NativeAddr()
	ask(t, url, owner, "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n AS SELECT number FROM numbers(1000)")
	ask(t, url, owner, "SYSTEM FLUSH LOGS")
	if err := ch.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}

	ch = startEngine(t, dir, nil)
	if ch.Owner() != owner || ch.Reader() != reader || ch.HTTPURL() != url || ch.NativeAddr() != native {
		t.Errorf("passwords or addresses changed: %v %v %s %s", ch.Owner(), ch.Reader(), ch.HTTPURL(), ch.NativeAddr())
	}
	if got := ask(t, url, owner, "SELECT count() FROM t"); got != "1000" {
		t.Errorf("%s rows after a restart, want 1000", got)
	}
	ask(t, url, owner, "SYSTEM FLUSH LOGS")
	if got := ask(t, url, owner, "SELECT count() > 0 FROM system.query_log WHERE query LIKE 'CREATE TABLE t %'"); got != "1" {
		t.Error("the query log does not go back over the restart")
	}
}

// watch runs Run in the background and gives the means to end it.
func watch(t *testing.T, ch *embed.ClickHouse) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- ch.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestCrashedEngineComesBack(t *testing.T) {
	ch := startEngine(t, t.TempDir(), nil)
	watch(t, ch)
	ask(t, ch.HTTPURL(), ch.Owner(), "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n AS SELECT 7 AS n")
	first := ch.Pid()
	if err := syscall.Kill(first, syscall.SIGSEGV); err != nil {
		t.Fatal(err)
	}
	await(t, "another child answers", func() bool { return ch.Restarts() == 1 && ch.Ready() == nil })
	if ch.Pid() == first {
		t.Error("the pid is the old one")
	}
	if got := ask(t, ch.HTTPURL(), ch.Owner(), "SELECT n FROM t"); got != "7" {
		t.Errorf("the row is %q after a crash", got)
	}

	// Another program sits on the port: the engine comes back when it leaves.
	thief := steal(t, strings.TrimPrefix(ch.HTTPURL(), "http://"), ch.Pid())
	await(t, "it says that the port is taken", func() bool {
		err := ch.Ready()
		return err != nil && strings.Contains(err.Error(), "another program took the port")
	})
	thief.Close()
	await(t, "it is back", func() bool { return ch.Ready() == nil })
	if got := ask(t, ch.HTTPURL(), ch.Owner(), "SELECT n FROM t"); got != "7" {
		t.Errorf("the row is %q after a stolen port", got)
	}
}

// steal kills the engine and takes its port.
func steal(t *testing.T, addr string, pid int) net.Listener {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for {
		l, err := net.Listen("tcp", addr)
		if err == nil {
			return l
		}
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}

// Without a password one may close the listeners: they are opened again.
func TestDeafEngineComesBack(t *testing.T) {
	// Not the usual port: another program would take it while it is free.
	ch := startEngine(t, t.TempDir(), func(c *embed.ClickHouseConfig) { c.NativeAddr = freeAddr(t) })
	watch(t, ch)
	if _, err := tryAsk(t.Context(), ch.HTTPURL(), embed.Credentials{}, "SYSTEM STOP LISTEN TCP"); err != nil {
		t.Fatal(err)
	}
	await(t, "the engine was started again", func() bool { return ch.Restarts() == 1 && ch.Ready() == nil })
	if err := pingNative(t, ch.NativeAddr(), ch.Owner()); err != nil {
		t.Error(err)
	}
}

// unhurried is how long Stop waits for an engine that is not told to end, or does
// not obey, before it ends it by force.
const unhurried = 3 * time.Second

func TestStopDoesNotWaitForQueries(t *testing.T) {
	ch := startEngine(t, t.TempDir(), nil)
	pid := ch.Pid()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = tryAsk(context.Background(), ch.HTTPURL(), ch.Owner(), "SELECT sleepEachRow(1) FROM numbers(60) SETTINGS function_sleep_max_microseconds_per_block=100000000")
	}()
	await(t, "the slow query runs", func() bool {
		return ask(t, ch.HTTPURL(), ch.Owner(), "SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow(1)%'") == "2"
	})
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := ch.Stop(ctx); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took >= unhurried || alive(pid) {
		t.Errorf("stopped after %v, alive: %v", took, alive(pid))
	}
	<-ended
}

func TestConfiguredPortTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	engine, child, err := embedtest.Engine(t.Context())
	if err != nil {
		embedtest.Missing(t, err)
	}
	_, err = embed.StartClickHouse(t.Context(), embed.ClickHouseConfig{
		DataDir: dir, Engine: engine, ChildCommand: child, Addresses: addresses(t, dir), Logger: quiet, HTTPAddr: taken.Addr().String(),
	})
	if err == nil || !strings.Contains(err.Error(), taken.Addr().String()) || !strings.Contains(err.Error(), "is taken") {
		t.Errorf("error %v, want a sentence about the port", err)
	}
}

func TestBrokenLibrarySaysSo(t *testing.T) {
	dir := t.TempDir()
	_, child, err := embedtest.Engine(t.Context())
	if err != nil {
		embedtest.Missing(t, err)
	}
	library := filepath.Join(dir, "libchdb.so")
	write(t, library, "not a library")
	_, err = embed.StartClickHouse(t.Context(), embed.ClickHouseConfig{
		DataDir: dir, Engine: embed.Engine{Path: library}, ChildCommand: child, Addresses: addresses(t, dir), Logger: quiet,
	})
	if err == nil || !strings.Contains(err.Error(), "loading") || !strings.Contains(err.Error(), library) {
		t.Errorf("error %v, want one that names the library", err)
	}
}

// A stand-alone server is played by a script around the child: it shows that
// such a binary is found, given the configuration and told to stop.
func TestBinaryOnPath(t *testing.T) {
	engine, child, err := embedtest.Engine(t.Context())
	if err != nil {
		embedtest.Missing(t, err)
	}
	dir, bin := t.TempDir(), t.TempDir()
	script := fmt.Sprintf(`#!/bin/sh
if [ "$2" = --version ]; then echo 'ClickHouse server version 26.1.1.1.'; exit; fi
sed -i '/<default>/,/<\/default>/ s|<password_sha256_hex>.*</password_sha256_hex>|<password></password>|' %[3]s/clickhouse/config/users.xml
exec %[1]s --library=%[2]s --dir=%[3]s/clickhouse -- $2 --interactive --disable_suggestion --history_file=/dev/null "--query=SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP"
`, strings.Join(child, " "), engine.Path, dir)
	write(t, filepath.Join(bin, "clickhouse"), script)
	if err := os.Chmod(filepath.Join(bin, "clickhouse"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	found, _, err := embed.Locate(t.Context())
	if err != nil || !found.Binary {
		t.Fatalf("located %+v, %v; want the binary", found, err)
	}
	ch := startEngine(t, dir, func(c *embed.ClickHouseConfig) { c.Engine = found })
	if got := ask(t, ch.HTTPURL(), ch.Owner(), "SELECT 1"); got != "1" {
		t.Errorf("answer %q", got)
	}
	pid, start := ch.Pid(), time.Now()
	err = ch.Stop(t.Context())
	if took := time.Since(start); err != nil || alive(pid) || took >= unhurried {
		t.Errorf("stopped with %v after %v, alive: %v", err, took, alive(pid))
	}
}
