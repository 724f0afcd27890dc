package config

import (
	"strings"
	"testing"
)

// TestServerKeys sets every key of the servers from the environment and from a
// file; both say the same.
func TestServerKeys(t *testing.T) {
	fromEnv := Default()
	if err := fromEnv.ApplyEnv([]string{
		"PRICELAKE_KAFKA_TLS_ENABLED=true", "PRICELAKE_KAFKA_TLS_CA_FILE=ca.pem", "PRICELAKE_KAFKA_TLS_CERT_FILE=c.pem", "PRICELAKE_KAFKA_TLS_KEY_FILE=k.pem",
		"PRICELAKE_KAFKA_TLS_SERVER_NAME=kafka", "PRICELAKE_KAFKA_SASL_MECHANISM=scram-sha-512", "PRICELAKE_KAFKA_SASL_USER=lake", "PRICELAKE_KAFKA_SASL_PASSWORD=file:/run/secrets/kafka",
		"PRICELAKE_REGISTRY_URL=https://registry/apis", "PRICELAKE_REGISTRY_USER=r", "PRICELAKE_REGISTRY_PASSWORD=env:R", "PRICELAKE_REGISTRY_TLS_CA_FILE=ca.pem",
		"PRICELAKE_CLICKHOUSE_TLS_ENABLED=true", "PRICELAKE_CLICKHOUSE_READER_USER=reader", "PRICELAKE_CLICKHOUSE_READER_PASSWORD=env:P", "PRICELAKE_CLICKHOUSE_MIGRATOR_USER=migrator",
		"PRICELAKE_CLICKHOUSE_MIGRATOR_PASSWORD=env:M", "PRICELAKE_LAKE_BUFFER_BYTES=33554432",
	}); err != nil {
		t.Fatal(err)
	}
	if err := fromEnv.Validate(); err != nil {
		t.Fatal(err)
	}
	doc, err := ParseYAML("f.yaml", []byte(`
kafka:
  tls: {enabled: true, ca_file: ca.pem, cert_file: c.pem, key_file: k.pem, server_name: kafka}
  sasl: {mechanism: scram-sha-512, user: lake, password: "file:/run/secrets/kafka"}
registry: {url: "https://registry/apis", user: r, password: "env:R", tls: {ca_file: ca.pem}}
clickhouse:
  tls: {enabled: true}
  reader_user: reader
  reader_password: env:P
  migrator_user: migrator
  migrator_password: env:M
lake: {buffer_bytes: 33554432}
`))
	if err != nil {
		t.Fatal(err)
	}
	fromFile := Default()
	if err := doc.Decode(&fromFile).Err(); err != nil {
		t.Fatal(err)
	}
	if got, want := render(&fromFile), render(&fromEnv); got != want {
		t.Errorf("file\n%s\nenvironment\n%s", got, want)
	}
}

func render(c *Config) string {
	var b strings.Builder
	for _, l := range leaves(c) {
		b.WriteString(l.Key + " = " + l.Text() + "\n")
	}
	return b.String()
}

func TestServersThatCannotWork(t *testing.T) {
	f := func(change func(*Config), want ...string) {
		t.Helper()
		c := Default()
		change(&c)
		err := c.Validate()
		if len(want) == 0 && err != nil || len(want) > 0 && (err == nil || err.Error() != strings.Join(want, "\n")) {
			t.Errorf("got %v, want %s", err, strings.Join(want, "\n"))
		}
	}
	f(func(c *Config) { c.Kafka.Brokers = []string{"a:1", "b"} }, `kafka.brokers: write host:port instead of "b"`)
	f(func(c *Config) { c.Kafka.TLS.CAFile = "ca.pem" }, "kafka.tls.enabled: write true: without it the other keys of kafka.tls have no effect")
	f(func(c *Config) { c.Kafka.TLS = TLS{Enabled: true, KeyFile: "k"} }, "kafka.tls.cert_file: write the certificate that belongs to kafka.tls.key_file")
	f(func(c *Config) { c.Kafka.TLS = TLS{Enabled: true, CertFile: "c"} }, "kafka.tls.key_file: write the private key that belongs to kafka.tls.cert_file")
	f(func(c *Config) { c.Kafka.SASL = SASL{Mechanism: "SCRAM", User: "u", Password: "env:P"} },
		"kafka.sasl.mechanism: write one of plain, scram-sha-256, scram-sha-512, oauthbearer, or nothing")
	f(func(c *Config) { c.Kafka.SASL = SASL{User: "u"} },
		"kafka.sasl.mechanism: write one of plain, scram-sha-256, scram-sha-512, oauthbearer: without it the other keys of kafka.sasl have no effect")
	f(func(c *Config) { c.Kafka.SASL = SASL{Mechanism: "plain", Token: "env:T"} },
		"kafka.sasl.user: write the account's name: plain needs one", "kafka.sasl.password: write env:NAME or file:/path: plain needs a password",
		"kafka.sasl.token: write nothing: only oauthbearer has a token")
	f(func(c *Config) { c.Kafka.SASL = SASL{Mechanism: "oauthbearer", User: "u"} },
		"kafka.sasl.token: write env:NAME or file:/path: oauthbearer needs a token", "kafka.sasl.user: write nothing, and nothing as password: oauthbearer has a token instead")
	f(func(c *Config) { c.Kafka.SASL = SASL{Mechanism: "oauthbearer", Token: "file:/t"} })
	f(func(c *Config) { c.Registry.URL = "registry:8081" }, "registry.url: write http://host:port or https://host:port, with the path of the Confluent API if it has one")
	f(func(c *Config) { c.Registry.URL = "https://u:p@registry" }, "registry.url: write it without user and password: those are registry.user and registry.password")
	f(func(c *Config) { c.Registry.TLS.Enabled = true }, "registry.url: write https://…: registry.tls.enabled is true")
	f(func(c *Config) { c.Registry.TLS.CAFile = "ca" }, "registry.tls.enabled: write true: without it the other keys of registry.tls have no effect")
	f(func(c *Config) { c.Registry.URL, c.Registry.TLS.CAFile = "https://r", "ca" })
	f(func(c *Config) { c.Registry.Password = "env:P" }, "registry.user: write the name of the account that the password is of")
	f(func(c *Config) { c.ClickHouse.Addr = "ch" }, "clickhouse.addr: write host:port of the native protocol")
	f(func(c *Config) { c.ClickHouse.MigratorPassword = "env:P" }, "clickhouse.migrator_user: write the name of the account that the password is of")
	f(func(c *Config) { c.Lake.BufferBytes = 1 << 20 }, "lake.buffer_bytes: write at least 16777216: the largest answer must fit")
}
