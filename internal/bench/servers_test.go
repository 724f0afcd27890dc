package bench

import (
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/embed"
)

// A folder that another process works in is refused with a sentence, and nothing
// is started.
func TestServersInADirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	lock, err := embed.LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	s, err := StartServers(t.Context(), ServerOptions{Dir: dir, Child: []string{"/no/such/program"}, Log: quiet()})
	if s != nil || err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("started %v, %v; want an error that names the folder", s, err)
	}
}
