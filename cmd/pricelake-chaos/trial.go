package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/pricelake/pricelake/cmd/pricelake-chaos/count"
	"github.com/pricelake/pricelake/cmd/pricelake-chaos/fault"
	"github.com/pricelake/pricelake/cmd/pricelake-chaos/market"
	"github.com/pricelake/pricelake/cmd/pricelake-chaos/proc"
)

// What a market looks like: pages small enough that an answer holds several, and
// large enough that millions of trades come in a few thousand answers.
const (
	symbolsPerCall = 8
	tradesPerPage  = 250
	// refusedPage: every so manieth page of a call has a trade whose row the lake
	// refuses.
	refusedPage = 4
)

// ledgerFile is the API's ledger in the folder of a run.
const ledgerFile = "ledger.jsonl"

// trial is one run from the first process to the verdict.
func trial(ctx context.Context, o *options, s *screen) (err error) {
	dir, remove, err := runFolder(o)
	if err != nil {
		return err
	}
	defer func() {
		switch {
		case err == nil || ctx.Err() != nil:
			remove()
		case o.keep == "" && !errors.Is(err, errNotOK):
			s.say("everything is kept in %s", dir)
		}
	}()
	s.say("seed %d: %d events, %d kills, %s", o.seed, o.events, o.kills, o.where())
	t := &rig{o: o, screen: s, dir: dir}
	defer t.close()
	if err := t.start(ctx); err != nil {
		return err
	}
	report, err := t.execute(ctx)
	if err != nil {
		return err
	}
	report.Waive(o.waive)
	if !report.OK() && o.keep == "" {
		s.say("everything is kept in %s", dir)
	}
	if err := s.verdict(t, report); err != nil {
		return err
	}
	if !report.OK() {
		return errNotOK
	}
	return nil
}

