package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/servers"
)

// realServers are the servers of a site and what is set up on them.
type realServers struct {
	kafka      *servers.Kafka // the only broker, or one of seeds
	seeds      []string       // addresses of all brokers
	registry   *servers.Registry
	clickhouse *servers.ClickHouse
	env        []string // of tools and roles
	simulator  string   // URL
	prepared   bool
}

// serverSite starts Apache Kafka, Apicurio Registry and ClickHouse for a test and
// says which they are. Without them the test skips; in CI it fails.
func serverSite(t *testing.T) *site { return serverSiteOn(t, servers.KafkaConfig{}) }

// serverSiteOn is serverSite with other settings of the broker.
func serverSiteOn(t *testing.T, broker servers.KafkaConfig) *site {
	t.Helper()
	notShort(t)
	kafka := servers.StartKafka(t, broker)
	return serverSiteAt(t, kafka, kafka.Addr())
}

func notShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts real servers: not with -short")
	}
}

// serverSiteAt is serverSite on brokers that run already.
func serverSiteAt(t *testing.T, kafka *servers.Kafka, seeds ...string) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir()}
	r := &realServers{kafka: kafka, seeds: seeds}
	r.registry = servers.StartRegistry(t, servers.RegistryConfig{})
	r.clickhouse = servers.StartClickHouse(t, servers.ClickHouseConfig{})
	t.Logf("Apache Kafka %s, Apicurio Registry %s, ClickHouse %s, each a process; one process per role, race detector %v",
		r.kafka.Version(), r.registry.Version(), r.clickhouse.Version(), raceDetector)
	password := filepath.Join(s.dir, "clickhouse-password")
	if err := os.WriteFile(password, []byte(r.clickhouse.Owner().Password), 0o600); err != nil {
		t.Fatal(err)
	}
	r.env = append(cleanEnv(),
		"PRICELAKE_KAFKA_BROKERS="+strings.Join(r.seeds, ","),
		"PRICELAKE_KAFKA_PARTITIONS=3", "PRICELAKE_KAFKA_REPLICATION_FACTOR=1",
		"PRICELAKE_KAFKA_SESSION_TIMEOUT=3s", "PRICELAKE_KAFKA_TRANSACTION_TIMEOUT=3s",
		"PRICELAKE_REGISTRY_URL="+r.registry.URL(),
		"PRICELAKE_CLICKHOUSE_ADDR="+r.clickhouse.NativeAddr(),
		"PRICELAKE_CLICKHOUSE_USER="+r.clickhouse.Owner().User,
		"PRICELAKE_CLICKHOUSE_PASSWORD=file:"+password,
		"PRICELAKE_POLLER_ALLOW_PRIVATE=127.0.0.1",
		"PRICELAKE_LAKE_FLUSH_INTERVAL=500ms", "PRICELAKE_LAKE_OTHER_FLUSH_INTERVAL=1s")
	s.real = r
	return s
}

// startRoles starts the servers if they were stopped, sets them up the first
// time, and starts a process for each role.
func (s *site) startRoles(args ...string) (*up, error) {
	s.t.Helper()
	r := s.real
	r.start()
	if err := s.prepare(args...); err != nil {
		return nil, err
	}
	owner, reader := r.clickhouse.Owner(), r.clickhouse.Reader()
	u := &up{t: s.t, dir: s.dir, site: s, Started: time.Now(), Ready: app.Endpoints{
		Kafka: r.kafka.Addr(), Registry: r.registry.URL(), ClickHouseNative: r.clickhouse.NativeAddr(), ClickHouseHTTP: r.clickhouse.HTTPURL(),
		ClickHouseUser: owner.User, ClickHousePassword: owner.Password, ReaderUser: reader.User, ReaderPassword: reader.Password,
		Simulator: r.simulator, DataDir: s.dir}}
	for _, role := range app.RoleNames() {
		p, url := s.startRole(role, role)
		u.parts, u.Admins = append(u.parts, p), append(u.Admins, url)
	}
	deadline := time.Now().Add(startPatience)
	for i, url := range u.Admins {
		if err := awaitReady(u.parts[i], url, deadline); err != nil {
			return u, err
		}
	}
	return u, nil
}

// startRole starts one role as an instance of that name, which has a data dir of
// its own, and returns its admin address. It does not wait until it works.
func (s *site) startRole(role, instance string) (p *part, admin string) {
	s.t.Helper()
	binary := pricelake(s.t)
	if raceDetector && !s.plain {
		binary = servers.PricelakeRace(s.t)
	}
	addr := servers.FreeAddr(s.t)
	env := slices.Concat(s.real.env, []string{"PRICELAKE_INSTANCE=" + instance, "PRICELAKE_ADMIN_ADDR=" + addr, "PRICELAKE_DATA_DIR=" + filepath.Join(s.dir, instance)})
	return startPart(s.t, instance, binary, env, discard, "run", role), "http://" + addr
}

// awaitReady waits until a role says that it works.
func awaitReady(p *part, url string, deadline time.Time) error {
	for {
		status, body, err := ask(url + "/readyz")
		if err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("%s ended: %w\n%s", p.name, p.err, tail(p.log))
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not ready: %w %d %s\n%s", p.name, err, status, body, tail(p.log))
		}
	}
}

func ask(url string) (status int, body string, err error) {
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// prepare sets the servers up as an operator does, once.
func (s *site) prepare(args ...string) error {
	r := s.real
	if r.prepared {
		return nil
	}
	r.prepared = true
	steps := [][]string{{"topics", "apply"}, {"schemas", "check"}, {"schemas", "register"}, {"schemas", "check"}, {"migrate"}}
	switch {
	case slices.Equal(args, []string{"--demo"}):
		s.startSimulator()
		steps = append(steps, []string{"catalog", "apply", "demo", "--simulator", r.simulator})
	default:
		steps = append(steps, []string{"catalog", "apply", args[len(args)-1]})
	}
	for _, step := range steps {
		if out, err := command(pricelake(s.t), r.env, step...); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
	}
	return nil
}

// startSimulator starts the price APIs in a process that outlasts the roles.
func (s *site) startSimulator() {
	s.t.Helper()
	addr, admin := servers.FreeAddr(s.t), servers.FreeAddr(s.t)
	p := startPart(s.t, "simulator", pricelake(s.t), cleanEnv(), discard, "simulator", "--addr", addr, "--admin-addr", admin)
	s.real.simulator = "http://" + addr
	if err := awaitReady(p, "http://"+admin, time.Now().Add(startPatience)); err != nil {
		s.t.Fatal(err)
	}
}

// start starts those servers that do not run.
func (r *realServers) start() {
	if r.kafka.Pid() == 0 {
		r.kafka.Start()
	}
	if r.registry.Pid() == 0 {
		r.registry.Start()
	}
	if r.clickhouse.Pid() == 0 {
		r.clickhouse.Start()
	}
}

// stop stops the servers, those that others lean on last.
func (r *realServers) stop() {
	r.clickhouse.Stop()
	r.registry.Stop()
	r.kafka.Stop()
}

// kill is a power failure.
func (r *realServers) kill() {
	r.clickhouse.Kill()
	r.registry.Kill()
	r.kafka.Kill()
}
