//go:build !noembed && unix

package embed_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A reader who is far behind gets answers that are full. Aborted records are in
// none of them.
func TestFullAnswersNameAbortedTransactions(t *testing.T) {
	const topic, partitions, each = "full", 3, 20
	b := startBroker(t, t.TempDir(), nil)
	if _, err := kadm.NewClient(kafkaClient(t, b)).CreateTopic(t.Context(), partitions, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	c := kafkaClient(t, b, kgo.TransactionalID("one"), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.TransactionTimeout(time.Minute))
	for n := range 2 * each {
		commit := kgo.TransactionEndTry(n%2 == 0)
		if err := c.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for p := range int32(partitions) {
			value := bytes.Repeat([]byte{'c'}, 50_000)
			if !commit {
				value[0] = 'a'
			}
			if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: p, Value: value}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	r := kafkaClient(t, b, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxBytes(300_000), kgo.FetchMaxPartitionBytes(300_000))
	for seen := 0; seen < partitions*each; {
		fetches := r.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			seen++
			if rec.Value[0] != 'c' {
				t.Errorf("partition %d: the record at offset %d was aborted", rec.Partition, rec.Offset)
			}
		})
	}
}
