package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDefaultIsValid(t *testing.T) {
	c := Default()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestEnvironment(t *testing.T) {
	c := Default()
	err := c.ApplyEnv([]string{
		"PATH=/bin", "PRICELAKE_KAFKA_BROKERS=a:1, b:2", "PRICELAKE_KAFKA_SESSION_TIMEOUT=45s", "PRICELAKE_LAKE_MAX_ROWS=7",
		"PRICELAKE_POLLER_ALLOW_PRIVATE=localhost", "PRICELAKE_CLICKHOUSE_PASSWORD=env:SECRET", "PRICELAKE_MY_API_KEY=canary", "PRICELAKE_LOG_LEVEL=debug",
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(c.Kafka.Brokers, " ") != "a:1 b:2" || c.Kafka.SessionTimeout != 45*time.Second || c.Lake.MaxRows != 7 ||
		c.Poller.AllowPrivate[0] != "localhost" || c.ClickHouse.Password != "env:SECRET" || c.Log.Level != "debug" {
		t.Errorf("got %+v", c)
	}
}

func TestEnvironmentProblemsComeTogether(t *testing.T) {
	c := Default()
	err := c.ApplyEnv([]string{"PRICELAKE_KAFKA_BROKER=a:1", "PRICELAKE_LAKE_MAX_ROWS=many", "PRICELAKE_KAFKA_SESSION_TIMEOUT=30",
		"PRICELAKE_CLICKHOUSE_PASSWORD=canary-in-the-open"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`PRICELAKE_KAFKA_BROKER: no such setting; did you mean "PRICELAKE_KAFKA_BROKERS"?`, `"many" is no whole number`,
		`"30" is no duration: write 500ms`, "a secret written inline: write env:NAME or file:/path instead"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("the error shows the secret: %v", err)
	}
}

func TestFile(t *testing.T) {
	write := func(text string) string {
		name := filepath.Join(t.TempDir(), "pricelake.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	c := Default()
	if err := c.ApplyFile(write("kafka:\n  brokers: [k1:9092]\n  session_timeout: 12s\nlake: {flush_interval: 250ms}\n")); err != nil {
		t.Fatal(err)
	}
	if c.Kafka.Brokers[0] != "k1:9092" || c.Kafka.SessionTimeout != 12*time.Second || c.Lake.FlushInterval != 250*time.Millisecond || c.Lake.MaxRows != Default().Lake.MaxRows {
		t.Errorf("got %+v", c)
	}
	name := write("kafka:\n  broker: [k1:9092]\nlake:\n  max_rows: lots\nclickhouse:\n  password: canary-in-the-open\n")
	err := c.ApplyFile(name)
	if err == nil {
		t.Fatal("a file with three mistakes was taken")
	}
	for _, want := range []string{name + ":2:3", "brokers", name + ":4:13", name + ":6:13"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("the error shows the secret: %v", err)
	}
	if err := c.ApplyFile(filepath.Join(t.TempDir(), "none.yaml")); err == nil || !strings.Contains(err.Error(), "--config") {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestValidateNamesEveryKey(t *testing.T) {
	var c Config
	err := c.Validate()
	if err == nil {
		t.Fatal("an empty configuration is valid")
	}
	for _, key := range []string{"instance", "kafka.brokers", "kafka.session_timeout", "registry.url", "clickhouse.addr", "poller.in_flight", "processor.sessions", "lake.max_rows"} {
		if !strings.Contains(err.Error(), key+": write ") {
			t.Errorf("%q lacks %s", err, key)
		}
	}
}

func TestSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	getenv := func(name string) string { return map[string]string{"KEY": "k"}[name] }
	f := func(ref Secret, want, message string) {
		t.Helper()
		got, err := ref.Resolve(getenv)
		if got != want || (message == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), message) {
			t.Errorf("%s: %q, %v; want %q, %q", ref, got, err, want, message)
		}
	}
	f("", "", "")
	f("env:KEY", "k", "")
	f("env:NONE", "", "the environment variable is empty; set it")
	f(Secret("file:"+file), "s3cret", "")
	f("file:/nonexistent", "", "no such file")
}
