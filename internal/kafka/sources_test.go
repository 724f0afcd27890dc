package kafka_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/kafka"
)

// A topic that loses records from its middle, or before they can be loaded, is
// told from one that does not, with what mends it.
func testSources(t *testing.T, c *cluster) {
	topic := func(config map[string]string) string {
		t.Helper()
		name := c.name(t)
		if _, err := kafka.ApplyTopics(t.Context(), c.config(t), []kafka.Topic{{Name: name, Partitions: 1, ReplicationFactor: 1, Config: config}}); err != nil {
			t.Fatal(err)
		}
		return name
	}
	good := []string{
		topic(nil), topic(map[string]string{"cleanup.policy": "delete", "retention.ms": "86400000"}), topic(map[string]string{"retention.ms": "-1"}),
	}
	if seen, err := c.admin(t).CheckSources(t.Context(), c.config(t), good...); err != nil || !seen {
		t.Errorf("CheckSources of good topics = %v, %v", seen, err)
	}
	for setting, value := range map[string][]string{"cleanup.policy": {"compact", "compact,delete"}, "retention.ms": {"0", "86399999"}} {
		for _, v := range value {
			name := topic(map[string]string{setting: v})
			_, err := c.admin(t).CheckSources(t.Context(), c.config(t), slices.Concat(good, []string{name})...)
			var why *kafka.SourceError
			if !errors.As(err, &why) || why.Subject != "topic "+name || why.Setting != setting || why.Is != v {
				t.Errorf("CheckSources with %s = %s: %v", setting, v, err)
			}
		}
	}
	if _, err := c.admin(t).CheckSources(t.Context(), c.config(t), c.name(t)); !errors.Is(err, kafka.ErrUnknownTopic) {
		t.Errorf("CheckSources of a topic that is not there: %v", err)
	}
}

// A role whose account may read its topics and nothing else starts all the same:
// what it may not see is no reason to stand still.
func TestSourcesThatMayNotBeSeen(t *testing.T) {
	t.Parallel()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(), kfake.SeedTopics(1, "in"),
		kfake.User("SCRAM-SHA-512", "lake", "s3cret", kfake.ACL{
			Resource: kmsg.ACLResourceTypeTopic, Name: "in", Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationRead, Allow: true,
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	cfg := (&cluster{brokers: fake.ListenAddrs()}).config(t)
	cfg.SASL = kafka.SASL{Mechanism: config.SASLScram512, User: "lake", Secret: secret("s3cret")}
	admin, err := kafka.NewAdmin(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if seen, err := admin.CheckSources(t.Context(), cfg, "in"); err != nil || seen {
		t.Errorf("CheckSources of an account that may only read = %v, %v; want nothing seen, and no error", seen, err)
	}
}
