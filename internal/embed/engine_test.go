package embed

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// onPath puts a program named clickhouse, which tells version, on PATH, alone.
func onPath(t *testing.T, says string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "clickhouse")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+says+"'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	return path
}

func TestLocateOrder(t *testing.T) {
	t.Setenv(cacheEnv, t.TempDir())
	t.Setenv("PATH", t.TempDir())
	if _, _, err := Locate(t.Context()); !errors.Is(err, ErrNoEngine) {
		t.Errorf("nothing there: %v, want ErrNoEngine", err)
	}

	library, err := libraryPath()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(library), 0o700), os.WriteFile(library, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if e, _, err := Locate(t.Context()); err != nil || e.Binary || e.Path != library {
		t.Errorf("library only: %+v, %v", e, err)
	}

	binary := onPath(t, "ClickHouse server version 26.3.2.1 (official build).")
	if e, notice, err := Locate(t.Context()); err != nil || !e.Binary || e.Path != binary || e.Version != "26.3.2.1" || notice != "" {
		t.Errorf("new binary: %+v, %q, %v", e, notice, err)
	}
	for _, says := range []string{"ClickHouse server version 18.16.1 (official build).", "ClickHouse server version 25.7.9.9.", "hello"} {
		onPath(t, says)
		if e, notice, err := Locate(t.Context()); err != nil || e.Path != library || !strings.Contains(notice, "passed over") {
			t.Errorf("binary that says %q: %+v, %q, %v; want the library and a notice", says, e, notice, err)
		}
	}
}

func TestCacheDir(t *testing.T) {
	t.Setenv(cacheEnv, "/somewhere")
	if got, err := CacheDir(); err != nil || got != "/somewhere" {
		t.Errorf("%q, %v", got, err)
	}
	t.Setenv(cacheEnv, "")
	t.Setenv("XDG_CACHE_HOME", "/home/x/.cache")
	if got, err := CacheDir(); err != nil || filepath.Base(got) != "pricelake" {
		t.Errorf("%q, %v", got, err)
	}
}
