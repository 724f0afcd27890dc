package bench

import (
	"os"
	"testing"

	"github.com/pricelake/pricelake/internal/embed"
)

// serverOptions are those of servers of a test: in a folder of their own, with this
// binary as child.
func serverOptions(t *testing.T) ServerOptions {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return ServerOptions{Dir: t.TempDir(), Child: []string{self, childArg}, Log: quiet()}
}

// withEngine are serverOptions with the ClickHouse engine. Where it cannot be had
// the test skips; in CI it fails.
func withEngine(t *testing.T) ServerOptions {
	t.Helper()
	engine, _, err := embed.Locate(t.Context())
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("needs a ClickHouse engine: %v", err)
	}
	o := serverOptions(t)
	o.Engine = &engine
	return o
}
