package count

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Topics of the path, and the groups that read them. They are part of what the
// product promises.
const (
	topicRequests = "polls.requested.v1"
	topicPolls    = "polls.finished.v1"
	// TopicResponses holds the recorded answers.
	TopicResponses   = "responses.v1"
	topicObserved    = "prices.observed.v1"
	topicPrices      = "prices.v1"
	topicRejected    = "prices.rejected.v1"
	topicDeadLetters = "deadletters.v1"
)

// groups says which group reads which topics of the path.
func groups() map[string][]string {
	return map[string][]string{
		"pricelake.poller":       {topicRequests},
		"pricelake.normalizer":   {TopicResponses},
		"pricelake.deduplicator": {topicObserved},
		"pricelake.lake":         {topicPolls, TopicResponses, topicPrices, topicRejected, topicDeadLetters},
	}
}

// Kafka reads topics and committed offsets, and deletes the beginning of a topic.
type Kafka struct {
	seeds []string
	// Heads, if any, are read before what there still is.
	Heads *Heads
}

// NewKafka returns a reader. It connects to nothing.
func NewKafka(seeds ...string) *Kafka { return &Kafka{seeds: seeds} }

func (k *Kafka) client(opts ...kgo.Opt) (*kgo.Client, error) {
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(k.seeds...),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxBytes(32 << 20),
		kgo.FetchMaxPartitionBytes(16 << 20),
		kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.ClientID("pricelake-chaos"),
	}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("making a Kafka client: %w", err)
	}
	return cl, nil
}

// span is what of a partition there is to read: offsets from first to before end.
type span struct{ first, end int64 }

// Read calls each for every committed record of a topic, partition by partition
// mixed, each partition in its order, up to the last stable offset at the call.
func (k *Kafka) Read(ctx context.Context, topic string, each func(*kgo.Record) error) error {
	cl, err := k.client(kgo.KeepControlRecords())
	if err != nil {
		return err
	}
	defer cl.Close()
	left, err := spans(ctx, kadm.NewClient(cl), topic)
	if err != nil {
		return err
	}
	if err := k.Heads.each(topic, left, each); err != nil {
		return err
	}
	return readSpans(ctx, cl, topic, left, each)
}

// readSpans calls each for the records of some partitions, from one offset to before
// another that is not above the last stable one.
func readSpans(ctx context.Context, cl *kgo.Client, topic string, left map[int32]span, each func(*kgo.Record) error) error {
	from := map[int32]kgo.Offset{}
	for p, s := range left {
		if s.first < s.end {
			from[p] = kgo.NewOffset().At(s.first)
		} else {
			delete(left, p)
		}
	}
	if len(left) == 0 {
		return nil
	}
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	for len(left) > 0 {
		// A partition up to its last stable offset ends in a record or in the
		// marker of a transaction, and both are delivered.
		quiet, cancel := context.WithTimeout(ctx, readPatience)
		fetches := cl.PollFetches(quiet)
		err := quiet.Err()
		cancel()
		if err == nil {
			err = fetches.Err0()
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w; partitions with something left: %v", topic, err, left)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			s, ok := left[r.Partition]
			if !ok {
				continue
			}
			if r.Offset < s.end && !r.Attrs.IsControl() {
				if err := each(r); err != nil {
					return fmt.Errorf("reading %s[%d] at %d: %w", topic, r.Partition, r.Offset, err)
				}
			}
			if r.Offset >= s.end-1 { // what is just before may be of an aborted transaction
				delete(left, r.Partition)
			}
		}
	}
	return nil
}

// readPatience is how long a topic that has more may say nothing.
const readPatience = 30 * time.Second

