package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"slices"
	"time"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/servers"
)

// launchUp starts `pricelake up` and does not wait for it to be ready. ready
// receives the ready line, or nothing if the process ends before.
func (s *site) launchUp(args ...string) (u *up, ready <-chan app.Endpoints) {
	s.t.Helper()
	binary := s.program()
	u = &up{t: s.t, dir: s.dir, site: s, Started: time.Now()}
	args = slices.Concat([]string{"up", "--json", "--data-dir", s.dir}, s.upPorts(), args)
	lines := make(chan app.Endpoints, 1)
	u.parts = []*part{startPart(s.t, "up", binary, cleanEnv(), func(r io.Reader) { readReady(r, lines) }, args...)}
	return u, lines
}

// upPorts returns flags with ports that belong to the site: tests overlap, and
// each start would otherwise want the usual ones.
func (s *site) upPorts() []string {
	if s.ownPorts || s.ports != nil {
		return s.ports
	}
	for _, service := range []string{"kafka", "registry", "clickhouse", "clickhouse-http", "admin"} {
		s.ports = append(s.ports, "--"+service+"-addr", servers.FreeAddr(s.t))
	}
	return s.ports
}

// readReady sends the first line and reads the rest to its end.
func readReady(stdout io.Reader, ready chan<- app.Endpoints) {
	defer close(ready)
	in := bufio.NewScanner(stdout)
	in.Buffer(nil, 1<<20)
	if in.Scan() {
		var e app.Endpoints
		if json.Unmarshal(in.Bytes(), &e) == nil && e.Event == "ready" {
			ready <- e
		}
	}
	discard(stdout)
}
