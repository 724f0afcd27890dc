package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pricelake/pricelake/internal/stream"
)

// Drift returns what ApplyTopics would do about the topics, and changes
// nothing.
func (a *Admin) Drift(ctx context.Context, topics []Topic) ([]TopicChange, error) {
	existing, err := a.admin.ListTopics(ctx, names(topics)...)
	if err != nil {
		return nil, fmt.Errorf("listing topics: %w", known(err))
	}
	reader := applier{admin: a.admin}
	var all []TopicChange
	for _, t := range topics {
		detail, ok := existing[t.Name]
		if !ok || errors.Is(detail.Err, kerr.UnknownTopicOrPartition) {
			all = append(all, TopicChange{Topic: t.Name, Kind: ChangeCreated})
			continue
		}
		if detail.Err != nil {
			return all, fmt.Errorf("describing topic %q: %w", t.Name, known(detail.Err))
		}
		if is := int32(len(detail.Partitions)); is != t.Partitions {
			all = append(all, TopicChange{Topic: t.Name, Kind: ChangeRefused, Config: "partitions", From: fmt.Sprint(is), To: fmt.Sprint(t.Partitions)})
		}
		changes, err := reader.differences(ctx, t)
		if err != nil {
			return all, err
		}
		all = append(all, changes...)
	}
	return all, nil
}

// Replica is a partition with fewer live copies than it should have.
type Replica struct {
	stream.TopicPartition
	InSync, Replicas int
	Leaderless       bool
}

// Degraded returns the partitions of the topics that lack a leader or a copy.
func (a *Admin) Degraded(ctx context.Context, topics ...string) ([]Replica, error) {
	details, err := a.admin.ListTopics(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("listing topics: %w", known(err))
	}
	var all []Replica
	for _, t := range details.Sorted() {
		for _, p := range t.Partitions.Sorted() {
			r := Replica{stream.TopicPartition{Topic: t.Topic, Partition: p.Partition}, len(p.ISR), len(p.Replicas), p.Leader < 0}
			if r.Leaderless || r.InSync < r.Replicas {
				all = append(all, r)
			}
		}
	}
	return all, nil
}

// Newest returns the latest timestamp in a topic, zero when it holds no record.
func (a *Admin) Newest(ctx context.Context, topic string) (time.Time, error) {
	listed, err := a.admin.ListMaxTimestampOffsets(ctx, topic)
	if err != nil {
		return time.Time{}, fmt.Errorf("asking for the newest record of %q: %w", topic, known(err))
	}
	newest := int64(-1)
	listed.Each(func(o kadm.ListedOffset) {
		if o.Err == nil {
			newest = max(newest, o.Timestamp)
		}
	})
	if newest < 0 {
		return time.Time{}, nil
	}
	return time.UnixMilli(newest), nil
}

// OldestBroker is the oldest release of the brokers that this package works with.
const OldestBroker = "2.8"

// neededVersions are the versions from which requests are as they must be.
func neededVersions() map[kmsg.Key]int16 {
	return map[kmsg.Key]int16{
		kmsg.Metadata:                10, // ids of topics
		kmsg.InitProducerID:          3,  // fencing of a producer that comes back
		kmsg.TxnOffsetCommit:         3,  // fencing by the group's generation
		kmsg.OffsetFetch:             7,  // only stable offsets
		kmsg.IncrementalAlterConfigs: 0,
		kmsg.Fetch:                   11,
	}
}

// TooOld returns what each broker cannot do that this package needs, by the
// broker's id; nothing when all can.
func (a *Admin) TooOld(ctx context.Context) (map[int32]string, error) {
	versions, err := a.admin.ApiVersions(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking brokers for their versions: %w", known(err))
	}
	old := map[int32]string{}
	for _, v := range versions.Sorted() {
		if v.Err != nil {
			return nil, fmt.Errorf("asking broker %d for its versions: %w", v.NodeID, known(v.Err))
		}
		var lacks []string
		for _, key := range slices.Sorted(maps.Keys(neededVersions())) {
			if most, ok := v.KeyMaxVersion(int16(key)); !ok || most < neededVersions()[key] {
				lacks = append(lacks, fmt.Sprintf("%s version %d", key.Name(), neededVersions()[key]))
			}
		}
		if len(lacks) > 0 {
			old[v.NodeID] = strings.Join(lacks, ", ")
		}
	}
	return old, nil
}

