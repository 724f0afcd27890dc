package kafka_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/schemas"
)

func TestTopicsFollowTheContract(t *testing.T) {
	f := func(profile kafka.Profile, name string, partitions int32, want map[string]string) {
		t.Helper()
		i := slices.IndexFunc(kafka.Topics(profile), func(x kafka.Topic) bool { return x.Name == name })
		if i < 0 {
			t.Fatalf("topic %q is missing", name)
		}
		topic := kafka.Topics(profile)[i]
		if topic.Partitions != partitions {
			t.Errorf("%s has %d partitions, want %d", name, topic.Partitions, partitions)
		}
		for k, v := range want {
			if topic.Config[k] != v {
				t.Errorf("%s: %s is %q, want %q", name, k, topic.Config[k], v)
			}
		}
	}
	embedded, production := kafka.Embedded(), kafka.Production()
	f(embedded, schemas.TopicCalls, 1, map[string]string{"cleanup.policy": "compact", "min.compaction.lag.ms": "2592000000"})
	f(embedded, schemas.TopicInstruments, 1, map[string]string{"cleanup.policy": "compact"})
	f(embedded, schemas.TopicSchedules, 1, map[string]string{"cleanup.policy": "compact"})
	f(embedded, schemas.TopicDeadLetters, 1, map[string]string{"cleanup.policy": "delete", "retention.ms": "31536000000", "max.message.bytes": "9437184"})
	f(embedded, schemas.TopicResponses, 3, map[string]string{"retention.bytes": "268435456"})
	f(production, schemas.TopicRequests, 12, map[string]string{"retention.ms": "604800000", "retention.bytes": ""})
	f(production, schemas.TopicPolls, 12, map[string]string{"retention.ms": "2592000000"})
	f(production, schemas.TopicResponses, 12, map[string]string{"retention.ms": "2592000000", "compression.type": "zstd", "max.message.bytes": "8388608"})
	f(production, schemas.TopicObserved, 12, map[string]string{"retention.ms": "604800000"})
	f(production, schemas.TopicPrices, 12, map[string]string{"retention.ms": "7776000000", "message.timestamp.type": "LogAppendTime"})
	f(production, schemas.TopicRejected, 12, map[string]string{"retention.ms": "2592000000"})

	f(production, schemas.TopicDeadLetterMarks, 1, map[string]string{"cleanup.policy": "compact"})
	f(production, schemas.TopicRoles, 1, map[string]string{"cleanup.policy": "compact"})

	production.ReplicationFactor = 3
	f(production, schemas.TopicPrices, 12, map[string]string{"min.insync.replicas": "2"})
	if n := len(kafka.Topics(production)); n != 12 {
		t.Errorf("%d topics, want 12", n)
	}
}

func testApplyTopics(t *testing.T, c *cluster) {
	topics := kafka.Topics(kafka.Embedded())
	for i := range topics { // a real broker is shared by the tests
		topics[i].Name = c.name(t) + "." + topics[i].Name
	}
	changes, err := kafka.ApplyTopics(t.Context(), c.config(t), topics)
	if err != nil {
		t.Fatal(err)
	}
	if len(changes) != len(topics) {
		t.Errorf("the first run made %d changes, want %d: %v", len(changes), len(topics), changes)
	}
	changes, err = kafka.ApplyTopics(t.Context(), c.config(t), topics)
	if err != nil || len(changes) != 0 {
		t.Errorf("the second run made %v, %v; want no change", changes, err)
	}

	altered := topics[7]
	altered.Config = maps.Clone(altered.Config)
	altered.Config["retention.ms"] = "1000000000"
	want := []kafka.TopicChange{{
		Topic: altered.Name, Kind: kafka.ChangeAltered, Config: "retention.ms", From: "7776000000", To: "1000000000",
	}}
	changes, err = kafka.ApplyTopics(t.Context(), c.config(t), []kafka.Topic{altered})
	if err != nil || !slices.Equal(changes, want) {
		t.Errorf("altering made %v, %v; want %v", changes, err, want)
	}
	changes, err = kafka.ApplyTopics(t.Context(), c.config(t), []kafka.Topic{altered})
	if err != nil || len(changes) != 0 {
		t.Errorf("altering again made %v, %v; want no change", changes, err)
	}
}

func testApplyTopicsRefuses(t *testing.T, c *cluster) {
	old, missing := c.topic(t, 2), c.name(t)
	changes, err := kafka.ApplyTopics(t.Context(), c.config(t), []kafka.Topic{
		{Name: old, Partitions: 3, ReplicationFactor: 1},
		{Name: missing, Partitions: 1, ReplicationFactor: 1},
	})
	if !errors.Is(err, kafka.ErrPartitionCount) {
		t.Errorf("got error %v, want ErrPartitionCount", err)
	}
	want := []kafka.TopicChange{
		{Topic: old, Kind: kafka.ChangeRefused, Config: "partitions", From: "2", To: "3"},
		{Topic: missing, Kind: kafka.ChangeCreated},
	}
	if !slices.Equal(changes, want) {
		t.Errorf("got changes %v, want %v", changes, want)
	}
	l := c.log(t)
	if _, n, err := l.Describe(t.Context(), old); err != nil || n != 2 {
		t.Errorf("%d partitions, %v; want the 2 it had", n, err)
	}
	if _, _, err := l.Describe(t.Context(), "no.such.topic"); !errors.Is(err, kafka.ErrUnknownTopic) {
		t.Errorf("describing a topic that does not exist: %v, want ErrUnknownTopic", err)
	}
}
