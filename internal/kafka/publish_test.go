package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
)

// javaPartitions are what org.apache.kafka.clients.producer's default
// partitioner chooses: toPositive(murmur2(key)) % partitions, with the hashes
// of Kafka's own UtilsTest.
var javaPartitions = []struct {
	key  string
	hash uint32 // as printed there, negative values in two's complement
}{
	{"21", uint32(0xffffffff - 973932308 + 1)},
	{"foobar", uint32(0xffffffff - 790332482 + 1)},
	{"a-little-bit-long-string", uint32(0xffffffff - 985981536 + 1)},
	{"a-little-bit-longer-string", uint32(0xffffffff - 1486304829 + 1)},
	{"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", uint32(0xffffffff - 58897971 + 1)},
	{"abc", 479470107},
}

func testPublish(t *testing.T, c *cluster) {
	const partitions = 7
	topic := c.topic(t, partitions)
	p := c.producer(t)
	var rs []stream.Record
	for _, j := range javaPartitions {
		rs = append(rs, stream.Record{Topic: topic, Partition: stream.AnyPartition, Key: []byte(j.key), Value: []byte(j.key)})
	}
	for n := range int32(partitions) {
		// The key would hash elsewhere; the partition that is set counts.
		rs = append(rs, stream.Record{
			Topic: topic, Partition: n, Key: []byte("abc"), Value: fmt.Append(nil, n),
			Headers: []stream.Header{{Key: "n", Value: fmt.Append(nil, n)}},
		})
	}
	if err := p.Publish(t.Context(), rs...); err != nil {
		t.Fatal(err)
	}
	found := make(map[string]stream.Record)
	id, _, err := c.log(t).Describe(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	for n := range int32(partitions) {
		_, err := c.log(t).ReadCommitted(t.Context(), stream.TopicPartition{Topic: topic, Partition: n}, 0, func(r stream.Record) error {
			found[string(r.Value)] = r
			if r.TopicID != id || r.Topic != topic || r.Timestamp.IsZero() {
				t.Errorf("record %q has topic %q, id %x, time %v", r.Value, r.Topic, r.TopicID, r.Timestamp)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, j := range javaPartitions {
		if got, want := found[j.key].Partition, int32(j.hash&0x7fffffff%partitions); got != want {
			t.Errorf("key %q is in partition %d, Java puts it in %d", j.key, got, want)
		}
	}
	for n := range int32(partitions) {
		r := found[fmt.Sprint(n)]
		if r.Partition != n || string(r.Header("n")) != fmt.Sprint(n) {
			t.Errorf("record for partition %d is in %d, header %q", n, r.Partition, r.Header("n"))
		}
	}
	if err := p.Publish(t.Context()); err != nil {
		t.Errorf("publishing nothing: %v", err)
	}
}

func testPublishTooLarge(t *testing.T, c *cluster) {
	topic := c.topic(t, 1)
	p := c.producer(t)
	fits := bytes.Repeat([]byte("x"), kafka.MaxRecordBytes(topic))
	if err := p.Publish(t.Context(), stream.Record{Topic: topic, Value: fits}); err != nil {
		t.Errorf("publishing a record of MaxRecordBytes: %v", err)
	}
	err := p.Publish(t.Context(), stream.Record{Topic: topic, Value: append(fits, fits...)})
	if !errors.Is(err, kafka.ErrTooLarge) {
		t.Errorf("publishing twice MaxRecordBytes: %v, want ErrTooLarge", err)
	}
	if got := c.all(t, topic)[0]; len(got) != 1 {
		t.Errorf("%d records in the topic, want 1", len(got))
	}
}

func testPublishUnknownTopic(t *testing.T, c *cluster) {
	err := c.producer(t).Publish(t.Context(), stream.Record{Topic: c.name(t), Value: []byte("x")})
	if !errors.Is(err, kafka.ErrUnknownTopic) {
		t.Errorf("got %v, want ErrUnknownTopic: topics are never made by accident", err)
	}
}

func TestPublishReturnsWithItsContext(t *testing.T) {
	t.Parallel()
	cfg := kafka.DefaultConfig()
	cfg.Brokers = []string{"127.0.0.1:1"} // nobody listens
	p, err := kafka.NewProducer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Publish(ctx, stream.Record{Topic: "t", Value: []byte("x")}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestConfigSaysEverythingAtOnce(t *testing.T) {
	cfg := kafka.Config{SessionTimeout: time.Second, TransactionTimeout: 2 * time.Second}
	err := cfg.Validate()
	if err == nil {
		t.Fatal("an empty configuration is valid")
	}
	for _, want := range []string{"no brokers", "client id", "rebalance timeout is 0s", "drain timeout is 0s", "transaction timeout 2s is above the session timeout 1s"} {
		if !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Errorf("the error does not mention %q:\n%v", want, err)
		}
	}
	cfg = kafka.DefaultConfig()
	cfg.Brokers = []string{"localhost:9092"}
	if err := cfg.Validate(); err != nil {
		t.Errorf("the defaults are not valid: %v", err)
	}
}
