package kafka_test

import (
	"bytes"
	"context"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kfake"
)

// The benchmarks move records of the size of a price over the embedded broker,
// broker and client in one process: upper bounds of what the loops cost.

const benchRecord = 234 // bytes of a Price in Avro

func benchTopics(b *testing.B, n int, topics ...string) kafka.Config {
	b.Helper()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, topics...))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(fake.Close)
	cfg := kafka.DefaultConfig()
	cfg.Brokers = fake.ListenAddrs()
	p, err := kafka.NewProducer(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	value := bytes.Repeat([]byte("0123456789abcdef"), benchRecord/16+1)[:benchRecord]
	for n > 0 {
		rs := make([]stream.Record, min(n, 10_000))
		for i := range rs {
			rs[i] = stream.Record{Topic: topics[0], Partition: int32(i % 3), Key: []byte("BTC-USD"), Value: value}
		}
		if err := p.Publish(b.Context(), rs...); err != nil {
			b.Fatal(err)
		}
		n -= len(rs)
	}
	b.SetBytes(benchRecord)
	b.ReportAllocs()
	return cfg
}

// report says what a record costs in processor time, both sides together.
func report(b *testing.B, before time.Duration) {
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkTransact(b *testing.B) {
	cfg := benchTopics(b, b.N, "in", "out")
	var done atomic.Int64
	finished := make(chan struct{})
	tr := kafka.Transact{Config: cfg, Group: "g", Topics: []string{"in"}, TransactionalID: "b", Sessions: 1}
	open := func(context.Context, stream.TopicPartition) (stream.Stage, error) {
		return stream.StageFunc(func(_ context.Context, in stream.Batch) (stream.Output, error) {
			out := stream.Output{Records: make([]stream.Record, len(in.Records))}
			for i, r := range in.Records {
				out.Records[i] = stream.Record{Topic: "out", Partition: r.Partition, Key: r.Key, Value: r.Value}
			}
			out.Committed = func(_ context.Context, rs []stream.Record) error {
				if done.Add(int64(len(rs))) == int64(b.N) {
					close(finished)
				}
				return nil
			}
			return out, nil
		}), nil
	}
	ctx, cancel := context.WithCancel(b.Context())
	before := cpu(b)
	b.ResetTimer()
	ended := make(chan error, 1)
	go func() { ended <- tr.Run(ctx, open) }()
	<-finished
	b.StopTimer()
	report(b, before)
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

type countingSink struct {
	left     *atomic.Int64
	finished chan struct{}
}

func (s countingSink) Write(_ context.Context, b stream.Batch, _ stream.Intend) error {
	if s.left.Add(-int64(len(b.Records))) == 0 {
		close(s.finished)
	}
	return nil
}

func (s countingSink) Close() error { return nil }

func BenchmarkRange(b *testing.B) {
	cfg := benchTopics(b, b.N, "in")
	var left atomic.Int64
	left.Store(int64(b.N))
	sink := countingSink{left: &left, finished: make(chan struct{})}
	r := kafka.Range{Config: cfg, Group: "g", Topics: map[string]kafka.Flush{"in": {Interval: 10 * time.Millisecond}}, MaxWritesPerSecond: 1000}
	ctx, cancel := context.WithCancel(b.Context())
	before := cpu(b)
	b.ResetTimer()
	ended := make(chan error, 1)
	go func() {
		ended <- r.Run(ctx, func(context.Context, stream.Claim) (stream.RangeSink, error) { return sink, nil })
	}()
	<-sink.finished
	b.StopTimer()
	report(b, before)
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

func BenchmarkReadCommitted(b *testing.B) {
	cfg := benchTopics(b, b.N, "in")
	l, err := kafka.NewLog(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	before := cpu(b)
	b.ResetTimer()
	n := 0
	for p := range int32(3) {
		_, err := l.ReadCommitted(b.Context(), stream.TopicPartition{Topic: "in", Partition: p}, 0, func(stream.Record) error {
			n++
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	report(b, before)
	if n != b.N {
		b.Fatalf("read %d records of %d", n, b.N)
	}
}
