package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/app"
)

// everywhere runs a test on each kind of site: everything in one process, and a
// process for each role on Apache Kafka, Apicurio Registry and ClickHouse.
func everywhere(t *testing.T, test func(t *testing.T, s *site)) {
	t.Run("up", func(t *testing.T) {
		t.Parallel()
		test(t, embeddedSite(t, t.TempDir()))
	})
	t.Run("servers", func(t *testing.T) {
		t.Parallel()
		test(t, serverSite(t))
	})
}

// site is where a pricelake lives: what it keeps outlasts its processes.
type site struct {
	t    *testing.T
	dir  string // the data dir of `up`, or the folder with those of the roles
	real *realServers
	// plain runs the roles as users get them also under the race detector, which
	// makes a process several times slower: where pauses are measured.
	plain bool
	// ownPorts lets `up` choose its ports itself, as it does for users.
	ownPorts bool
	ports    []string
	// binary, if set, is run in place of the one built of this checkout.
	binary string
}

// embeddedSite is a data dir for `pricelake up`.
func embeddedSite(t *testing.T, dir string) *site { return &site{t: t, dir: dir} }

// start starts a pricelake and waits until it works: "--demo" or "--catalog FILE".
func (s *site) start(args ...string) *up {
	s.t.Helper()
	u, err := s.tryStart(args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

func (s *site) tryStart(args ...string) (*up, error) {
	s.t.Helper()
	if s.real != nil {
		return s.startRoles(args...)
	}
	u, ready := s.launchUp(args...)
	select {
	case e, ok := <-ready:
		if !ok {
			<-u.parts[0].exited
			return u, fmt.Errorf("up ended before it was ready: %w\n%s", u.parts[0].err, u.Stderr())
		}
		u.Ready, u.Admins = e, []string{e.Admin}
		return u, nil
	case <-time.After(startPatience):
		u.Kill()
		return u, fmt.Errorf("up was not ready after %s\n%s", startPatience, u.Stderr())
	}
}

// startPatience is for machines whose cores are busy with other tests.
const startPatience = 3 * time.Minute

// up is a running pricelake: one process of `pricelake up`, or one for each role
// and the servers they use.
type up struct {
	t       *testing.T
	dir     string
	Ready   app.Endpoints
	Admins  []string // base URLs of /metrics
	Started time.Time
	parts   []*part
	site    *site
}

// Kill ends every process as kill -9 does: the power fails. Of the servers Apache
// Kafka stays: see ADR 0013 for what a lone broker forgets when it is killed.
func (u *up) Kill() {
	for _, p := range u.parts {
		p.signalKill()
	}
	if u.site.real != nil {
		u.site.real.kill()
	}
	for _, p := range u.parts {
		<-p.exited
	}
}

// Stop sends SIGTERM to every process of ours and returns how long the slowest
// took, and the status of those that did not end well. Servers are stopped when
// all roles have ended.
func (u *up) Stop() (longest time.Duration, err error) {
	began := time.Now()
	for _, p := range u.parts {
		err = errors.Join(err, p.terminate())
	}
	for _, p := range u.parts {
		err = errors.Join(err, p.ended(30*time.Second))
	}
	longest = time.Since(began)
	if u.site.real != nil {
		u.site.real.stop()
	}
	return longest, err
}

// Stderr returns the last of what the processes said.
func (u *up) Stderr() string {
	var all strings.Builder
	for _, p := range u.parts {
		fmt.Fprintf(&all, "%s:\n%s\n", p.name, tail(p.log))
	}
	if u.site == nil || u.site.real == nil {
		all.WriteString(tail(filepath.Join(u.dir, "pricelake.log")))
	}
	return all.String()
}

// tail is the end of a file, as far as it exists.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(b[max(0, len(b)-4000):])
}

// tool runs a pricelake command as its user would and returns its standard
// output.
func (u *up) tool(args ...string) (string, error) {
	if u.site.real == nil {
		return command(u.site.program(), cleanEnv(), append(args, "--data-dir", u.dir)...)
	}
	return command(u.site.program(), u.site.real.env, args...)
}
