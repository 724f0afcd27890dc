package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/sinks/lake"
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

// Quarantined is a partition that stands still.
type Quarantined struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// Committed is the position it stands at, First and End what the log holds.
	Committed int64  `json:"committed"`
	First     int64  `json:"first"`
	End       int64  `json:"end"`
	Reason    string `json:"reason"`
}

// Quarantines returns the partitions that stand still until somebody decides how
// they go on.
func (a *App) Quarantines(ctx context.Context) ([]Quarantined, error) {
	admin, err := kafka.NewAdmin(a.kafkaConfig("quarantine"))
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	return quarantines(ctx, admin)
}

func quarantines(ctx context.Context, admin *kafka.Admin) ([]Quarantined, error) {
	var topics []string
	for _, t := range lake.Tables() {
		topics = append(topics, t.Topic)
	}
	positions, err := admin.Positions(ctx, lakeGroup, topics...)
	if err != nil {
		return nil, err
	}
	var all []Quarantined
	for _, p := range positions {
		if p.Stopped != "" {
			all = append(all, quarantined(p))
		}
	}
	return all, nil
}

func quarantined(p kafka.Position) Quarantined {
	return Quarantined{p.Topic, p.Partition, p.Committed, p.First, p.End, p.Stopped}
}

// partition is where the lake is in one partition, with the reason if it stands
// still.
func partition(ctx context.Context, admin *kafka.Admin, tp stream.TopicPartition) (Quarantined, error) {
	if !slices.ContainsFunc(lake.Tables(), func(t lake.Table) bool { return t.Topic == tp.Topic }) {
		return Quarantined{}, fmt.Errorf("no table is loaded from topic %q", tp.Topic)
	}
	positions, err := admin.Positions(ctx, lakeGroup, tp.Topic)
	if err != nil {
		return Quarantined{}, err
	}
	i := slices.IndexFunc(positions, func(p kafka.Position) bool { return p.Partition == tp.Partition })
	if i < 0 {
		return Quarantined{}, fmt.Errorf("topic %s has %d partitions, not the partition %d", tp.Topic, len(positions), tp.Partition)
	}
	return quarantined(positions[i]), nil
}

// ReleaseQuarantine lets the lake go on with a partition from an offset, -1 for
// the first that the log holds if it stands still. What of the log from there on is in the lake is
// not written again, so an offset that is too low is never wrong; records below
// it are never read.
func (a *App) ReleaseQuarantine(ctx context.Context, tp stream.TopicPartition, next int64) (Quarantined, error) {
	admin, err := kafka.NewAdmin(a.kafkaConfig("quarantine"))
	if err != nil {
		return Quarantined{}, err
	}
	defer admin.Close()
	q, err := partition(ctx, admin, tp)
	if err != nil {
		return q, err
	}
	if q.Reason == "" && next < 0 {
		return q, fmt.Errorf("%s[%d] does not stand still; list those that do with `pricelake quarantine ls`, or say with --to from where it is to go on", tp.Topic, tp.Partition)
	}
	if next < 0 {
		next = q.First
	}
	if next < q.First || next > q.End {
		return q, fmt.Errorf("%s[%d] holds the offsets %d to %d: %d is not among them", tp.Topic, tp.Partition, q.First, q.End, next)
	}
	err = admin.Release(ctx, lakeGroup, tp, next)
	if errors.Is(err, kafka.ErrGroupInUse) {
		return q, fmt.Errorf("stop every process of the role %[1]s first (an `up`: stop it, and start it with `up --without %[1]s`), then release, then start it again: %[2]w", lake.Role, err)
	}
	q.Committed = next
	return q, err
}
