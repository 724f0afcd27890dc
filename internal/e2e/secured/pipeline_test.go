package secured

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/accounts"
	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/secure/securetest"
	"github.com/pricelake/pricelake/internal/servers"
)

// pipeline is the product on secured servers: each role and each class of tools
// a process with an account of its own.
type pipeline struct {
	*rig
	t      *testing.T
	binary string
	dir    string
	common []string // environment

	running []process
}

func (r *rig) newPipeline(t *testing.T) *pipeline {
	p := &pipeline{rig: r, t: t, binary: servers.Pricelake(t), dir: t.TempDir()}
	var variables []string
	for _, a := range accounts.All("pricelake") {
		hash := sha256.Sum256([]byte(password(a.Name)))
		t.Setenv(accounts.Variable(a.Name), hex.EncodeToString(hash[:]))
		variables = append(variables, accounts.Variable(a.Name))
	}
	var registry *servers.Registry
	var clickhouse *servers.ClickHouse
	var starting sync.WaitGroup
	starting.Go(func() { registry = servers.StartRegistry(t, servers.RegistryConfig{}) })
	starting.Go(func() {
		clickhouse = servers.StartClickHouse(t, servers.ClickHouseConfig{UsersDir: filepath.Join("..", "..", "..", "deploy", "clickhouse", "users.d"), PassEnv: variables})
	})
	starting.Wait()
	if registry == nil || clickhouse == nil {
		t.FailNow()
	}
	t.Logf("Apicurio Registry %s and the ClickHouse engine behind TLS", registry.Version())
	behind := &tls.Config{Certificates: []tls.Certificate{r.ca.Issue("proxy", time.Now().Add(time.Hour)).TLS}}
	host, path, _ := strings.Cut(strings.TrimPrefix(registry.URL(), "http://"), "/")
	p.common = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir, "TZ=UTC",
		"PRICELAKE_KAFKA_BROKERS=" + r.kafka.ListenerAddr(login), "PRICELAKE_KAFKA_TLS_ENABLED=true", "PRICELAKE_KAFKA_TLS_CA_FILE=" + r.ca.File,
		"PRICELAKE_KAFKA_PARTITIONS=2", "PRICELAKE_KAFKA_REPLICATION_FACTOR=1", "PRICELAKE_KAFKA_SASL_MECHANISM=scram-sha-512",
		"PRICELAKE_REGISTRY_URL=https://" + securetest.Proxy(t, behind, host) + "/" + path, "PRICELAKE_REGISTRY_TLS_CA_FILE=" + r.ca.File,
		"PRICELAKE_CLICKHOUSE_ADDR=" + securetest.Proxy(t, behind, clickhouse.NativeAddr()), "PRICELAKE_CLICKHOUSE_TLS_ENABLED=true", "PRICELAKE_CLICKHOUSE_TLS_CA_FILE=" + r.ca.File,
		"PRICELAKE_CLICKHOUSE_USER=" + accounts.Writer, "PRICELAKE_CLICKHOUSE_PASSWORD=file:" + p.secret(accounts.Writer),
		"PRICELAKE_CLICKHOUSE_READER_USER=" + accounts.Reader, "PRICELAKE_CLICKHOUSE_READER_PASSWORD=file:" + p.secret(accounts.Reader),
		"PRICELAKE_CLICKHOUSE_MIGRATOR_USER=" + accounts.Migrator, "PRICELAKE_CLICKHOUSE_MIGRATOR_PASSWORD=env:MIGRATOR_PASSWORD", "MIGRATOR_PASSWORD=" + password(accounts.Migrator),
	}
	return p
}

// secret writes the password of an account into a file.
func (p *pipeline) secret(name string) string {
	file := filepath.Join(p.dir, name+".password")
	must(p.t, os.WriteFile(file, []byte(password(name)+"\n"), 0o600))
	return file
}

func (p *pipeline) command(account string, args ...string) *exec.Cmd {
	cmd := exec.Command(p.binary, args...)
	cmd.Env = append(p.common, "PRICELAKE_KAFKA_SASL_USER="+account, "PRICELAKE_KAFKA_SASL_PASSWORD=file:"+p.secret(account))
	return cmd
}

