package embed

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// npmPackage is a package as npm packs it, and its integrity.
func npmPackage(t *testing.T, files map[string]string) (tarball []byte, integrity string) {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	for name, content := range files {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(out.Bytes())
	return out.Bytes(), "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

// fakeNPM puts a program named npm first on PATH.
func fakeNPM(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "npm"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// cache makes an empty cache directory and gives what is in it at the end.
func cache(t *testing.T) (list func() []string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv(cacheEnv, dir)
	return func() []string {
		found, err := filepath.Glob(filepath.Join(dir, "chdb-*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
}

func TestFetchRefusesAnotherPackage(t *testing.T) {
	if pinned(platform()) == "" {
		t.Skip("no pinned checksum for " + platform())
	}
	list := cache(t)
	tarball, _ := npmPackage(t, map[string]string{"package/libchdb.so": "evil"})
	source := filepath.Join(t.TempDir(), "evil.tgz")
	if err := os.WriteFile(source, tarball, 0o600); err != nil {
		t.Fatal(err)
	}
	// The checksum of the environment does not override a pinned one.
	sum := sha512.Sum512(tarball)
	t.Setenv(integrityEnv, "sha512-"+base64.StdEncoding.EncodeToString(sum[:]))
	fakeNPM(t, fmt.Sprintf("cp %s \"$4/x.tgz\"\n", source))
	_, err := Fetch(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "not the expected one") {
		t.Errorf("error %v, want a refusal", err)
	}
	if left := list(); len(left) != 0 {
		t.Errorf("left in the cache: %q", left)
	}
}

func TestFetchSaysTheWaysOut(t *testing.T) {
	if pinned(platform()) == "" {
		t.Skip("no pinned checksum for " + platform())
	}
	list := cache(t)
	fakeNPM(t, "echo 'npm error code ENOTFOUND' >&2; exit 1\n")
	_, err := Fetch(t.Context(), nil)
	for _, want := range []string{"ENOTFOUND", "install Node.js", "`clickhouse` binary", "pricelake run"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("npm fails: error %v lacks %q", err, want)
		}
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := Fetch(t.Context(), nil); !errors.Is(err, ErrNoEngine) || !strings.Contains(err.Error(), "install Node.js") {
		t.Errorf("no npm: error %v", err)
	}
	if left := list(); len(left) != 0 {
		t.Errorf("left in the cache: %q", left)
	}
}

func TestFetchEndsWithItsContext(t *testing.T) {
	cache(t)
	fakeNPM(t, "sleep 60\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Fetch(ctx, nil); err == nil {
		t.Error("no error from a cancelled fetch")
	}
}

func TestFetchTakesWhatAnotherProcessFetched(t *testing.T) {
	cache(t)
	fakeNPM(t, "exit 1\n")
	path, err := libraryPath()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("library"), 0o600); err != nil {
		t.Fatal(err)
	}
	if engine, err := Fetch(t.Context(), nil); err != nil || engine.Path != path {
		t.Errorf("%+v, %v; want %s", engine, err, path)
	}
}

func TestIntegrityOfOtherPlatforms(t *testing.T) {
	if _, err := integrity("plan9-mips"); err == nil || !strings.Contains(err.Error(), integrityEnv) || !strings.Contains(err.Error(), "npm view") {
		t.Errorf("error %v, want one that says how to give a checksum", err)
	}
	t.Setenv(integrityEnv, "sha512-x")
	if got, err := integrity("plan9-mips"); err != nil || got != "sha512-x" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestVerifyAndUnpack(t *testing.T) {
	dir := t.TempDir()
	content := strings.Repeat("engine ", 3<<20)
	tarball, want := npmPackage(t, map[string]string{"package/package.json": "{}", "package/libchdb.so": content})
	path, target := filepath.Join(dir, "x.tgz"), filepath.Join(dir, "final.so")
	if err := os.WriteFile(path, tarball, 0o600); err != nil {
		t.Fatal(err)
	}
	var last, total int64
	progress := func(step string, done, of int64) {
		if step == "unpacking ClickHouse" {
			last, total = done, of
		}
	}
	if err := verify(path, want, progress); err != nil {
		t.Fatal(err)
	}
	if err := unpack(t.Context(), path, target, progress); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(target); err != nil || string(got) != content {
		t.Errorf("unpacked %d bytes, %v; want %d", len(got), err, len(content))
	}
	if last != int64(len(content)) || total != last {
		t.Errorf("last progress %d of %d, want %d", last, total, len(content))
	}
}

func TestUnpackIsAllOrNothing(t *testing.T) {
	whole, _ := npmPackage(t, map[string]string{"package/libchdb.so": strings.Repeat("random-ish 0123456789", 1<<16)})
	none, _ := npmPackage(t, map[string]string{"package/readme": "x"})
	for name, tarball := range map[string][]byte{"cut off": whole[:len(whole)/2], "without the library": none, "no archive": []byte("x")} {
		dir := t.TempDir()
		path, target := filepath.Join(dir, "x.tgz"), filepath.Join(dir, "final.so")
		if err := os.WriteFile(path, tarball, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := unpack(t.Context(), path, target, func(string, int64, int64) {}); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := os.Stat(target); !os.IsNotExist(err) {
			t.Errorf("%s: something is at the target: %v", name, err)
		}
	}
}