// BrokerSetting is a setting of a broker that does not go with ours.
type BrokerSetting struct {
	Broker   int32
	Name, Is string
	// Want says what it has to be, and for whom.
	Want string
	// Breaks: something cannot work. Otherwise it works, and not well.
	Breaks bool
}

// rule is what a setting of a broker must be.
type rule struct {
	name   string
	ok     func(value int64) bool
	want   string
	breaks bool
}

// metadataBytes is how much brokers take beside an offset.
const metadataBytes = "offset.metadata.max.bytes"

// rules are what a Config relies on at the brokers.
func (c Config) rules() []rule {
	session, transaction := c.SessionTimeout.Milliseconds(), c.TransactionTimeout.Milliseconds()
	atMost := func(most int64) func(int64) bool { return func(v int64) bool { return v <= most } }
	atLeast := func(least int64) func(int64) bool { return func(v int64) bool { return v >= least } }
	return []rule{
		{"group.min.session.timeout.ms", atMost(session), fmt.Sprintf("at most %d, or raise kafka.session_timeout to it: no role can join its group", session), true},
		{"group.max.session.timeout.ms", atLeast(session), fmt.Sprintf("at least %d, or lower kafka.session_timeout to it: no role can join its group", session), true},
		{"transaction.max.timeout.ms", atLeast(transaction), fmt.Sprintf("at least %d, or lower kafka.transaction_timeout to it: scheduler, normalizer and deduplicator cannot write", transaction), true},
		{metadataBytes, atLeast(maxNote), fmt.Sprintf("at least %d: the loops commit notes beside offsets", maxNote), true},
		{"socket.request.max.bytes", atLeast(maxDeadLetterBytes + 1<<20), fmt.Sprintf("at least %d: the largest answer must pass", maxDeadLetterBytes+1<<20), true},
		{"offsets.retention.minutes", atLeast(7 * 24 * 60), "at least 10080: a group that is stopped for longer forgets its position and begins anew", false},
		{"transaction.abort.timed.out.transaction.cleanup.interval.ms", atMost(10_000), "at most 10000: after a kill the successor waits for it on top of kafka.transaction_timeout", false},
	}
}

// CheckBrokers returns the settings of the brokers that do not go with the
// configuration. Settings that a broker does not tell are passed over.
func (a *Admin) CheckBrokers(ctx context.Context, c Config) ([]BrokerSetting, error) {
	brokers, err := a.Brokers(ctx)
	if err != nil {
		return nil, err
	}
	ids := make([]int32, len(brokers))
	for i, b := range brokers {
		ids[i] = b.ID
	}
	described, err := a.admin.DescribeBrokerConfigs(ctx, ids...)
	if err != nil {
		return nil, fmt.Errorf("reading the settings of the brokers: %w", known(err))
	}
	var wrong []BrokerSetting
	for _, d := range described {
		if d.Err != nil {
			return nil, fmt.Errorf("reading the settings of broker %s: %w", d.Name, known(d.Err))
		}
		id, _ := strconv.Atoi(d.Name) // the broker's own answer
		settings := map[string]string{}
		for _, s := range d.Configs {
			settings[s.Key] = s.MaybeValue()
		}
		wrong = append(wrong, c.judge(int32(id), settings)...)
	}
	return wrong, nil
}

func (c Config) judge(broker int32, settings map[string]string) []BrokerSetting {
	var wrong []BrokerSetting
	for _, r := range c.rules() {
		value, err := strconv.ParseInt(settings[r.name], 10, 64)
		if err == nil && !r.ok(value) {
			wrong = append(wrong, BrokerSetting{broker, r.name, settings[r.name], r.want, r.breaks})
		}
	}
	return wrong
}