// runFolder is where a run keeps its data, and how to remove it.
func runFolder(o *options) (dir string, remove func(), err error) {
	if o.keep == "" {
		dir, err = os.MkdirTemp("", "pricelake-chaos-")
		return dir, func() { _ = os.RemoveAll(dir) }, err
	}
	if dir, err = filepath.Abs(o.keep); err != nil {
		return "", nil, fmt.Errorf("finding --keep: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, fmt.Errorf("making %q: %w", dir, err)
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = usageError{fmt.Errorf("--keep: %q is not empty: name a new folder", dir)}
	}
	return dir, func() {}, err
}

// rig is everything one trial holds.
type rig struct {
	o      *options
	screen *screen
	dir    string

	servers    *servers
	roles      *roles
	feed       *market.Feed
	api        *market.Server
	kafka      *fault.Kafka
	clickHouse *fault.Proxy
	injector   *injector
	watcher    *watcher
	disks      *disks
	armory     *armory

	background sync.WaitGroup
	failed     chan error // the first of what runs in the background
	stop       context.CancelFunc
}

// start brings up servers, API, proxies and roles.
func (t *rig) start(ctx context.Context) (err error) {
	if t.o.disk > 0 {
		if t.disks, err = mountDisks(t.dir, t.o.disks(), t.o.disk); err != nil {
			return err
		}
	}
	t.screen.step("starting Kafka, registry and ClickHouse")
	if t.servers, err = startServers(ctx, t.o, t.dir); err != nil {
		return err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	t.stop, t.failed = stop, make(chan error, 8)
	if t.kafka, err = fault.NewKafka(func() string { return t.servers.kafka }); err != nil {
		return err
	}
	if t.clickHouse, err = fault.NewProxy(func() string { return t.servers.native }); err != nil {
		return err
	}
	t.inBackground(background, t.kafka.Run)
	t.inBackground(background, t.clickHouse.Run)

	world := market.World{Seed: t.o.seed, Calls: t.o.calls, Symbols: symbolsPerCall, Page: tradesPerPage, Refuse: refusedPage}
	t.feed = market.NewFeed(world, t.o.events, time.Now)
	t.api = market.NewServer(t.feed, time.Now)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("opening the API: %w", err)
	}
	t.inBackground(background, func(ctx context.Context) error { return t.api.Run(ctx, l) })

	t.screen.step("making topics, schemas, tables and the catalog")
	file := filepath.Join(t.dir, "catalog.yaml")
	if err := os.WriteFile(file, []byte(world.Catalog("http://"+l.Addr().String(), t.o.every)), 0o600); err != nil {
		return fmt.Errorf("writing the catalog: %w", err)
	}
	if err := setUp(ctx, t.o, t.servers, file); err != nil {
		return err
	}
	lake := t.servers.lake()
	for _, rule := range market.Rules() {
		if err := lake.Exec(ctx, rule); err != nil {
			return fmt.Errorf("making rules that rows break: %w", err)
		}
	}
	t.screen.step("starting the roles")
	t.armory = newArmory(filepath.Join(t.dir, "logs"), t.dir, max(t.o.leastHits(), 1))
	if t.roles, err = startRoles(ctx, t.o, t.servers, t.armory, t.kafka.Addr(), t.clickHouse.Addr()); err != nil {
		return err
	}
	t.watcher = newWatcher(count.NewKafka(t.servers.kafka), count.NewRegistry(t.servers.registry), t.feed, t.roles)
	t.inBackground(background, func(ctx context.Context) error { t.watcher.run(ctx); return nil })
	log := count.NewKafka(t.servers.kafka)
	t.injector = &injector{processes: t.processes(), kafka: t.kafka, clickHouse: t.clickHouse, api: t.api, screen: t.screen, disks: t.disks,
		armory: t.armory, session: t.o.session, feed: t.feed, log: log, lake: lake, heads: &heads{kafka: log, dir: t.dir}}
	return nil
}

func (t *rig) inBackground(ctx context.Context, do func(context.Context) error) {
	t.background.Go(func() {
		if err := do(ctx); err != nil {
			t.failed <- err
		}
	})
}

// processes are all that may be killed, by name.
func (t *rig) processes() map[string]*proc.Process {
	all := map[string]*proc.Process{}
	for _, p := range t.servers.processes {
		all[p.Name()] = p
	}
	for _, p := range t.roles.list {
		all[p.Name()] = p
	}
	return all
}

// close ends everything, roles first.
func (t *rig) close() {
	if t.roles != nil {
		t.roles.stop()
	}
	if t.stop != nil {
		t.stop()
	}
	t.background.Wait()
	if t.servers != nil {
		t.servers.stop()
	}
	if t.disks != nil {
		t.disks.unmount()
	}
}

// execute injects the faults while the API gives its trades, waits until all is
// worked off, and counts.
func (t *rig) execute(ctx context.Context) (*count.Report, error) {
	steps := t.o.steps()
	length := fault.Length(steps)
	report := &count.Report{}
	progress, cancel := context.WithCancel(ctx)
	var shown sync.WaitGroup
	shown.Go(func() { every(progress, 500*time.Millisecond, func(context.Context) { t.screen.progress(t) }) })
	stopProgress := func() { cancel(); shown.Wait() }
	defer stopProgress()
	t.injector.run(ctx, steps, func(elapsed time.Duration) {
		if length > 0 {
			t.feed.Release(saved * float64(elapsed) / float64(length))
		}
	})
	if err := t.lastChances(ctx); err != nil {
		return nil, err
	}
	t.feed.Release(1)
	if err := t.settle(ctx, report); err != nil {
		return nil, err
	}
	stopProgress()
	t.watcher.report(report, t.o, t.injector.processes)
	t.zombies(report)
	if err := t.points(report); err != nil {
		return nil, err
	}
	ledger := t.feed.Ledger()
	if err := ledger.WriteFile(filepath.Join(t.dir, ledgerFile)); err != nil {
		return nil, err
	}
	oracle, err := theOracle(ledger, t.servers, t.screen, t.dir)
	if err != nil {
		return nil, err
	}
	return report, oracle.Count(ctx, report)
}

// saved is the share of the trades that comes while faults go on: the rest is for
// those that are waited for.
const saved = 0.95

// zombies adds the check that processes of each role came back as often as was
// asked for.
func (t *rig) zombies(report *count.Report) {
	if t.o.zombies == 0 {
		return
	}
	rounds := map[string]int{}
	for p, role := range t.roles.role {
		rounds[role] += t.injector.zombies[p.Name()]
	}
	var few count.Findings
	text := ""
	for _, role := range fault.ZombieRoles() {
		text += fmt.Sprintf(", %s %d", role, rounds[role])
		if rounds[role] < t.o.zombies {
			few.Addf("%s: frozen %d times for %s", role, rounds[role], 2*t.o.session)
		}
	}
	report.Add("zombies", "processes of each role were given up and came back", &few, "%s", text[2:])
}

// settle waits until the API has nothing more to say, ends the schedule and
// waits until every group has worked off its topics (O8).
func (t *rig) settle(ctx context.Context, report *count.Report) error {
	t.screen.step("all faults are healed; working off the rest")
	begun := time.Now()
	limit, cancel := context.WithTimeout(ctx, t.o.drain)
	defer cancel()
	said := t.await(limit, t.feed.Done)
	t.roles.stopRole("scheduler") // nothing is asked for any more
	_, left := t.watcher.drain(limit)
	if !said {
		left.Addf("%d pages were not recorded in time", t.feed.Stats().Waiting)
	}
	report.Add("O8", "all is worked off in time after the last fault", left, "%s of at most %s", time.Since(begun).Round(100*time.Millisecond), t.o.drain)
	if forced := t.roles.stop(); len(forced) > 0 {
		var slow count.Findings
		slow.Addf("%v had to be killed %s after SIGTERM", forced, stopPatience)
		report.Add("O8", "roles end when they are told to", &slow, "")
	}
	select {
	case err := <-t.failed:
		return err
	default:
	}
	return errors.Join(ctx.Err())
}

// await waits until done and says whether it was in time.
func (t *rig) await(ctx context.Context, done func() bool) bool {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// theOracle counts on the servers of a run and what it has kept in its folder.
func theOracle(ledger *market.Ledger, s *servers, screen *screen, dir string) (*count.Oracle, error) {
	heads, err := count.ReadHeads(filepath.Join(dir, headsFile))
	if err != nil {
		return nil, err
	}
	topics := count.NewKafka(s.kafka)
	topics.Heads = heads
	return &count.Oracle{Ledger: ledger, Topics: topics, Decoder: count.NewRegistry(s.registry), Step: screen.step, Lake: s.lake()}, nil
}

// lake is ClickHouse as it can be asked without any of the product.
func (s *servers) lake() *count.ClickHouse {
	return &count.ClickHouse{URL: s.http, User: s.account.User, Password: s.account.Password, Database: database, Client: http.DefaultClient}
}

// database is the lake's.
const database = "pricelake"

// recount counts what an earlier run has kept. What was seen only while it ran,
// such as offsets that go back, is not in it.
func recount(ctx context.Context, o *options, s *screen) error {
	ledger, err := market.ReadFile(filepath.Join(o.recount, ledgerFile))
	if err != nil {
		return usageError{err}
	}
	s.step("starting Kafka, registry and ClickHouse")
	servers, err := startServers(ctx, o, o.recount)
	if err != nil {
		return err
	}
	defer servers.stop()
	report := &count.Report{}
	oracle, err := theOracle(ledger, servers, s, o.recount)
	if err != nil {
		return err
	}
	if err := oracle.Count(ctx, report); err != nil {
		return err
	}
	report.Waive(o.waive)
	s.checks(report)
	events := 0
	for _, answers := range ledger.Calls {
		for _, a := range answers {
			for _, p := range a.Parts {
				if p.Why == market.Fresh {
					events += ledger.World.Page
				}
			}
		}
	}
	s.end(verdict{OK: report.OK(), Events: events, Lost: report.Lost, Doubled: report.Doubled, Seed: ledger.World.Seed}, report)
	if !report.OK() {
		return errNotOK
	}
	return nil
}
