package servers

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/pricelake/pricelake/internal/freeport"
)

// kafkaVersion and registryVersion are what .ci/services installs.
const (
	kafkaVersion    = "4.3.1"
	registryVersion = "3.3.3"
)

// cacheDir is where .ci/services installs.
func cacheDir() (string, error) {
	if dir := os.Getenv("PRICELAKE_CACHE_DIR"); dir != "" {
		return filepath.Join(dir, "services"), nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache of .ci/services: %w", err)
	}
	return filepath.Join(dir, "pricelake", "services"), nil
}

// installed returns the cache once the named things are in it.
func installed(names ...string) (string, error) {
	dir, err := cacheDir()
	if err != nil {
		return "", err
	}
	for _, name := range append(names, filepath.Join("java", "bin", "java")) {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("%w: %w", errNotInstalled, err)
		}
	}
	return dir, nil
}

// java is the start of a server's command line: Java, the options of this package
// kept beside the server's data, and the classes that were prepared for it.
func java(cache, dir, server string) ([]string, error) {
	options := filepath.Join(dir, "jvm.options")
	if err := os.WriteFile(options, jvmOptions, 0o600); err != nil {
		return nil, fmt.Errorf("writing the options of Java: %w", err)
	}
	argv := []string{filepath.Join(cache, "java", "bin", "java"), "@" + options}
	if archive := filepath.Join(cache, server+".jsa"); exists(archive) {
		argv = append(argv, "-XX:SharedArchiveFile="+archive)
	}
	return argv, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

var errNotInstalled = errors.New("the servers of these tests are not installed; `.ci/services fetch` does it")

// need skips the test for the want of a server, or fails it where CI=true and
// for any other error.
func need(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, errNotInstalled) && os.Getenv("CI") != "true":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// FreeAddr finds a loopback address for a server of a test, that nobody is given
// before the server is there, nor while it is away: neither who listens anywhere
// nor who connects.
func FreeAddr(t testing.TB) string {
	t.Helper()
	addr, err := freeport.Addr()
	need(t, err)
	return addr
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
