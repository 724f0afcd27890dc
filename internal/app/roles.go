package app

import (
	"context"
	"fmt"
	"net"
	"slices"

	"github.com/pricelake/pricelake/internal/ops"
	"github.com/pricelake/pricelake/processors/dedupe"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks/lake"
)

// role is one long-running part of the path, or watches it.
type role struct {
	name   string
	run    func(*App, context.Context) error
	rights rights
	// patient: it tells of topics that are not there instead of waiting.
	patient bool
}

// roles are in the order of the path. Each process reads roles.v1 too. Those with
// transactions may read what they write: brokers tell only readers of a topic
// which transactions are open in it.
func roles() []role {
	const calls, letters, switches = schemas.TopicCalls, schemas.TopicDeadLetters, schemas.TopicRoles
	return []role{
		{name: "scheduler", run: (*App).runScheduler, rights: rights{
			reads: []string{calls, schemas.TopicSchedules, schemas.TopicRequests, switches}, writes: []string{schemas.TopicRequests, schemas.TopicSchedules},
			joins: schedulerGroup, transactional: "pricelake-scheduler-"}},
		{name: "poller", run: (*App).runPoller, rights: rights{
			reads: []string{schemas.TopicRequests, calls, schemas.TopicResponses, schemas.TopicPolls, letters, switches}, writes: []string{schemas.TopicResponses, schemas.TopicPolls, letters},
			joins: "pricelake.poller", transactional: pollerTxn}},
		{name: "normalizer", run: (*App).runNormalizer, rights: rights{
			reads: []string{schemas.TopicResponses, calls, schemas.TopicObserved, schemas.TopicRejected, letters, switches}, writes: []string{schemas.TopicObserved, schemas.TopicRejected, letters},
			joins: "pricelake.normalizer", transactional: "pricelake-normalizer-"}},
		{name: "deduplicator", run: (*App).runDeduplicator, rights: rights{
			reads: []string{schemas.TopicObserved, schemas.TopicPrices, letters, switches}, writes: []string{schemas.TopicPrices, letters},
			joins: "pricelake.deduplicator", transactional: "pricelake-deduplicator-"}},
		{name: "lake", run: (*App).runLake, rights: rights{
			reads: append(loadedTopics(), switches), writes: []string{letters},
			joins: lakeGroup, elects: auditGroup}},
		{name: "monitor", run: (*App).runMonitor, patient: true, rights: rights{
			reads: append(watchedTopics(), switches), describes: watchedTopics(), looksAt: watchedNames()}},
	}
}

// loadedTopics are those of the lake; its dead letters are among them.
func loadedTopics() []string {
	var topics []string
	for _, t := range lake.Tables() {
		topics = append(topics, t.Topic)
	}
	return topics
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
				g.Add(r.name, func(ctx context.Context) error { return a.runRole(ctx, r) })
			}
		}
	}
}

// runRole runs a role once its topics are there.
func (a *App) runRole(ctx context.Context, r role) error {
	ctx = withRole(ctx, r.name)
	if !r.patient {
		if err := a.awaitTopics(ctx, r.rights.topics()...); err != nil {
			return a.stopped(ctx, err)
		}
	}
	return r.run(a, ctx)
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
