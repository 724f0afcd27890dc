//go:build !noembed && unix

package embed_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A transaction that was open at a crash is never committed: not by the next
// commit of the same producer either, whatever crashes in between.
func TestOpenTransactionsStayAborted(t *testing.T) {
	const topic = "open"
	dir := t.TempDir()
	b := startBroker(t, dir, nil)
	c := kafkaClient(t, b)
	if _, err := kadm.NewClient(c).CreateTopic(t.Context(), 1, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	c.Close()
	write := func(value string, commit bool) {
		t.Helper()
		c := kafkaClient(t, b, kgo.TransactionalID("same"), kgo.DefaultProduceTopic(topic), kgo.TransactionTimeout(time.Minute))
		if err := c.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := c.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if commit {
			if err := c.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
				t.Fatal(err)
			}
		}
		// Not closed: a crash does not say goodbye either. The test's end does.
	}
	// crash goes on with the files as they are at this moment.
	crash := func() {
		t.Helper()
		next := t.TempDir()
		if err := os.CopyFS(next, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		dir = next
		b = startBroker(t, dir, nil)
	}
	write("first", true)
	write("lost", false)
	crash()
	write("second", true)
	crash()
	write("third", true)
	crash()

	r := kafkaClient(t, b, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var got []string
	for !slices.Contains(got, "third") {
		fetches := r.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(rec *kgo.Record) { got = append(got, string(rec.Value)) })
	}
	if want := []string{"first", "second", "third"}; !slices.Equal(got, want) {
		t.Errorf("committed: %v, want %v", got, want)
	}
}
