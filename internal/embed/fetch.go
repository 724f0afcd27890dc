package embed

import (
	"context"
	"fmt"
	"io/fs"
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
const waysOut = "install Node.js (its npm fetches ClickHouse), put a `clickhouse` binary of 25.8 or later on PATH, or use `pricelake run` with a ClickHouse of your own"

// packageBytes is the size of the pinned package, for the progress of its
// download; those of other platforms are about as large.
const packageBytes = 177_817_999

// Progress is told how the fetch goes: what is being done, and how many bytes
// of about how many; a step without bytes has 0 of 0.
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
	if ok, err := lock.TryLock(); err != nil {
		return Engine{}, fmt.Errorf("locking the cache directory %q: %w", dir, err)
	} else if !ok {
		progress("waiting for another process that fetches ClickHouse", 0, 0)
		if _, err := lock.TryLockContext(ctx, 200*time.Millisecond); err != nil {
			return Engine{}, fmt.Errorf("waiting for the cache directory %q: %w", dir, err)
		}
	}
	defer func() { _ = lock.Close() }()
	if _, err := os.Stat(target); err == nil {
		return engine, nil
	}
	if err := fetchInto(ctx, target, progress); err != nil {
		return Engine{}, err
	}
	return engine, nil
}

// fetchInto downloads into the folder of target, and moves only the finished
// library to its name.
func fetchInto(ctx context.Context, target string, progress Progress) error {
	want, err := integrity(platform())
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(target), "fetch-")
	if err != nil {
		return fmt.Errorf("making room for the download: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	tarball, err := npmPack(ctx, work, progress)
	if err != nil {
		return err
	}
	if err := verify(tarball, want, progress); err != nil {
		return err
	}
	return unpack(ctx, tarball, target, progress)
}

// integrity is the sha512 that the package must have. The environment comes
// first only where nothing is pinned.
func integrity(platform string) (string, error) {
	if want := pinned(platform); want != "" {
		return want, nil
	}
	if want := os.Getenv(integrityEnv); want != "" {
		return want, nil
	}
	return "", fmt.Errorf("the ClickHouse library for %s has no pinned checksum: %s; or read the checksum with `npm view @chdb/lib-%s@%s dist.integrity` and set it as %s",
		platform, waysOut, platform, engineVersion, integrityEnv)
}

// npmPack downloads the package and returns its path.
func npmPack(ctx context.Context, dir string, progress Progress) (string, error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", fmt.Errorf("%w, and no npm to fetch it: %s", ErrNoEngine, waysOut)
	}
	spec := "@chdb/lib-" + platform() + "@" + engineVersion
	cmd := exec.CommandContext(ctx, npm, "pack", spec, "--pack-destination", dir, "--silent", "--no-update-notifier",
		// The user's settings hold but for the cache: here the download can be
		// watched, and nobody needs the package twice.
		"--cache", filepath.Join(dir, "npm"))
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stop := watchSize(dir, func(done int64) { progress("downloading ClickHouse", min(done, packageBytes), packageBytes) })
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

// dirSize is the size of all files below dir; what vanishes meanwhile is left
// out.
func dirSize(dir string) (size int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil
		}
		if info, err := entry.Info(); err == nil {
			size += info.Size()
		}
		return nil
	})
	return size
}
