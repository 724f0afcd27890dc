package servers

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Pricelake builds cmd/pricelake of this module as users get it, without cgo,
// fetches the ClickHouse engine for it where it is not in the cache, and returns
// its path. Without the engine the test is skipped, or fails where CI=true.
func Pricelake(t testing.TB) string {
	t.Helper()
	binary, err := built.plain()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(binary, "engine", "fetch").CombinedOutput(); err != nil {
		need(t, fmt.Errorf("%w (no ClickHouse engine: %s)", errNotInstalled, out))
	}
	return binary
}

// PricelakeRace is Pricelake with the race detector, which cannot host the
// engine: for roles.
func PricelakeRace(t testing.TB) string {
	t.Helper()
	binary, err := built.race()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// built has each binary built once in a test process, so that one run tests one
// state of the code.
var built = struct{ plain, race func() (string, error) }{ //nolint:gochecknoglobals // the tests of a binary share what they build
	sync.OnceValues(func() (string, error) { return build("pricelake", "CGO_ENABLED=0") }),
	sync.OnceValues(func() (string, error) { return build("pricelake-race", "CGO_ENABLED=1", "-race") }),
}

// build builds cmd/pricelake into the cache; each checkout has its own there.
func build(name, env string, flags ...string) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("finding the module: %w", err)
	}
	checkout := sha256.Sum256(root)
	path := filepath.Join(cache, "bin", hex.EncodeToString(checkout[:4]), name)
	cmd := exec.Command("go", slices.Concat([]string{"build", "-o", path}, flags, []string{"./cmd/pricelake"})...)
	cmd.Dir = strings.TrimSpace(string(root))
	cmd.Env = append(os.Environ(), env, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building cmd/pricelake: %w\n%s", err, out)
	}
	return path, nil
}