// spans returns first and last stable offset of each partition.
func spans(ctx context.Context, adm *kadm.Client, topic string) (map[int32]span, error) {
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("listing the start of %s: %w", topic, err)
	}
	ends, err := adm.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("listing the end of %s: %w", topic, err)
	}
	out := map[int32]span{}
	ends.Each(func(o kadm.ListedOffset) {
		s := span{end: o.Offset}
		if start, ok := starts.Lookup(topic, o.Partition); ok {
			s.first = start.Offset
		}
		out[o.Partition] = s
	})
	return out, nil
}

// Follow calls each for every committed record of a topic as it comes, until ctx
// ends; it returns nil then.
func (k *Kafka) Follow(ctx context.Context, topic string, each func(*kgo.Record)) error {
	cl, err := k.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer cl.Close()
	for {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		fetches.EachRecord(each) // errors are those of killed brokers: it goes on
	}
}

// Place is a partition as a group sees it.
type Place struct {
	Group, Topic string
	Partition    int32
}

func (p Place) String() string { return fmt.Sprintf("%s of %s[%d]", p.Group, p.Topic, p.Partition) }

// Committed returns the committed offsets of the groups of the path; a place
// without one is not in it.
func (k *Kafka) Committed(ctx context.Context) (map[Place]int64, error) {
	cl, err := k.client()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	return committed(ctx, kadm.NewClient(cl))
}

func committed(ctx context.Context, adm *kadm.Client) (map[Place]int64, error) {
	out := map[Place]int64{}
	for group := range groups() {
		offsets, err := adm.FetchOffsets(ctx, group)
		if err == nil {
			err = offsets.Error()
		}
		if errors.Is(err, kerr.GroupIDNotFound) {
			continue // it has not committed anything yet
		}
		if err != nil {
			return nil, fmt.Errorf("fetching the offsets of %s: %w", group, err)
		}
		offsets.Each(func(o kadm.OffsetResponse) {
			if o.At >= 0 {
				out[Place{group, o.Topic, o.Partition}] = o.At
			}
		})
	}
	return out, nil
}

// Behind returns how many offsets each group has not committed, for the places
// where records are left. Transaction markers at the end of a partition are no
// records.
func (k *Kafka) Behind(ctx context.Context) (map[Place]int64, error) {
	cl, err := k.client()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	at, err := committed(ctx, adm)
	if err != nil {
		return nil, err
	}
	behind := map[Place]int64{}
	for group, topics := range groups() {
		for _, topic := range topics {
			all, err := adm.ListEndOffsets(ctx, topic)
			if err == nil {
				err = all.Error()
			}
			if err != nil {
				return nil, fmt.Errorf("listing the end of %s: %w", topic, err)
			}
			some, err := spans(ctx, adm, topic)
			if err != nil {
				return nil, err
			}
			all.Each(func(o kadm.ListedOffset) {
				place := Place{group, topic, o.Partition}
				from := max(at[place], some[o.Partition].first)
				if from < o.Offset {
					behind[place] = o.Offset - from
				}
			})
		}
	}
	for place, n := range behind {
		if n > maxMarkers {
			continue
		}
		records, err := k.any(ctx, place, at[place])
		if err != nil {
			return nil, err
		}
		if !records {
			delete(behind, place)
		}
	}
	return behind, nil
}

// maxMarkers is how many offsets at the end of a partition are looked at one by
// one; more are records surely.
const maxMarkers = 64

// any says whether there are records at or after an offset, be they committed or
// open.
func (k *Kafka) any(ctx context.Context, place Place, from int64) (bool, error) {
	cl, err := k.client(kgo.FetchIsolationLevel(kgo.ReadUncommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{place.Topic: {place.Partition: kgo.NewOffset().At(max(0, from))}}))
	if err != nil {
		return false, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	fetches := cl.PollFetches(ctx)
	if err := fetches.Err0(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return false, fmt.Errorf("looking at %s[%d]: %w", place.Topic, place.Partition, err)
	}
	found := false
	fetches.EachRecord(func(r *kgo.Record) { found = found || !r.Attrs.IsControl() })
	return found, nil
}
