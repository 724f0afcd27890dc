package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestYAMLComesBack writes a configuration as a file and reads it again, once as
// it is by default and once with every key changed.
func TestYAMLComesBack(t *testing.T) {
	changed := Default()
	for i, s := range leaves(&changed) {
		switch v := s.value; v.Interface().(type) {
		case time.Duration:
			v.SetInt(int64(time.Duration(i+1)*time.Minute + 1500*time.Millisecond))
		case Secret:
			v.SetString("env:A # B")
		case []string:
			v.Set(reflect.ValueOf([]string{"a:1", `b "c": d`, "é#"}))
		case string:
			v.SetString("yes: 'no' # <x>\n" + s.Key)
		case bool:
			v.SetBool(true)
		case int:
			v.SetInt(int64(i + 1000))
		default:
			t.Fatalf("%s: a kind of setting this test does not know", s.Key)
		}
	}
	for _, c := range []Config{Default(), changed} {
		for _, note := range []func(string) string{nil, func(key string) string { return "from " + key }} {
			text := c.YAML(note)
			doc, err := ParseYAML("f.yaml", text)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			var back Config
			if err := doc.Decode(&back).Err(); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if got, want := render(&back), render(&c); got != want {
				t.Errorf("got\n%s\nwant\n%s\nfrom\n%s", got, want, text)
			}
		}
	}
}

func TestSources(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pricelake.yaml")
	if err := os.WriteFile(name, []byte("kafka:\n  brokers: [k:1]\n  tls:\n    enabled: true\nlog: {level: debug}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Sources(name, []string{"PATH=/", "PRICELAKE_LOG_LEVEL=warn", "PRICELAKE_KAFKA_SASL_USER="})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"kafka.brokers": name + ":2", "kafka.tls.enabled": name + ":4", "log.level": "PRICELAKE_LOG_LEVEL", "kafka.sasl.user": "PRICELAKE_KAFKA_SASL_USER"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, err := Sources("", nil); err != nil || len(got) > 0 {
		t.Errorf("from nothing: %v, %v", got, err)
	}
}

func TestWarnings(t *testing.T) {
	f := func(change func(*Config), want ...string) {
		t.Helper()
		c := Default()
		change(&c)
		got := c.Warnings()
		if len(got) != len(want) {
			t.Errorf("got %q, want %q", got, want)
			return
		}
		for i := range want {
			if !strings.HasPrefix(got[i], want[i]) {
				t.Errorf("got %q, want %q", got[i], want[i])
			}
		}
	}
	f(func(*Config) {})
	remote := func(c *Config) {
		c.Kafka.Brokers, c.Kafka.SASL = []string{"127.0.0.1:9092", "k:9092"}, SASL{Mechanism: SASLPlain, User: "u", Password: "env:P"}
		c.Registry = Registry{URL: "http://r:8081", User: "u", Password: "env:P"}
		c.ClickHouse.Addr = "ch:9000"
	}
	f(remote, "kafka.sasl.mechanism: plain without TLS sends the password readable", "registry.password", "clickhouse.password")
	f(func(c *Config) { remote(c); c.Kafka.SASL.Mechanism = SASLScram512 }, "kafka.sasl.mechanism: scram-sha-512 without TLS hides the password and nothing else", "registry.password", "clickhouse.password")
	f(func(c *Config) {
		remote(c)
		c.Kafka.TLS.Enabled, c.Registry.URL, c.ClickHouse.TLS.Enabled = true, "https://r:8081", true
	})
	f(func(c *Config) {
		remote(c)
		c.Kafka.Brokers, c.Registry.URL, c.ClickHouse.Addr = []string{"localhost:1"}, "http://[::1]:8081", "127.0.0.1:9000"
	})
}
