package kafka

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A topic that is deleted and created again under its name has other records at
// the same offsets. Brokers may keep what the group had committed (then going on
// would skip the new topic's first records) or drop it (then it would start from
// nothing, with stages that remember the old one). So the id of the topic goes
// into the metadata of each commit, and a process remembers the ids it has read.

// topicMark begins the metadata of a stage's commit.
const topicMark = "topic="

// errRecreated: the topic is not the one that the group has read so far.
var errRecreated = errors.New("the topic was deleted and created again")

// topicIDs are the ids of the topics that a process has read. It may be used in
// parallel.
type topicIDs struct {
	mu  sync.Mutex
	ids map[string]stream.TopicID
}

// first returns the id under which the process has read a topic first: the given
// one when it is the first.
func (t *topicIDs) first(topic string, id stream.TopicID) stream.TopicID {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ids == nil {
		t.ids = make(map[string]stream.TopicID)
	}
	if known, ok := t.ids[topic]; ok {
		return known
	}
	t.ids[topic] = id
	return id
}

// adopt makes id the topic's: an operator has set the group's offset since.
func (t *topicIDs) adopt(topic string, id stream.TopicID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ids == nil {
		t.ids = make(map[string]stream.TopicID)
	}
	t.ids[topic] = id
}

// marked returns the id of the topic that a commit was made for, if it says one.
// One without was made by hand, or by an earlier version of this program.
func marked(metadata string) (id stream.TopicID, ok bool) {
	text, ok := strings.CutPrefix(metadata, topicMark)
	if !ok {
		return id, false
	}
	parsed, err := schemas.ParseID(text)
	return stream.TopicID(parsed), err == nil
}

// sameTopic lets a partition stand still when its topic is another one than the
// group, or this process, has read so far. A commit without a mark settles it.
func (s *session) sameTopic(tp stream.TopicPartition, at start) start {
	before, said := marked(at.metadata)
	switch {
	case said:
	case at.committed:
		s.seen.adopt(tp.Topic, at.id)
		return at
	default:
		before = s.seen.first(tp.Topic, at.id)
	}
	if before == at.id || at.err != nil {
		return at
	}
	at.err = fmt.Errorf("%w: group %q has read %s/%d of the topic with id %s, and now its id is %s: set the group's offset by hand (to the earliest, to read all of the new topic) once it is clear that what was not read of the old one is not missed",
		errRecreated, s.group, tp.Topic, tp.Partition, schemas.ID(before), schemas.ID(at.id))
	s.metrics.retries.WithLabelValues(s.group, tp.Topic, "claim").Inc()
	s.log.Error("a partition stands still", "topic", tp.Topic, "partition", tp.Partition, "err", at.err)
	return at
}

// mark writes the topics' ids into a commit.
func (s *session) mark(req *kmsg.TxnOffsetCommitRequest) {
	for i := range req.Topics {
		t := &req.Topics[i]
		s.mu.Lock()
		id, ok := s.topicID[t.Topic]
		s.mu.Unlock()
		if !ok {
			continue
		}
		text := topicMark + schemas.ID(id).String()
		for j := range t.Partitions {
			t.Partitions[j].Metadata = &text
		}
	}
}
