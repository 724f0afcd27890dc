//go:build !noembed && unix

package embed_test

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pricelake/pricelake/internal/embed"
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

	got := committed(t, b, topic, "third")
	if want := []string{"first", "second", "third"}; !slices.Equal(got, want) {
		t.Errorf("committed: %v, want %v", got, want)
	}
}

// Others may have written behind a transaction that was open at a crash. It stays
// aborted, they stay committed, and who began it cannot go on with it.
func TestOpenTransactionsStayAbortedBetweenOthers(t *testing.T) {
	const topic = "open"
	dir := t.TempDir()
	b := startBroker(t, dir, nil)
	c := kafkaClient(t, b)
	if _, err := kadm.NewClient(c).CreateTopic(t.Context(), 1, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	c.Close()
	producer := func(id string) *kgo.Client {
		c := kafkaClient(t, b, kgo.TransactionalID(id), kgo.DefaultProduceTopic(topic), kgo.TransactionTimeout(time.Minute))
		if err := c.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	write := func(c *kgo.Client, value string) {
		t.Helper()
		if err := c.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	commit := func(c *kgo.Client) {
		t.Helper()
		if err := c.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
	}
	one, other := producer("one"), producer("other")
	write(one, "lost")
	write(other, "first")
	commit(other)
	write(one, "lost too")
	id, epoch, err := one.ProducerID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"second", "third"} {
		next := t.TempDir()
		if err := os.CopyFS(next, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		dir = next
		b = startBroker(t, dir, nil)
		if value == "second" {
			refusesOldEpoch(t, b, topic, id, epoch)
		}
		one = producer("one")
		write(one, value)
		commit(one)
	}
	dir2 := t.TempDir()
	if err := os.CopyFS(dir2, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	b = startBroker(t, dir2, nil)
	if got, want := committed(t, b, topic, "third"), []string{"first", "second", "third"}; !slices.Equal(got, want) {
		t.Errorf("committed: %v, want %v", got, want)
	}
}

// refusesOldEpoch goes on with a transaction from before a crash as a client
// would that has not seen the crash: it produces to the partition (KIP-890).
func refusesOldEpoch(t *testing.T, b *embed.Broker, topic string, id int64, epoch int16) {
	t.Helper()
	c := kafkaClient(t, b)
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = "one", id, epoch
	rt := kmsg.NewAddPartitionsToTxnRequestTopic()
	rt.Topic, rt.Partitions = topic, []int32{0}
	req.Topics = append(req.Topics, rt)
	req.SetVersion(3)
	resp, err := req.RequestWith(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	code := resp.Topics[0].Partitions[0].ErrorCode
	if err := kerr.ErrorForCode(code); !errors.Is(err, kerr.InvalidProducerEpoch) && !errors.Is(err, kerr.ProducerFenced) {
		t.Errorf("going on with a transaction from before the crash: %v, want it fenced", err)
	}
}

// committed reads the records of a topic up to the last one.
func committed(t *testing.T, b *embed.Broker, topic, last string) []string {
	t.Helper()
	r := kafkaClient(t, b, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var got []string
	for !slices.Contains(got, last) {
		fetches := r.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(rec *kgo.Record) { got = append(got, string(rec.Value)) })
	}
	return got
}
