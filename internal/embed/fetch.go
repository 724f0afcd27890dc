package embed

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// integrityEnv gives the sha512 of the package for a platform without a pin.
const integrityEnv = "PRICELAKE_CHDB_INTEGRITY"

// pinned holds the integrity, as npm writes it, of the packages that were
// looked at.
func pinned(platform string) string {
	if platform == "linux-x64-gnu" {
		return "sha512-XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw=="
	}
	return ""
}

// waysOut ends every error about a missing engine.
const waysOut = "install Node.js (its npm fetches ClickHouse), put a `clickhouse` binary of 25.8 or later on PATH, or give the address of a running ClickHouse"

// Progress is told how the fetch goes: what is being done, and how many bytes
// of how many. During the download the total is unknown, 0.
type Progress func(step string, done, total int64)

// Fetch gets the library through the user's own npm client, whose settings
// (registry, proxy, credentials) hold, and keeps it in the cache directory. It
// checks the package against a pinned sha512. Two processes fetch once. It
// takes about 180 MB of download and 570 MB of disk.
func Fetch(ctx context.Context, progress Progress) (Engine, error) {
	if progress == nil {
		progress = func(string, int64, int64) {}
	}
	target, err := libraryPath()
	if err != nil {
		return Engine{}, err
	}
	engine := Engine{Path: target, Version: engineVersion}
	dir := filepath.Dir(target)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Engine{}, fmt.Errorf("making the cache directory: %w", err)
	}
	lock := flock.New(filepath.Join(filepath.Dir(dir), filepath.Base(dir)+".lock"))
	progress("waiting for another process that fetches ClickHouse", 0, 0)
	if _, err := lock.TryLockContext(ctx, 200*time.Millisecond); err != nil {
		return Engine{}, fmt.Errorf("waiting for the cache directory %q: %w", dir, err)
	}
	defer lock.Close()
	if _, err := os.Stat(target); err == nil {
		return engine, nil
	}
	if err := fetchInto(ctx, target, progress); err != nil {
		return Engine{}, err
	}
	return engine, nil
}

func fetchInto(ctx context.Context, target string, progress Progress) error {
	want := pinned(platform())
	if want == "" {
		want = os.Getenv(integrityEnv)
	}
	if want == "" {
		return fmt.Errorf("the ClickHouse library for %s has no pinned checksum: %s; or read it with `npm view @chdb/lib-%s@%s dist.integrity` and set it as %s",
			platform(), waysOut, platform(), engineVersion, integrityEnv)
	}
	work, err := os.MkdirTemp(filepath.Dir(target), "fetch-")
	if err != nil {
		return fmt.Errorf("making room for the download: %w", err)
	}
	defer os.RemoveAll(work)
	tarball, err := npmPack(ctx, work, progress)
	if err != nil {
		return err
	}
	if err := verify(tarball, want, progress); err != nil {
		return err
	}
	return unpack(ctx, tarball, target, progress)
}

// npmPack downloads the package and returns its path.
func npmPack(ctx context.Context, dir string, progress Progress) (string, error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", fmt.Errorf("%w, and no npm to fetch it: %s", ErrNoEngine, waysOut)
	}
	spec := "@chdb/lib-" + platform() + "@" + engineVersion
	cmd := exec.CommandContext(ctx, npm, "pack", spec, "--pack-destination", dir, "--silent", "--no-update-notifier")
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stop := watchSize(dir, func(done int64) { progress("downloading ClickHouse", done, 0) })
	err = cmd.Run()
	stop()
	if err != nil {
		return "", fmt.Errorf("`npm pack %s` failed: %s: %s (%w)", spec, lastLines(stderr.String(), 3), waysOut, err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("`npm pack %s` left %d packages: %s", spec, len(found), waysOut)
	}
	return found[0], nil
}

// watchSize reports the size of the files in dir until the result is called.
func watchSize(dir string, report func(done int64)) (stop func()) {
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				report(dirSize(dir))
			}
		}
	}()
	return func() { close(quit); <-gone }
}

func dirSize(dir string) (size int64) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			size += info.Size()
		}
	}
	return size
}

// verify compares the file with an integrity of the form sha512-BASE64.
func verify(path, want string, progress Progress) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("checking the download: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("checking the download: %w", err)
	}
	sum := sha512.New()
	if _, err := io.Copy(sum, counting(f, info.Size(), "checking ClickHouse", progress)); err != nil {
		return fmt.Errorf("checking the download: %w", err)
	}
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("the downloaded ClickHouse package is not the expected one (%s, expected %s): it was not used; check the npm registry you are set up for", got, want)
	}
	return nil
}

// unpack takes the library out of the package and puts it in its place, whole
// or not at all.
func unpack(ctx context.Context, tarball, target string, progress Progress) (err error) {
	f, err := os.Open(tarball)
	if err != nil {
		return fmt.Errorf("unpacking ClickHouse: %w", err)
	}
	defer f.Close()
	zipped, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("unpacking ClickHouse: %w", err)
	}
	archive := tar.NewReader(zipped)
	for {
		header, err := archive.Next()
		if err != nil {
			return fmt.Errorf("unpacking ClickHouse: looking for %s: %w", libraryName, err)
		}
		if header.Name != "package/"+libraryName {
			continue
		}
		from := counting(contextReader{ctx, archive}, header.Size, "unpacking ClickHouse", progress)
		return placeLibrary(from, filepath.Join(filepath.Dir(tarball), libraryName), target)
	}
}

func placeLibrary(from io.Reader, temporary, target string) error {
	out, err := os.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return fmt.Errorf("unpacking ClickHouse: %w", err)
	}
	_, err = io.Copy(out, from)
	err = errors.Join(err, out.Sync(), out.Close())
	if err == nil {
		err = os.Rename(temporary, target)
	}
	if err != nil {
		return fmt.Errorf("unpacking ClickHouse: %w", err)
	}
	return syncDir(filepath.Dir(target))
}

// contextReader ends with its context.
type contextReader struct {
	ctx  context.Context
	from io.Reader
}

// Read implements io.Reader.
func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}

// counting reports what has been read, about every 8 MiB.
func counting(from io.Reader, total int64, step string, progress Progress) io.Reader {
	return &countingReader{from: from, total: total, step: step, progress: progress}
}

type countingReader struct {
	from                  io.Reader
	done, reported, total int64
	step                  string
	progress              Progress
}

// Read implements io.Reader.
func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.done += int64(n)
	if r.done-r.reported >= 8<<20 || (err != nil && r.done != r.reported) {
		r.reported = r.done
		r.progress(r.step, r.done, r.total)
	}
	return n, err
}

// lastLines is the end of a text, for an error message.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}
