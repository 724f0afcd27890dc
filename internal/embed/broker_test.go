//go:build !noembed && unix

package embed_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pricelake/pricelake/internal/embed"
)

func startBroker(t *testing.T, dir string, change func(*embed.BrokerConfig)) *embed.Broker {
	t.Helper()
	cfg := embed.BrokerConfig{DataDir: dir, Addresses: addresses(t, dir), Addr: "127.0.0.1:0", Logger: quiet}
	if change != nil {
		change(&cfg)
	}
	b, err := embed.StartBroker(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func kafkaClient(t *testing.T, b *embed.Broker, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.Addr())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func createTopic(t *testing.T, c *kgo.Client, topic string, configs map[string]*string) kadm.TopicID {
	t.Helper()
	resp, err := kadm.NewClient(c).CreateTopic(t.Context(), 1, 1, configs, topic)
	if err != nil {
		t.Fatal(err)
	}
	return resp.ID
}

func produce(t *testing.T, c *kgo.Client, topic, key, value string) {
	t.Helper()
	if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// read returns n records of the topic, "key=value", from its start.
func read(t *testing.T, b *embed.Broker, topic string, n int) []string {
	t.Helper()
	c := kafkaClient(t, b, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var got []string
	for len(got) < n {
		fetches := c.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			t.Fatalf("read %d of %d records: %q", len(got), n, got)
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Key)+"="+string(r.Value)) })
	}
	return got
}

// anyAddress leaves the choice of the port to the broker.
func anyAddress(c *embed.BrokerConfig) { c.Addr = "" }

func TestBrokerKeepsEverythingOverARestart(t *testing.T) {
	dir := t.TempDir()
	b := startBroker(t, dir, anyAddress)
	c := kafkaClient(t, b)
	id := createTopic(t, c, "prices", nil)
	for i := range 10 {
		produce(t, c, "prices", "k", fmt.Sprint(i))
	}
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: "prices", At: 7, LeaderEpoch: -1, Metadata: "intent"})
	if resp, err := kadm.NewClient(c).CommitOffsets(t.Context(), "lake", offsets); err != nil || resp.Error() != nil {
		t.Fatal(err, resp.Error())
	}
	addr := b.Addr()
	c.Close()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	b = startBroker(t, dir, anyAddress)
	if b.Addr() != addr {
		t.Errorf("address %s after a restart, was %s", b.Addr(), addr)
	}
	c = kafkaClient(t, b)
	topics, err := kadm.NewClient(c).ListTopics(t.Context(), "prices")
	if err != nil || topics["prices"].ID != id {
		t.Errorf("topic id %v, %v; want %v", topics["prices"].ID, err, id)
	}
	committed, err := kadm.NewClient(c).FetchOffsets(t.Context(), "lake")
	if o, _ := committed.Lookup("prices", 0); err != nil || o.At != 7 || o.Metadata != "intent" {
		t.Errorf("committed offset %+v, %v; want 7 with its metadata", o, err)
	}
	if got := read(t, b, "prices", 10); got[9] != "k=9" {
		t.Errorf("records after a restart: %q", got)
	}
}

func TestBrokerMakesNoTopicByItself(t *testing.T) {
	b := startBroker(t, t.TempDir(), nil)
	c := kafkaClient(t, b, kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(0))
	err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "nobody-made-me", Value: []byte("x")}).FirstErr()
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("error %v, want %v", err, kerr.UnknownTopicOrPartition)
	}
}

// Java's admin client falls back to plain metadata when this request is not
// offered; it cannot read the answer of the broker.
func TestBrokerDoesNotOfferDescribeTopicPartitions(t *testing.T) {
	c := kafkaClient(t, startBroker(t, t.TempDir(), nil))
	versions, err := kadm.NewClient(c).ApiVersions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range versions.Sorted() {
		for _, wanted := range []kmsg.Key{kmsg.Produce, kmsg.Fetch, kmsg.EndTxn, kmsg.OffsetCommit, kmsg.CreateTopics} {
			if _, ok := v.KeyMaxVersion(wanted.Int16()); !ok {
				t.Errorf("%v is not offered", wanted.Name())
			}
		}
		if _, ok := v.KeyMaxVersion(kmsg.DescribeTopicPartitions.Int16()); ok {
			t.Error("DescribeTopicPartitions is offered")
		}
	}
}