// tool runs a tool to its end and returns what it printed.
func (p *pipeline) tool(account string, args ...string) (string, error) {
	cmd := p.command(account, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("pricelake %s as %s: %w\n%s%s", strings.Join(args, " "), account, err, out.String(), errs.String())
	}
	return out.String(), nil
}

func (p *pipeline) must(account string, args ...string) string {
	p.t.Helper()
	out, err := p.tool(account, args...)
	must(p.t, err)
	return out
}

// process is one that runs until the test ends.
type process struct {
	name string
	cmd  *exec.Cmd
	said string // file
}

// start begins a process, which stop ends.
func (p *pipeline) start(name string, cmd *exec.Cmd) {
	p.t.Helper()
	said := filepath.Join(p.dir, name+".log")
	file, err := os.Create(said)
	must(p.t, err)
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	must(p.t, cmd.Start())
	p.running = append(p.running, process{name, cmd, said})
}

// stop ends all processes at once. What they said is shown if the test failed,
// and none may have been refused anything.
func (p *pipeline) stop() {
	var ending sync.WaitGroup
	for _, r := range p.running {
		ending.Go(func() {
			_ = r.cmd.Process.Signal(syscall.SIGTERM) // Wait says how it ended
			kill := time.AfterFunc(30*time.Second, func() { _ = r.cmd.Process.Kill() })
			defer kill.Stop()
			if err := r.cmd.Wait(); err != nil {
				p.t.Errorf("%s: %v", r.name, err)
			}
		})
	}
	ending.Wait()
	for _, r := range p.running {
		text, err := os.ReadFile(r.said)
		if err != nil {
			p.t.Error(err)
		}
		if bytes.Contains(text, []byte("AUTHORIZATION_FAILED")) {
			p.t.Errorf("%s was refused something", r.name)
		}
		if p.t.Failed() {
			p.t.Logf("%s said\n%s", r.name, text[max(0, len(text)-4000):])
		}
	}
}

// run sets everything up and runs every role with nothing but its ACLs.
func (p *pipeline) run() {
	t := p.t
	p.must("setup", "topics", "apply")
	p.must("setup", "schemas", "register")
	p.must("setup", "migrate")
	simulator := fmt.Sprintf("127.0.0.1:%d", 30_000+os.Getpid()%2000)
	p.start("simulator", p.command(stranger, "simulator", "--addr", simulator, "--admin-addr", "127.0.0.1:0", "--trouble=false"))
	await(t, "the simulator's catalog", func() error {
		_, err := p.tool("setup", "catalog", "apply", "demo", "--simulator", "http://"+simulator)
		return err
	})
	for _, role := range app.RoleNames() {
		cmd := p.command(role, "run", role, "--admin-addr", "127.0.0.1:0", "--data-dir", filepath.Join(p.dir, role))
		cmd.Env = append(cmd.Env, "PRICELAKE_INSTANCE="+role, "PRICELAKE_POLLER_ALLOW_PRIVATE="+simulator)
		p.start(role, cmd)
	}
	started := time.Now()
	await(t, "rows", func() error {
		out, err := p.tool("reader", "sql", "--format", "csv", "SELECT count() FROM prices")
		lines := strings.Fields(out)
		if err == nil && len(lines) == 2 {
			if rows, _ := strconv.Atoi(lines[1]); rows >= 50 {
				t.Logf("%d rows %v after the roles' start", rows, time.Since(started).Round(100*time.Millisecond))
				return nil
			}
		}
		return errors.Join(err, fmt.Errorf("printed %q", out))
	})
}

// tools runs the tools of each class with the account of the class.
func (p *pipeline) tools() {
	p.must("operator", "pause", "poller", "--reason", "a test")
	p.must("reader", "verify", "--wait")
	p.must("reader", "status")
	p.must("reader", "catalog", "ls")
	p.must("reader", "dlq", "ls")
	p.must("reader", "tail", "prices.v1", "--from-start", "--count", "1")
	p.must("operator", "resume", "poller")
	if _, err := p.tool("poller", "verify"); err == nil || !strings.Contains(err.Error(), "pricelake acl") {
		p.t.Errorf("the poller may verify: %v", err)
	}
	if _, err := p.tool("reader", "topics", "apply"); err != nil && !strings.Contains(err.Error(), "pricelake acl") {
		p.t.Errorf("the reader applies topics: %v", err)
	}
}
