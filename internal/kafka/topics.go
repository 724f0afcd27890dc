package kafka

import (
	"strconv"
	"time"

	"github.com/pricelake/pricelake/schemas"
)

// Topic is a topic as it must be: ApplyTopics makes it so.
type Topic struct {
	Name       string
	Partitions int32
	// ReplicationFactor is -1 for the brokers' default.
	ReplicationFactor int16
	// Config holds the settings that differ from the brokers' defaults or
	// that something relies on. Others are left alone.
	Config map[string]string
}

// Profile is what differs between installations. Take Embedded or Production
// and change fields as needed.
type Profile struct {
	// Partitions of the topics that scale with the load. The count of a keyed
	// topic is never changed in place: order per key would break.
	Partitions int32
	// LowRatePartitions of catalog, schedules and dead letters.
	LowRatePartitions int32
	// ReplicationFactor is -1 for the brokers' default.
	ReplicationFactor int16
	// BoundBytes bounds retention in bytes as well as in time.
	BoundBytes bool
}

// Embedded is the profile of one process on one machine. Retention is bounded
// in bytes too, because the embedded broker reads its whole log at start.
func Embedded() Profile {
	return Profile{Partitions: 3, LowRatePartitions: 1, ReplicationFactor: 1, BoundBytes: true}
}

// Production is the profile of a cluster.
func Production() Profile {
	return Profile{Partitions: 12, LowRatePartitions: 12, ReplicationFactor: -1}
}

const (
	// maxResponseBytes is the record limit of responses.v1: an answer above
	// it is a failed poll, never a cut one.
	maxResponseBytes = 8 << 20
	// maxDeadLetterBytes lets a dead letter carry the largest answer with its
	// reason around it.
	maxDeadLetterBytes = maxResponseBytes + 1<<20
	// maxDefaultBytes is the brokers' own default, spelled out because the
	// producer's limit must not be above it.
	maxDefaultBytes = 1<<20 + 12
)

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// CallVersionsKept is how long answers are retained. The version of a call that an
// answer names must survive compaction for as long.
const CallVersionsKept = 30 * day

// MaxRecordBytes is the largest record, key and value and headers, that topic
// takes. Publishers refuse a larger one with ErrTooLarge.
func MaxRecordBytes(topic string) int { return int(batchMaxBytes(topic)) - 256 }

func batchMaxBytes(topic string) int32 {
	switch topic {
	case schemas.TopicResponses:
		return maxResponseBytes
	case schemas.TopicDeadLetters:
		return maxDeadLetterBytes
	}
	return maxDefaultBytes
}

// Topics returns every topic of the contract, in the order of the path.
func Topics(p Profile) []Topic {
	return []Topic{
		p.compacted(schemas.TopicCalls, p.LowRatePartitions, CallVersionsKept),
		p.compacted(schemas.TopicInstruments, p.LowRatePartitions, 0),
		p.compacted(schemas.TopicSchedules, p.LowRatePartitions, 0),
		p.deleted(schemas.TopicRequests, p.Partitions, week, 64<<20),
		p.deleted(schemas.TopicPolls, p.Partitions, 30*day, 64<<20),
		p.deleted(schemas.TopicResponses, p.Partitions, CallVersionsKept, 256<<20, "compression.type", "zstd"),
		p.deleted(schemas.TopicObserved, p.Partitions, week, 64<<20),
		// The broker's time of a price is its recorded_at, the knowledge time.
		p.deleted(schemas.TopicPrices, p.Partitions, 90*day, 128<<20, "message.timestamp.type", "LogAppendTime"),
		p.deleted(schemas.TopicRejected, p.Partitions, 30*day, 64<<20),
		p.deleted(schemas.TopicDeadLetters, p.LowRatePartitions, 365*day, 128<<20),
		// What people have decided, one by one.
		p.compacted(schemas.TopicDeadLetterMarks, 1, 0),
		// A handful of records for ever: one partition whatever the profile.
		p.compacted(schemas.TopicRoles, 1, 0),
	}
}

func (p Profile) compacted(name string, partitions int32, minLag time.Duration) Topic {
	t := p.topic(name, partitions)
	t.Config["cleanup.policy"] = "compact"
	t.Config["min.compaction.lag.ms"] = millis(minLag)
	// Only closed segments are compacted. These topics are small: close
	// segments by the day, and clean once a tenth is superseded.
	t.Config["segment.ms"] = millis(day)
	t.Config["segment.bytes"] = strconv.Itoa(16 << 20)
	t.Config["min.cleanable.dirty.ratio"] = "0.1"
	// How long a removal stays readable: longer than any reader is away.
	t.Config["delete.retention.ms"] = millis(week)
	return t
}

// deleted is a topic whose old segments are deleted. maxBytes is per partition
// and applies where the profile bounds bytes.
func (p Profile) deleted(name string, partitions int32, retention time.Duration, maxBytes int64, config ...string) Topic {
	t := p.topic(name, partitions)
	t.Config["cleanup.policy"] = "delete"
	t.Config["retention.ms"] = millis(retention)
	if p.BoundBytes {
		t.Config["retention.bytes"] = strconv.FormatInt(maxBytes, 10)
		// Whole segments are deleted: an eighth of the bound keeps it tight.
		t.Config["segment.bytes"] = strconv.FormatInt(max(maxBytes/8, 16<<20), 10)
	}
	for i := 0; i+1 < len(config); i += 2 {
		t.Config[config[i]] = config[i+1]
	}
	return t
}

func (p Profile) topic(name string, partitions int32) Topic {
	t := Topic{Name: name, Partitions: partitions, ReplicationFactor: p.ReplicationFactor, Config: map[string]string{
		"max.message.bytes": strconv.Itoa(int(batchMaxBytes(name))),
	}}
	if p.ReplicationFactor >= 3 {
		// With acks from all in-sync replicas, two of three are what makes an
		// acknowledged record survive a broker.
		t.Config["min.insync.replicas"] = strconv.Itoa(int(p.ReplicationFactor) - 1)
	}
	return t
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
