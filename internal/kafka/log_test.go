package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kgo"
)

// transaction writes values to partition 0 and commits, aborts, or leaves the
// transaction open and returns how to commit it.
func (c *cluster) transaction(t *testing.T, topic string, commit kgo.TransactionEndTry, values ...string) {
	t.Helper()
	end := c.openTransaction(t, topic, values...)
	if err := end(commit); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) openTransaction(t *testing.T, topic string, values ...string) func(kgo.TransactionEndTry) error {
	t.Helper()
	client := c.client(t, kgo.TransactionalID(c.name(t)), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	return func(commit kgo.TransactionEndTry) error { return client.EndTransaction(context.Background(), commit) }
}

func read(t *testing.T, l *kafka.Log, topic string, from int64) (values []string, next int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	next, err := l.ReadCommitted(ctx, stream.TopicPartition{Topic: topic}, from, func(r stream.Record) error {
		values = append(values, string(r.Value))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return values, next
}

func testReadCommitted(t *testing.T, c *cluster) {
	l := c.log(t)
	f := func(what string, want []string, end int64, write func(topic string)) {
		t.Helper()
		topic := c.topic(t, 1)
		write(topic)
		// Brokers may answer a commit before its marker is in the log.
		eventually(t, what, func() bool { _, next := read(t, l, topic, 0); return next >= end })
		got, next := read(t, l, topic, 0)
		if !slices.Equal(got, want) || next != end {
			t.Errorf("%s: read %q up to %d, want %q up to %d", what, got, next, want, end)
		}
	}
	f("an empty log", nil, 0, func(string) {})
	f("a marker at the end", []string{"a", "b"}, 3, func(topic string) {
		c.transaction(t, topic, kgo.TryCommit, "a", "b")
	})
	f("aborted records at the end", []string{"a"}, 5, func(topic string) {
		c.transaction(t, topic, kgo.TryCommit, "a")
		c.transaction(t, topic, kgo.TryAbort, "b", "c")
	})
	f("nothing but aborted records", nil, 2, func(topic string) {
		c.transaction(t, topic, kgo.TryAbort, "a")
	})
	f("interleaved transactions", []string{"a", "c"}, 5, func(topic string) {
		one := c.openTransaction(t, topic, "a")
		c.transaction(t, topic, kgo.TryAbort, "b")
		if err := one(kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
		c.fillValues(t, topic, "c")
	})

	topic := c.topic(t, 1)
	c.fillValues(t, topic, "a", "b", "c", "d")
	if got, next := read(t, l, topic, 2); !slices.Equal(got, []string{"c", "d"}) || next != 4 {
		t.Errorf("from 2: read %q up to %d", got, next)
	}
	rs, err := l.Reread(stream.TopicPartition{Topic: topic}).All(t.Context(), 1, 2)
	if err != nil || len(rs) != 2 || string(rs[0].Value) != "b" || string(rs[1].Value) != "c" {
		t.Errorf("rereading [1,2]: %v, %v", rs, err)
	}
	stop := errors.New("stop")
	if _, err := l.ReadCommitted(t.Context(), stream.TopicPartition{Topic: topic}, 0, func(stream.Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("an error of each: got %v", err)
	}
	c.deleteRecords(t, topic, 3)
	if got, next := read(t, l, topic, 0); !slices.Equal(got, []string{"d"}) || next != 4 {
		t.Errorf("below the first retained offset: read %q up to %d", got, next)
	}
	first, end, err := l.Bounds(t.Context(), stream.TopicPartition{Topic: topic})
	if err != nil || first != 3 || end != 4 {
		t.Errorf("bounds are [%d,%d), %v; want [3,4)", first, end, err)
	}
}

// testReadCommittedWaits: the high watermark at the call counts, so a read must
// wait for a transaction that was open then, and must not for later ones.
func testReadCommittedWaits(t *testing.T, c *cluster) {
	topic := c.topic(t, 1)
	end := c.openTransaction(t, topic, "a", "b")
	type result struct {
		values []string
		next   int64
	}
	done := make(chan result, 1)
	l := c.log(t)
	go func() {
		values, next := read(t, l, topic, 0)
		done <- result{values, next}
	}()
	select {
	case r := <-done:
		t.Errorf("read %q up to %d while the transaction was open", r.values, r.next)
	case <-time.After(300 * time.Millisecond):
	}
	if err := end(kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	r := <-done
	if !slices.Equal(r.values, []string{"a", "b"}) || r.next < 2 {
		t.Errorf("read %q up to %d, want both records", r.values, r.next)
	}
}

func testReadCommittedLarge(t *testing.T, c *cluster) {
	topic := c.topic(t, 1)
	const n = 50_000
	c.fill(t, topic, 1, 0, n)
	got, next := read(t, c.log(t), topic, 0)
	if len(got) != n || next != n {
		t.Fatalf("read %d records up to %d, want %d", len(got), next, n)
	}
	for i, v := range got {
		if v != fmt.Sprint(i) {
			t.Fatalf("record %d is %q", i, v)
		}
	}
}

func testTail(t *testing.T, c *cluster) {
	topic := c.topic(t, 2)
	c.fill(t, topic, 2, 0, 10)
	f := func(fromStart bool) (values func() []string) {
		var mu sync.Mutex
		var got []string
		start(t, func(ctx context.Context) error {
			return kafka.Tail(ctx, c.config(t), topic, fromStart, func(r stream.Record) error {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, string(r.Value))
				return nil
			})
		})
		return func() []string {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(got)
		}
	}
	all, live := f(true), f(false)
	eventually(t, "the old records", func() bool { return len(all()) == 10 })
	for i := 10; len(live()) < 3; i++ { // a tail from now on has no "ready"
		c.fill(t, topic, 2, i, 1)
		time.Sleep(10 * time.Millisecond)
	}
	if slices.Contains(live(), "0") {
		t.Error("a tail from now on shows an old record")
	}
	eventually(t, "the new records", func() bool { return len(all()) > 12 })
	stop := errors.New("stop")
	if err := kafka.Tail(t.Context(), c.config(t), topic, true, func(stream.Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("an error of each: got %v", err)
	}
}
