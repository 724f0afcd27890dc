package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/servers"
)

// seen is the demo on real servers, with every role in a process of its own, as
// somebody sees it who runs it: by metrics alone.
type seen struct {
	t      *testing.T
	binary string
	kafka  *servers.Kafka
	dir    string
	env    []string
	admin  map[string]string // host:port by process
	procs  map[string]*exec.Cmd
}

// startSeen starts servers, simulator and roles, and waits until all are ready.
func startSeen(t *testing.T) *seen {
	t.Helper()
	if testing.Short() {
		t.Skip("starts the whole stack: not with -short")
	}
	s := &seen{t: t, binary: servers.Pricelake(t), kafka: servers.StartKafka(t, servers.KafkaConfig{}), dir: t.TempDir(), admin: map[string]string{}, procs: map[string]*exec.Cmd{}}
	registry := servers.StartRegistry(t, servers.RegistryConfig{})
	clickhouse := servers.StartClickHouse(t, servers.ClickHouseConfig{})
	s.env = append(cleanEnv(),
		"PRICELAKE_KAFKA_BROKERS="+s.kafka.Addr(), "PRICELAKE_KAFKA_PARTITIONS=3", "PRICELAKE_KAFKA_REPLICATION_FACTOR=1",
		"PRICELAKE_KAFKA_SESSION_TIMEOUT=3s", "PRICELAKE_KAFKA_TRANSACTION_TIMEOUT=3s",
		"PRICELAKE_REGISTRY_URL="+registry.URL(), "PRICELAKE_CLICKHOUSE_ADDR="+clickhouse.NativeAddr(),
		"PRICELAKE_CLICKHOUSE_USER="+clickhouse.Owner().User, "PRICELAKE_CLICKHOUSE_PASSWORD=env:SEEN_PASSWORD", "SEEN_PASSWORD="+clickhouse.Owner().Password,
		"PRICELAKE_DATA_DIR="+s.dir, "PRICELAKE_POLLER_ALLOW_PRIVATE=127.0.0.1")
	simulator := unusualAddr(t)
	s.start("simulator", "simulator", "--addr", simulator)
	s.ready("simulator")
	s.tool("topics", "apply")
	s.tool("schemas", "register")
	s.tool("migrate")
	s.tool("catalog", "apply", "demo", "--simulator", "http://"+simulator)
	for _, role := range []string{"scheduler", "poller", "normalizer", "deduplicator", "lake", "monitor"} {
		s.start(role, "run", role)
	}
	for role := range s.admin {
		s.ready(role)
	}
	return s
}

// start starts a process with an admin address of its own, the same each time.
func (s *seen) start(name string, args ...string) {
	s.t.Helper()
	if s.admin[name] == "" {
		s.admin[name] = unusualAddr(s.t)
	}
	log, err := os.OpenFile(filepath.Join(s.t.ArtifactDir(), name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(s.binary, append(args, "--admin-addr", s.admin[name])...)
	cmd.Env, cmd.Stdout, cmd.Stderr = s.env, log, log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.procs[name] = cmd
	s.t.Cleanup(func() { s.end(cmd) })
}

// kill ends a process as kill -9 does.
func (s *seen) kill(name string) { s.end(s.procs[name]) }

func (s *seen) end(cmd *exec.Cmd) {
	if err := cmd.Process.Signal(syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
		_ = cmd.Wait() // it was killed, and says so
	}
}

// ready waits for a process' readiness.
func (s *seen) ready(name string) {
	s.t.Helper()
	eventually(s.t, time.Minute, name+" to be ready", func() error {
		resp, err := http.Get("http://" + s.admin[name] + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", resp.StatusCode)
		}
		return nil
	})
}

// tool runs a set-up command with the settings of the roles. All of them may be
// repeated, and are while servers that have just started do not answer in time.
func (s *seen) tool(args ...string) {
	s.t.Helper()
	eventually(s.t, 2*time.Minute, "pricelake "+strings.Join(args, " "), func() error {
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, s.binary, args...)
		cmd.Env = s.env
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
		return err
	})
}

// targets are what Prometheus scrapes: every role, not the simulator.
func (s *seen) targets() map[string]string {
	targets := map[string]string{}
	for name, addr := range s.admin {
		if name != "simulator" {
			targets[name] = addr
		}
	}
	return targets
}