func TestBrokerCompactsAtTheStart(t *testing.T) {
	dir := t.TempDir()
	b := startBroker(t, dir, nil)
	c := kafkaClient(t, b)
	createTopic(t, c, "calls", map[string]*string{"cleanup.policy": kadm.StringPtr("compact")})
	for i := range 20 {
		produce(t, c, "calls", fmt.Sprintf("k%d", i%2), fmt.Sprint(i))
	}
	c.Close()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = startBroker(t, dir, nil)
	// The last batch, k1=19, is left out of compaction.
	if got := strings.Join(read(t, b, "calls", 3), " "); got != "k1=17 k0=18 k1=19" {
		t.Errorf("compacted topic holds %q", got)
	}
}

// The broker's compaction does not know of open transactions: it would take
// the value before one of a key for old.
func TestBrokerDoesNotCompactUnderAnOpenTransaction(t *testing.T) {
	dir := t.TempDir()
	b := startBroker(t, dir, nil)
	c := kafkaClient(t, b)
	createTopic(t, c, "calls", map[string]*string{"cleanup.policy": kadm.StringPtr("compact")})
	produce(t, c, "calls", "k", "committed")
	txn := kafkaClient(t, b, kgo.TransactionalID("t"))
	if err := txn.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produce(t, txn, "calls", "k", "open")
	produce(t, txn, "calls", "other", "open")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	txn.Close() // gone without an end
	c.Close()

	b = startBroker(t, dir, nil)
	next := kafkaClient(t, b, kgo.TransactionalID("t")) // fences, and so aborts
	if err := next.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produce(t, next, "calls", "after", "x")
	if err := next.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if got := read(t, b, "calls", 2); got[0] != "k=committed" || got[1] != "after=x" {
		t.Errorf("after an abort the topic holds %q", got)
	}
}

func TestBrokerAppliesRetention(t *testing.T) {
	b := startBroker(t, t.TempDir(), nil)
	c := kafkaClient(t, b)
	createTopic(t, c, "prices", map[string]*string{"retention.bytes": kadm.StringPtr("500")})
	for range 20 {
		produce(t, c, "prices", "k", strings.Repeat("x", 100))
	}
	b.ApplyRetention()
	starts, err := kadm.NewClient(c).ListStartOffsets(t.Context(), "prices")
	if o, _ := starts.Lookup("prices", 0); err != nil || o.Offset == 0 {
		t.Errorf("start offset %d, %v; want the old records gone", o.Offset, err)
	}
}

func TestBrokerWatchesTheDisk(t *testing.T) {
	var free atomic.Uint64
	free.Store(300 << 20)
	dir := t.TempDir()
	b := startBroker(t, dir, func(c *embed.BrokerConfig) {
		c.Headroom = func(string) (uint64, error) { return free.Load(), nil }
		c.HeadroomInterval = time.Millisecond
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()

	free.Store(100 << 20)
	await(t, "the broker says that the disk is nearly full", func() bool { return b.Ready() != nil })
	if err := b.Ready(); !strings.Contains(err.Error(), "only 100 MiB") || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("readiness says %q", err)
	}
	free.Store(300 << 20)
	await(t, "the broker is ready again", func() bool { return b.Ready() == nil })
	free.Store(10 << 20)
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "only 10 MiB") {
		t.Errorf("Run ended with %v, want the disk", err)
	}

	_, err := embed.StartBroker(t.Context(), embed.BrokerConfig{
		DataDir: t.TempDir(), Addresses: addresses(t, dir), Logger: quiet,
		Headroom: func(string) (uint64, error) { return 1 << 20, nil },
	})
	if err == nil || !strings.Contains(err.Error(), "only 1 MiB") {
		t.Errorf("start on a full disk: %v", err)
	}
}

func TestBrokerRunEndsWithItsContext(t *testing.T) {
	b := startBroker(t, t.TempDir(), func(c *embed.BrokerConfig) { c.RetentionInterval = time.Millisecond })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := b.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestBrokerRefusesABrokenLog(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/kafka/meta.json", "{")
	_, err := embed.StartBroker(t.Context(), embed.BrokerConfig{DataDir: dir, Addresses: addresses(t, dir), Logger: quiet})
	if err == nil || !strings.Contains(err.Error(), "meta.json") {
		t.Errorf("error %v, want one that names the file", err)
	}
}

func TestHeadroom(t *testing.T) {
	if free, err := embed.Headroom(t.TempDir()); err != nil || free == 0 {
		t.Errorf("free space %d, %v", free, err)
	}
	if _, err := embed.Headroom("/does/not/exist"); err == nil {
		t.Error("no error for a directory that does not exist")
	}
}
