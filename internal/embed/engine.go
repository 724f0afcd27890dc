package embed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"time"
)

// ErrNoEngine says that no ClickHouse was found on this machine.
var ErrNoEngine = errors.New("no ClickHouse engine on this machine")

// The engine of the library: the npm package @chdb/lib-PLATFORM.
const (
	engineVersion = "26.7.3-stable.1"
	libraryName   = "libchdb.so" // on macOS too
	// cacheEnv overrides the directory that keeps the library.
	cacheEnv = "PRICELAKE_CACHE_DIR"
)

// Oldest release of a `clickhouse` binary that is used: its SQL has to be that
// of the lake.
const minMajor, minMinor = 25, 8

// Engine is a ClickHouse that can be started.
type Engine struct {
	// Path of a `clickhouse` binary, or of the library.
	Path string
	// Binary tells the two apart.
	Binary bool
	// Version as it calls itself.
	Version string
}

// Locate finds the ClickHouse to start: a `clickhouse` binary on PATH that is
// new enough, else the library in the cache directory. notice is a sentence
// about a binary that was passed over. With neither the error is ErrNoEngine,
// and Fetch may help.
func Locate(ctx context.Context) (engine Engine, notice string, err error) {
	if path, lookErr := exec.LookPath("clickhouse"); lookErr == nil {
		version, major, minor, verErr := binaryVersion(ctx, path)
		switch {
		case verErr != nil:
			notice = fmt.Sprintf("%s does not tell its version and was passed over (%v)", path, verErr)
		case major < minMajor || (major == minMajor && minor < minMinor):
			notice = fmt.Sprintf("%s is ClickHouse %s, older than %d.%d, and was passed over", path, version, minMajor, minMinor)
		default:
			return Engine{Path: path, Binary: true, Version: version}, "", nil
		}
	}
	path, err := libraryPath()
	if err != nil {
		return Engine{}, notice, err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return Engine{}, notice, ErrNoEngine
	} else if err != nil {
		return Engine{}, notice, fmt.Errorf("looking for the ClickHouse library: %w", err)
	}
	return Engine{Path: path, Version: engineVersion}, notice, nil
}

var versionPattern = regexp.MustCompile(`version ((\d+)\.(\d+)[0-9.]*)`)

func binaryVersion(ctx context.Context, path string) (version string, major, minor int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "server", "--version").Output()
	if err != nil {
		return "", 0, 0, err
	}
	m := versionPattern.FindSubmatch(out)
	if m == nil {
		return "", 0, 0, fmt.Errorf("`%s server --version` says %q", path, out)
	}
	major, _ = strconv.Atoi(string(m[2]))
	minor, _ = strconv.Atoi(string(m[3]))
	return string(m[1]), major, minor, nil
}

// CacheDir is where downloads are kept: $PRICELAKE_CACHE_DIR, else the folder
// pricelake in the user's cache directory.
func CacheDir() (string, error) {
	if dir := os.Getenv(cacheEnv); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding a cache directory (set %s): %w", cacheEnv, err)
	}
	return filepath.Join(dir, "pricelake"), nil
}

func libraryPath() (string, error) {
	dir, err := CacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "chdb-"+engineVersion+"-"+platform(), libraryName), nil
}

// platform is how npm calls this system.
func platform() string {
	arch := runtime.GOARCH
	if arch == "amd64" {
		arch = "x64"
	}
	if runtime.GOOS == "linux" {
		return "linux-" + arch + "-gnu"
	}
	return runtime.GOOS + "-" + arch
}
