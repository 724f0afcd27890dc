package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var (
	// errFenced: the group has gone on without this member. Whatever it still
	// holds may have another owner.
	errFenced = errors.New("the consumer group has gone on without this member")
	// errPosition: the position is not one the log can be read from.
	errPosition = errors.New("the position cannot be read from")
)

// commit is what a group has committed for a partition.
type commit struct {
	offset   int64 // -1: nothing
	metadata string
}

// fetchedCommits holds what the client fetched last, with the metadata that it
// does not hand on. A claim follows in the same goroutine.
type fetchedCommits struct {
	mu      sync.Mutex
	commits map[stream.TopicPartition]commit
}

func (f *fetchedCommits) note(_ context.Context, _ *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
	commits := commitsOf(resp)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.commits = commits
	return nil
}

func (f *fetchedCommits) last() map[stream.TopicPartition]commit {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.commits
}

// start is where an assignment begins.
type start struct {
	commit
	note      note // as committed by Range; metadata is then what its sink noted
	committed bool // the group has a position
	id        stream.TopicID
	end       int64 // of the log
	err       error // the partition cannot be served
}

// resume returns where the client is to read each newly assigned partition on
// from: those that begin accepts.
func (s membership) resume(ctx context.Context, admin *kadm.Client, assigned map[string]map[int32]kgo.Offset, commits map[stream.TopicPartition]commit, begin func(stream.TopicPartition, start) bool) (map[string]map[int32]kgo.Offset, error) {
	starts, err := claimStarts(ctx, s, admin, assigned, commits)
	if err != nil {
		return nil, err
	}
	resumed := make(map[string]map[int32]kgo.Offset, len(assigned))
	for tp, at := range starts {
		if !begin(tp, at) {
			continue
		}
		if resumed[tp.Topic] == nil {
			resumed[tp.Topic] = make(map[int32]kgo.Offset)
		}
		resumed[tp.Topic][tp.Partition] = kgo.NewOffset().At(at.offset).WithEpoch(-1)
	}
	return resumed, nil
}

// endAfter ends what serves after d, unless something else does before.
func endAfter(serving context.Context, end context.CancelCauseFunc, d time.Duration, err error) {
	t := time.AfterFunc(d, func() { end(err) })
	context.AfterFunc(serving, func() { t.Stop() })
}

// claimStarts fixes the first offset of each newly assigned partition: what the
// group has committed, or the first retained offset where it has not. Records
// that retention deleted unread are reported with their exact range and
// counted (I9), and the partition goes on with what is left. A commit beyond
// the end of the log means that brokers lost acknowledged records: going on
// would take new records for old ones, so the partition stands still.
func claimStarts(ctx context.Context, s membership, admin *kadm.Client, assigned map[string]map[int32]kgo.Offset, commits map[stream.TopicPartition]commit) (map[stream.TopicPartition]start, error) {
	topics := slices.Sorted(maps.Keys(assigned))
	if len(topics) == 0 {
		return nil, nil
	}
	edges, err := listBounds(ctx, admin, topics...)
	if err != nil {
		return nil, err
	}
	details, err := admin.ListTopics(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("describing topics %q: %w", topics, known(err))
	}
	starts := make(map[stream.TopicPartition]start)
	for topic, partitions := range assigned {
		for p := range partitions {
			tp := stream.TopicPartition{Topic: topic, Partition: p}
			c, ok := commits[tp]
			if !ok {
				c.offset = -1
			}
			starts[tp] = s.startAt(tp, stream.TopicID(details[topic].ID), c, edges[tp])
		}
	}
	return starts, nil
}

func (s membership) startAt(tp stream.TopicPartition, id stream.TopicID, c commit, edge bounds) start {
	at := start{commit: c, committed: c.offset >= 0, id: id, end: edge.end}
	log := s.cfg.logger().With("group", s.group, "topic", tp.Topic, "partition", tp.Partition)
	if s.quarantines {
		if n, ok := parseNote(c.metadata); ok {
			at.note, at.metadata = n, n.sink
		}
		if why := at.standsStill(tp, edge); why != nil {
			at.err = why
			return at
		}
	}
	switch {
	case c.offset < 0:
		at.offset = edge.first
	case c.offset < edge.first:
		s.metrics.lost.WithLabelValues(s.group, tp.Topic).Add(float64(edge.first - c.offset))
		log.Error("retention deleted records before the group read them; going on with the first one left",
			"first_lost", c.offset, "last_lost", edge.first-1)
		at.offset = edge.first
	case c.offset > edge.end:
		at.err = fmt.Errorf("group %q committed offset %d of %s/%d, but the log ends at %d: %w",
			s.group, c.offset, tp.Topic, tp.Partition, edge.end, errPosition)
		s.metrics.retries.WithLabelValues(s.group, tp.Topic, "claim").Inc()
		log.Error("the log ends below the committed offset: brokers lost acknowledged records; set the group's offset by hand once it is clear what is missing",
			"committed", c.offset, "end", edge.end)
	}
	return at
}

// standsStill says why a partition cannot be claimed: the topic is another one
// than the position belongs to, the log ends below it, or it was found to do so
// earlier and nobody has set the offset since. A log that has grown beyond the
// position again holds other records there.
func (at *start) standsStill(tp stream.TopicPartition, edge bounds) *stream.QuarantineError {
	q := &stream.QuarantineError{TopicPartition: tp, Last: at.offset - 1}
	switch {
	case at.offset < 0:
		return nil
	case at.note.id != (stream.TopicID{}) && at.note.id != at.id:
		q.First = edge.first
		q.Reason = fmt.Sprintf("the topic was deleted and created again: position %d belongs to %x, the topic is %x now; what came into it below that has not been read",
			at.offset, at.note.id[:], at.id[:])
	case at.offset > edge.end:
		q.First = edge.end
		q.Reason = fmt.Sprintf("%s %d, below the committed offset %d: brokers lost acknowledged records", stoppedAtEnd, edge.end, at.offset)
	case strings.Contains(at.note.stopped, stoppedAtEnd):
		q.Reason = at.note.stopped[strings.Index(at.note.stopped, stoppedAtEnd):]
		_, _ = fmt.Sscanf(q.Reason, stoppedAtEnd+" %d", &q.First) // as it was written above
	default:
		return nil
	}
	return q
}

// stoppedAtEnd is in the reason of the quarantine that outlives its cause.
const stoppedAtEnd = "the log ends at"
