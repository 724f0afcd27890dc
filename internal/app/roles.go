package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/pricelake/pricelake/internal/ops"
	"github.com/pricelake/pricelake/processors/dedupe"
)

// role is one long-running part of the path, or watches it.
type role struct {
	name string
	run  func(*App, context.Context) error
}

// roles are in the order of the path.
func roles() []role {
	return []role{
		{"scheduler", (*App).runScheduler},
		{"poller", (*App).runPoller},
		{"normalizer", (*App).runNormalizer},
		{"deduplicator", (*App).runDeduplicator},
		{"lake", (*App).runLake},
		{"monitor", (*App).runMonitor},
	}
}

// RoleNames lists the roles in the order of the path.
func RoleNames() []string {
	var names []string
	for _, r := range roles() {
		names = append(names, r.name)
	}
	return names
}

// addRoles puts the named roles into a group.
func (a *App) addRoles(g *ops.Group, names []string) {
	g.Add("switches", a.switches.run)
	for _, r := range roles() {
		for _, name := range names {
			if r.name == name {
				a.starting(r.name)
				if slices.Contains(PausableRoles(), r.name) {
					a.switches.observe(r.name)
				}
				g.Add(r.name, func(ctx context.Context) error { return r.run(a, ctx) })
			}
		}
	}
}

// Run runs roles against external servers, with the admin address beside them,
// until ctx ends.
func (a *App) Run(ctx context.Context, names []string) error {
	if slices.Contains(names, dedupe.Role) && a.settings.Config.DataDir == "" {
		return errNoDataDir
	}
	l, err := listenAdmin(a.settings.Config.Admin.Addr)
	if err != nil {
		return err
	}
	var g ops.Group
	a.addRoles(&g, names)
	addAdmin(&g, l, &ops.Admin{Health: a.health, Metrics: a.metrics})
	stop := context.AfterFunc(ctx, a.health.Drain)
	defer stop()
	a.log.Info("roles started", "roles", names, "admin", l.Addr().String(), "kafka", a.settings.Config.Kafka.Brokers)
	return g.Run(ctx)
}

func listenAdmin(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("opening the admin address: %w; choose another with --admin-addr, PRICELAKE_ADMIN_ADDR or admin.addr", err)
	}
	return l, nil
}

// addAdmin serves the admin routes beside what else is in the group.
func addAdmin(g *ops.Group, l net.Listener, admin *ops.Admin) {
	handler := admin.Handler()
	if a, ok := l.Addr().(*net.TCPAddr); ok && a.IP.IsLoopback() {
		handler = ops.LoopbackOnly(handler)
	}
	g.Add("admin", func(ctx context.Context) error { return ops.Serve(ctx, l, handler) })
}

// starting makes the process unready until the role works: it waits for servers,
// tables and schemas, and says for which.
func (a *App) starting(role string) {
	a.health.Add(role, func(context.Context) error { return errStarting })
}

var errStarting = errors.New("starting: waiting for its servers, topics, schemas or tables; the log says which")

// working is called by a role that has all it needs. A server that goes away
// later is waited for and does not make it unready: a restart would not help.
func (a *App) working(role string) {
	a.health.Add(role, func(context.Context) error { return nil })
}
