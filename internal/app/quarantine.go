package app

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/pricelake/pricelake/internal/stream"
)

// stillPartitions are the partitions of a role that stand still until somebody
// decides how they go on. It may be used in parallel.
type stillPartitions struct {
	mu  sync.Mutex
	why map[stream.TopicPartition]error
}

// note is a kafka.Range's Stopped.
func (s *stillPartitions) note(tp stream.TopicPartition, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if why == nil {
		delete(s.why, tp)
		return
	}
	if s.why == nil {
		s.why = map[stream.TopicPartition]error{}
	}
	s.why[tp] = why
}

// now says how many stand still, and why the first does.
func (s *stillPartitions) now() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.why) == 0 {
		return nil
	}
	first := slices.SortedFunc(maps.Keys(s.why), func(x, y stream.TopicPartition) int {
		return cmp.Or(cmp.Compare(x.Topic, y.Topic), cmp.Compare(x.Partition, y.Partition))
	})[0]
	return fmt.Errorf("%s stands still until somebody decides how it goes on, see `pricelake quarantine ls`: %w", plural(len(s.why), "partition"), s.why[first])
}
