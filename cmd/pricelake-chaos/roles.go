package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/pricelake/pricelake/cmd/pricelake-chaos/proc"
	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/freeport"
	"github.com/pricelake/pricelake/internal/ops"
	"github.com/pricelake/pricelake/producers/catalog"
)

// passwordEnv holds the password of ClickHouse in a role's environment.
const passwordEnv = "CHAOS_CLICKHOUSE_SECRET"

// cleanEnv is this process' environment without the product's settings.
func cleanEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PRICELAKE_") || strings.HasPrefix(kv, "PRICELAKE_CACHE_DIR=") {
			env = append(env, kv)
		}
	}
	return env
}

// setUp makes topics, schemas, tables and the catalog.
func setUp(ctx context.Context, o *options, s *servers, file string) error {
	cfg := config.Default()
	cfg.Instance = "chaos"
	cfg.Kafka.Brokers = []string{s.kafka}
	cfg.Kafka.Partitions = o.partitions
	cfg.Registry.URL = s.registry
	cfg.ClickHouse.Addr, cfg.ClickHouse.User = s.native, s.account.User
	log, err := ops.NewLogger(os.Stderr, "text", "error")
	if err != nil {
		return err
	}
	a, err := app.New(app.Settings{Config: cfg, ClickHousePassword: s.account.Password, Getenv: os.Getenv}, log, ops.NewRegistry("chaos"))
	if err != nil {
		return err
	}
	defer a.Close()
	if _, err := a.ApplyTopics(ctx); err != nil {
		return fmt.Errorf("making the topics: %w", err)
	}
	if _, err := a.RegisterSchemas(ctx); err != nil {
		return err
	}
	if _, err := a.Migrate(ctx); err != nil {
		return fmt.Errorf("making the tables: %w", err)
	}
	cat, err := catalog.Load(file)
	if err != nil {
		return fmt.Errorf("reading the test's own catalog: %w", err)
	}
	_, err = a.ApplyCatalog(ctx, cat, app.ApplyOptions{})
	return err
}

// roles are the processes of the product.
type roles struct {
	list []*proc.Process
	role map[*proc.Process]string
}

// startRoles starts every role so many times. Kafka and ClickHouse are where
// the proxies listen.
func startRoles(ctx context.Context, o *options, s *servers, armory *armory, kafka, clickHouse string) (r *roles, err error) {
	r = &roles{role: map[*proc.Process]string{}}
	defer func() {
		if err != nil {
			r.stop()
		}
	}()
	for _, role := range app.RoleNames() {
		for i := range o.replicas {
			name := processName(role, i)
			admin, err := freeport.Addr()
			if err != nil {
				return r, err
			}
			folder := filepath.Join(s.dir, name)
			if err := os.MkdirAll(folder, 0o700); err != nil {
				return r, fmt.Errorf("making a folder for %s: %w", name, err)
			}
			env := append(cleanEnv(), o.roleEnv(s, name, folder, admin, kafka, clickHouse)...)
			if len(o.points()) > 0 {
				env = append(env, failpoint.LogEnv+"="+armory.log(name))
			}
			p, err := proc.Start(proc.Spec{Name: name, Argv: []string{s.self, childCommand, "role", role}, Env: env,
				Arm: func() []string { return armory.env(name) },
				Log: filepath.Join(s.dir, "logs", name+".log"), Pause: restartPause, Ready: answersAt("http://" + admin + "/readyz")})
			if err != nil {
				return r, err
			}
			r.list, r.role[p] = append(r.list, p), role
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for _, p := range r.list {
		if err := p.AwaitReady(ctx); err != nil {
			return r, err
		}
	}
	return r, nil
}

// roleEnv is the configuration of one role: timings for quick takeovers.
func (o *options) roleEnv(s *servers, name, folder, admin, kafka, clickHouse string) []string {
	return []string{
		"PRICELAKE_INSTANCE=" + name,
		"PRICELAKE_DATA_DIR=" + folder,
		"PRICELAKE_ADMIN_ADDR=" + admin,
		"PRICELAKE_KAFKA_BROKERS=" + kafka,
		"PRICELAKE_KAFKA_SESSION_TIMEOUT=" + o.session.String(),
		"PRICELAKE_KAFKA_TRANSACTION_TIMEOUT=" + o.session.String(),
		"PRICELAKE_REGISTRY_URL=" + s.registry,
		"PRICELAKE_CLICKHOUSE_ADDR=" + clickHouse,
		"PRICELAKE_CLICKHOUSE_USER=" + s.account.User,
		"PRICELAKE_CLICKHOUSE_PASSWORD=env:" + passwordEnv,
		passwordEnv + "=" + s.account.Password,
		"PRICELAKE_POLLER_ALLOW_PRIVATE=127.0.0.1",
		"PRICELAKE_LAKE_FLUSH_INTERVAL=500ms",
		"PRICELAKE_LAKE_OTHER_FLUSH_INTERVAL=1s",
	}
}

// peers are the processes that have the role of one of those named, without them.
func (r *roles) peers(names []string) (peers []string) {
	wanted := map[string]bool{}
	for _, p := range r.list {
		wanted[r.role[p]] = wanted[r.role[p]] || slices.Contains(names, p.Name())
	}
	for _, p := range r.list {
		if wanted[r.role[p]] && !slices.Contains(names, p.Name()) {
			peers = append(peers, p.Name())
		}
	}
	return peers
}

// stopRole ends the processes of one role for good.
func (r *roles) stopRole(role string) {
	r.stopThese(func(p *proc.Process) bool { return r.role[p] == role })
}

// stop ends all of them, at the same time, and names those that had to be
// forced.
func (r *roles) stop() (forced []string) {
	return r.stopThese(func(*proc.Process) bool { return true })
}

func (r *roles) stopThese(which func(*proc.Process) bool) (forced []string) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, p := range r.list {
		if !which(p) {
			continue
		}
		wg.Go(func() {
			if p.Stop(stopPatience) {
				mu.Lock()
				defer mu.Unlock()
				forced = append(forced, p.Name())
			}
		})
	}
	wg.Wait()
	return forced
}
