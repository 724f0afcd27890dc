package app

import (
	"context"
	"fmt"
	"net"

	"github.com/pricelake/pricelake/internal/ops"
)

// role is one long-running part of the path.
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
	for _, r := range roles() {
		for _, name := range names {
			if r.name == name {
				g.Add(r.name, func(ctx context.Context) error { return r.run(a, ctx) })
			}
		}
	}
}

// Run runs roles against external servers, with the admin address beside them,
// until ctx ends.
func (a *App) Run(ctx context.Context, names []string) error {
	l, err := net.Listen("tcp", a.settings.Config.Admin.Addr)
	if err != nil {
		return fmt.Errorf("opening the admin address: %w; choose another with PRICELAKE_ADMIN_ADDR or admin.addr", err)
	}
	var g ops.Group
	a.addRoles(&g, names)
	admin := &ops.Admin{Health: a.health, Metrics: a.metrics}
	g.Add("admin", func(ctx context.Context) error { return ops.Serve(ctx, l, admin.Handler()) })
	stop := context.AfterFunc(ctx, a.health.Drain)
	defer stop()
	a.log.Info("roles started", "roles", names, "admin", l.Addr().String(), "kafka", a.settings.Config.Kafka.Brokers)
	return g.Run(ctx)
}
