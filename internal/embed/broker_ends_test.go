//go:build !noembed && unix

package embed_test

import (
	"os"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/pricelake/pricelake/internal/embed"
)

// A partition whose records are all deleted goes on where it ended: after a stop,
// after a second one without a record in between, and after a crash that follows
// retention.
func TestEmptyPartitionsKeepTheirEnd(t *testing.T) {
	const topic = "empty"
	dir := t.TempDir()
	b := startBroker(t, dir, nil)
	c := kafkaClient(t, b)
	createTopic(t, c, topic, nil)
	edges := func(b *embed.Broker, what string, start, end int64) {
		t.Helper()
		admin := kadm.NewClient(kafkaClient(t, b))
		first, err := admin.ListStartOffsets(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		last, err := admin.ListEndOffsets(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		if a, z := first[topic][0].Offset, last[topic][0].Offset; a != start || z != end {
			t.Fatalf("%s: offsets from %d to %d, want from %d to %d", what, a, z, start, end)
		}
	}
	for range 5 {
		produce(t, c, topic, "k", "v")
	}
	if resp, err := kadm.NewClient(c).DeleteRecords(t.Context(), kadm.Offsets{topic: {0: {Topic: topic, At: 5, LeaderEpoch: -1}}}); err != nil || resp.Error() != nil {
		t.Fatal(err, resp.Error())
	}
	edges(b, "after the deletion", 5, 5)
	for _, what := range []string{"after a stop", "after another"} {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b = startBroker(t, dir, nil)
		edges(b, what, 5, 5)
	}
	c = kafkaClient(t, b)
	produce(t, c, topic, "k", "v")
	edges(b, "after one more record", 5, 6)

	short := "1"
	if _, err := kadm.NewClient(c).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &short}}, topic); err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ { // the record has to be older than a millisecond
		b.ApplyRetention()
		first, err := kadm.NewClient(c).ListStartOffsets(t.Context(), topic)
		if err != nil || i == 1000 {
			t.Fatalf("retention has not deleted the record: %v", err)
		}
		if first[topic][0].Offset == 6 {
			break
		}
	}
	crashed := t.TempDir() // the files as they are at this moment
	if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	b = startBroker(t, crashed, nil)
	edges(b, "after a crash", 6, 6)
	produce(t, kafkaClient(t, b), topic, "k", "v")
	edges(b, "and one more record", 6, 7)
}
