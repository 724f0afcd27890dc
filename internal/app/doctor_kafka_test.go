package app

import (
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/embed/embedtest"
	"github.com/pricelake/pricelake/internal/servers"
	"github.com/pricelake/pricelake/schemas"
)

// Apache Kafka and Apicurio are told apart from what they should be as the
// embedded servers are, and brokers tell what only they know: their settings, and
// who may log in.
func TestDoctorOnRealServers(t *testing.T) {
	broker := servers.StartKafka(t, servers.KafkaConfig{
		Properties: map[string]string{
			"group.max.session.timeout.ms":                        "7000",
			"transaction.max.timeout.ms":                          "5000",
			"listener.name.secure.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
			"sasl.enabled.mechanisms":                             "SCRAM-SHA-512",
		},
		Listeners: map[string]string{"SECURE": "SASL_PLAINTEXT"},
		Format:    []string{"--add-scram", "SCRAM-SHA-512=[name=ann,password=s3cret]"},
	})
	registry := servers.StartRegistry(t, servers.RegistryConfig{})
	server := embedtest.ClickHouse(t)
	r := newRig(t)
	r.config.Kafka.Brokers = []string{broker.Addr()}
	r.config.Registry.URL = registry.URL()
	r.config.ClickHouse.Addr, r.config.ClickHouse.User = server.NativeAddr(), server.Owner().User
	examine := func(change func(*config.Config)) Diagnosis {
		t.Helper()
		before := r.config
		defer func() { r.config = before }()
		change(&r.config)
		a := r.app(server.Owner().Password)
		return a.Doctor(t.Context(), DoctorOptions{Timeout: 20 * time.Second, Now: time.Now})
	}
	asItIs := func(*config.Config) {}
	patiently(t, func() error { _, err := r.app("").registry.Mode(t.Context()); return err })
	patiently(t, func() error { _, err := r.app("").CheckSchemas(t.Context()); return err })

	d := examine(asItIs)
	finds(t, d, VerdictFail, "kafka topics", schemas.TopicPrices, "does not exist", "→ run `pricelake topics apply`")
	finds(t, d, VerdictFail, "registry schemas", schemas.TopicPrices+"-value", "not registered")
	finds(t, d, VerdictFail, "kafka settings", "transaction.max.timeout.ms is 5000", "→ make it at least 6000")
	r.applyTopics()
	r.registerOld(t)
	finds(t, examine(asItIs), VerdictFail, "registry schemas", schemas.TopicPrices+"-value", "old schema", "→ run `pricelake schemas register`")
	r.registerSchemas()
	d = examine(func(c *config.Config) { c.Kafka.TransactionTimeout = 5 * time.Second })
	for _, f := range failures(d) {
		if f.Area != areaClickHouse { // whose database others in this process share
			t.Errorf("all is set up, and doctor finds %+v", f)
		}
	}
	finds(t, d, VerdictOK, "kafka topics")
	finds(t, d, VerdictOK, "registry schemas")
	finds(t, d, VerdictOK, "registry clock")
	finds(t, examine(func(c *config.Config) { c.Kafka.SessionTimeout = 10 * time.Second }),
		VerdictFail, "kafka settings", "group.max.session.timeout.ms is 7000", "→ make it at least 10000")

	t.Run("wrong password", func(t *testing.T) {
		secret := t.TempDir() + "/password"
		write := func(text string) config.Secret {
			t.Helper()
			writeFile(t, secret, text)
			return config.Secret("file:" + secret)
		}
		secured := func(password config.Secret) func(*config.Config) {
			return func(c *config.Config) {
				c.Kafka.Brokers = []string{broker.ListenerAddr("SECURE")}
				c.Kafka.SASL = config.SASL{Mechanism: config.SASLScram512, User: "ann", Password: password}
			}
		}
		finds(t, examine(secured(write("wrong"))), VerdictFail, "kafka login", "authentication failed", "→ check kafka.sasl.user")
		finds(t, examine(secured(write("s3cret"))), VerdictOK, "kafka login", "1 broker")
	})
}
