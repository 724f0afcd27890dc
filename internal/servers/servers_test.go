package servers_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/pricelake/pricelake/internal/servers"
)

// TestKafka: what a broker acknowledged survives kill -9, on the same address.
func TestKafka(t *testing.T) {
	t.Parallel()
	k := servers.StartKafka(t, servers.KafkaConfig{Properties: map[string]string{"auto.create.topics.enable": "true"}})
	t.Logf("Apache Kafka %s on %s", k.Version(), k.Addr())
	if k.Version() != "4.3.1" {
		t.Errorf("version %q", k.Version())
	}
	addr := k.Addr()
	produce(t, addr, "before")
	pid := k.Pid()
	k.Kill()
	if err := syscall.Kill(pid, 0); k.Pid() != 0 || !errors.Is(err, syscall.ESRCH) {
		t.Errorf("after Kill process %d answers %v", pid, err)
	}
	k.Start()
	if k.Addr() != addr {
		t.Errorf("restarted on %s, was on %s", k.Addr(), addr)
	}
	produce(t, addr, "between")
	k.Stop()
	k.Start()
	if got := consume(t, k.Addr(), 2); !slices.Equal(got, []string{"before", "between"}) {
		t.Errorf("after two restarts the topic holds %q", got)
	}
}

func produce(t *testing.T, addr, value string) {
	t.Helper()
	cl := client(t, addr, kgo.AllowAutoTopicCreation())
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte(value)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func client(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(addr))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func consume(t *testing.T, addr string, n int) (values []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cl := client(t, addr, kgo.ConsumeTopics("t"))
	for len(values) < n {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	return values
}

// TestKafkaListener: a listener with a login takes a user of the storage's
// format and refuses everybody else.
func TestKafkaListener(t *testing.T) {
	t.Parallel()
	k := servers.StartKafka(t, servers.KafkaConfig{
		Properties: map[string]string{
			"sasl.enabled.mechanisms":                            "SCRAM-SHA-512",
			"listener.name.login.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
			"group.initial.rebalance.delay.ms":                   "",
		},
		Listeners: map[string]string{"LOGIN": "SASL_PLAINTEXT"},
		Format:    []string{"--add-scram", "SCRAM-SHA-512=[name=ann,password=s3cret]"},
	})
	for password, welcome := range map[string]bool{"s3cret": true, "other": false} {
		cl := client(t, k.ListenerAddr("LOGIN"), kgo.SASL(scram.Auth{User: "ann", Pass: password}.AsSha512Mechanism()), kgo.RetryTimeout(3*time.Second))
		_, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), cl)
		if (err == nil) != welcome {
			t.Errorf("password %q: %v", password, err)
		}
	}
}

// TestRegistry: schemas and their ids survive kill -9, in a file and in Kafka.
func TestRegistry(t *testing.T) {
	t.Parallel()
	for _, journal := range []string{"file", "Kafka"} {
		t.Run(journal, func(t *testing.T) {
			t.Parallel()
			var cfg servers.RegistryConfig
			if journal == "Kafka" {
				cfg.Kafka = servers.StartKafka(t, servers.KafkaConfig{}).Addr()
			}
			r := servers.StartRegistry(t, cfg)
			t.Logf("Apicurio Registry %s on %s", r.Version(), r.URL())
			if r.Version() != "3.3.3" {
				t.Errorf("version %q", r.Version())
			}
			first := post(t, r.URL()+"/subjects/s/versions", `{"schema":"{\"type\":\"string\"}"}`)
			r.Kill()
			r.Start()
			if again := post(t, r.URL()+"/subjects/s/versions", `{"schema":"{\"type\":\"string\"}"}`); again != first || !strings.Contains(first, `"id"`) {
				t.Errorf("registering again after a kill answers %q, before %q", again, first)
			}
		})
	}
}

func post(t *testing.T, url, body string) string {
	t.Helper()
	resp, err := http.Post(url, "application/vnd.schemaregistry.v1+json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(text))
}

// TestClickHouse: rows and passwords survive kill -9.
func TestClickHouse(t *testing.T) {
	t.Parallel()
	ch := servers.StartClickHouse(t, servers.ClickHouseConfig{})
	t.Logf("ClickHouse %s on %s", ch.Version(), ch.NativeAddr())
	if !strings.HasPrefix(ch.Version(), "26.") {
		t.Errorf("version %q", ch.Version())
	}
	as := "/?user=" + ch.Owner().User + "&password=" + ch.Owner().Password
	post(t, ch.HTTPURL()+as, "CREATE TABLE pricelake.t (a Int8) ENGINE = MergeTree ORDER BY a")
	post(t, ch.HTTPURL()+as, "INSERT INTO pricelake.t VALUES (42)")
	ch.Kill()
	ch.Start()
	if got := post(t, ch.HTTPURL()+as, "SELECT a FROM pricelake.t"); got != "42" {
		t.Errorf("after a kill the table holds %q", got)
	}
}

// TestClickHouseUsers: with users of their own there are no others, and their
// values may come from the environment.
func TestClickHouseUsers(t *testing.T) {
	t.Setenv("SERVERS_TEST_PASSWORD", "s3cret")
	dir := t.TempDir()
	users := `<clickhouse><users><ann><password from_env="SERVERS_TEST_PASSWORD"/><profile>default</profile><quota>default</quota></ann></users></clickhouse>`
	if err := os.WriteFile(filepath.Join(dir, "ann.xml"), []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	ch := servers.StartClickHouse(t, servers.ClickHouseConfig{UsersDir: dir, PassEnv: []string{"SERVERS_TEST_PASSWORD"}})
	if got := post(t, ch.HTTPURL()+"/?user=ann&password=s3cret", "SELECT currentUser()"); got != "ann" {
		t.Errorf("ann is %q", got)
	}
	if got := post(t, ch.HTTPURL()+"/?user=pricelake&password=", "SELECT 1"); !strings.Contains(got, "AUTHENTICATION_FAILED") {
		t.Errorf("the owner of another server gets %q", got)
	}
}
