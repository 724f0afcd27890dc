package kafka

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Every option of the client library is set in the functions of this file, so
// that there is one place to read them. An option that is not here has the
// library's default on purpose.

const (
	// fetchMaxBytes bounds what one broker returns at once. It is compressed,
	// and answers of APIs take ten times as much once they are not.
	fetchMaxBytes = 4 << 20
	// fetchMaxPartitionBytes is the share of one partition. A larger batch is
	// returned whole all the same, so it need not cover responses.v1.
	fetchMaxPartitionBytes = 1 << 20
	// rangeFetchBytes is that of a partition whose ranges are written.
	rangeFetchBytes = 256 << 10
	// maxDecompressedBatch refuses compressed bombs; the library's own limit
	// is 1 GiB. Our largest batch is a little over maxResponseBytes.
	maxDecompressedBatch = 64 << 20
	// maxBufferedBytes bounds what a producer holds unacknowledged (I8).
	maxBufferedBytes = 64 << 20
	// dialTimeout bounds a connection's making: a stalled broker must not hold
	// it for long when there are others to try.
	dialTimeout = 5 * time.Second
	// pollRecords bounds the records one poll returns, so that a queue
	// exceeds its limit by no more than that.
	pollRecords = 10_000
)

// commonOptions are those of every client.
func commonOptions(c Config) []kgo.Opt {
	return append(securityOptions(c),
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(c.ClientID),
		kgo.WithLogger(clientLogger{c.logger()}),
		kgo.MaxDecompressBatchBytes(maxDecompressedBatch),
		// A topic made a moment ago, a leader that moved: look again soon. The
		// default of 5 s would be felt at every start.
		kgo.MetadataMinAge(250*time.Millisecond),
		kgo.MetadataMaxAge(time.Minute),
		// Brokers would otherwise be sent this client's own statistics
		// (KIP-714); ours are on /metrics.
		kgo.DisableClientMetrics(),
		kgo.RetryBackoffFn(func(fails int) time.Duration { return backoff(fails, 50*time.Millisecond, 2*time.Second) }),
	)
}

// readerOptions are those of a group member that reads committed records.
func readerOptions(c Config, group string, topics ...string) []kgo.Opt {
	return append(commonOptions(c),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topics...),
		// The classic protocol, cooperative: partitions that stay with their
		// member go on during a rebalance. KIP-848 is left out on purpose, see
		// docs/adr/0005-delivery.md.
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(c.SessionTimeout),
		kgo.RebalanceTimeout(c.RebalanceTimeout),
		// A heartbeat is how a member learns of a rebalance, and until the last
		// one has learnt of it nobody works on the partitions that move, and a
		// rolling restart takes three rounds of that: ten times a second costs a
		// broker next to nothing, the usual 3 s would be seen.
		kgo.HeartbeatInterval(min(c.SessionTimeout/3, 100*time.Millisecond)),
		// The three loops own every commit (I1).
		kgo.DisableAutoCommit(),
		// Polls and revocations exclude each other: what a poll returned is
		// handed to the partition's owner before the partition can go away or
		// come back, so no stale record meets a new assignment.
		kgo.BlockRebalanceOnPoll(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// Transaction markers take offsets. Seeing them is how an idle reader
		// knows that it has read to the very end.
		kgo.KeepControlRecords(),
		// A group that is new reads from the start: nothing is skipped. A
		// position that the log no longer holds is never moved by the client:
		// the loops find the gap when they claim the partition, and report it.
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxBytes(fetchMaxBytes),
		kgo.FetchMaxPartitionBytes(fetchMaxPartitionBytes),
		kgo.FetchMaxWait(500*time.Millisecond),
	)
}

// rangeOptions are those of a member whose partitions are paused when they are
// full. One request at a time is under way to a broker, and it asks for what was
// not paused when it began: while that is idle partitions, one that goes on waits
// for its end. A fetch is small, since two of them are in memory beside the ranges.
func rangeOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.FetchMaxWait(50 * time.Millisecond),
		kgo.FetchMaxPartitionBytes(rangeFetchBytes),
	}
}

// writerOptions are those of a client that produces. Idempotence is the
// library's default and stays on.
func writerOptions(c Config, compression kgo.CompressionCodec) []kgo.Opt {
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(compression, kgo.NoCompression()),
		// The broker's limit of the topic. One limit for all would either
		// refuse answers of providers or send batches that brokers refuse.
		kgo.ProducerBatchMaxBytesFn(batchMaxBytes),
		kgo.MaxBufferedBytes(maxBufferedBytes),
		kgo.RecordPartitioner(partitioner{kgo.StickyKeyPartitioner(nil)}),
		// Batches form while requests are in flight; waiting on top would only
		// add latency. Every caller waits for its own records anyway.
		kgo.ProducerLinger(0),
	}
}

// transactionalOptions are writerOptions under a transactional id.
func transactionalOptions(c Config, id string, compression kgo.CompressionCodec) []kgo.Opt {
	return append(writerOptions(c, compression),
		kgo.TransactionalID(id),
		// Hundredths of a second, see noteCommit.
		kgo.TransactionTimeout(max(c.TransactionTimeout.Truncate(10*time.Millisecond), time.Millisecond)),
		// After an abort or a fast commit the coordinator may still be writing
		// markers; ask again soon.
		kgo.ConcurrentTransactionsBackoff(5*time.Millisecond),
	)
}

// hotCompression is lz4: what transactions carry is the hot path, and it costs a
// third of zstd's CPU time on both sides.
func hotCompression() kgo.CompressionCodec { return kgo.Lz4Compression() }

// partitioner honours a partition that is set and otherwise hashes the key as
// Java's default does (murmur2), so that any client finds the same partition.
type partitioner struct{ byKey kgo.Partitioner }

func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	return topicPartitioner{p.byKey.ForTopic(topic)}
}

type topicPartitioner struct{ byKey kgo.TopicPartitioner }

func (p topicPartitioner) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition >= 0 || p.byKey.RequiresConsistency(r)
}

func (p topicPartitioner) Partition(r *kgo.Record, n int) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return p.byKey.Partition(r, n)
}

func (p topicPartitioner) OnNewBatch() {
	if b, ok := p.byKey.(kgo.TopicPartitionerOnNewBatch); ok {
		b.OnNewBatch()
	}
}

// clientLogger passes on what the client library warns of. Its information
// level speaks several times a transaction, so that is only for debugging.
type clientLogger struct{ l *slog.Logger }

func (l clientLogger) Level() kgo.LogLevel {
	if l.l.Enabled(context.Background(), slog.LevelDebug) {
		return kgo.LogLevelInfo
	}
	return kgo.LogLevelWarn
}

func (l clientLogger) Log(level kgo.LogLevel, msg string, kvs ...any) {
	switch level {
	case kgo.LogLevelError, kgo.LogLevelWarn:
		// The library retries nearly everything it calls an error; what
		// matters comes back as a value and is logged where it ends.
		l.l.Warn("kafka client: "+msg, kvs...) //nolint:sloglint // the library's texts are constants
	default:
		l.l.Debug("kafka client: "+msg, kvs...) //nolint:sloglint // the library's texts are constants
	}
}

// backoff returns the pause before try number fails+1: doubling from least up
// to most, with jitter of a half so that members do not retry in step.
func backoff(fails int, least, most time.Duration) time.Duration {
	d := most
	if fails < 20 {
		d = min(least<<max(fails-1, 0), most)
	}
	return d/2 + rand.N(d/2+1)
}
