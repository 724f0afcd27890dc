package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
)

// Range is the loop of the sinks: it hands each partition's records to the
// partition's sink in ranges, and commits a range once the sink says that it
// is durable. One goroutine serves one partition.
type Range struct {
	Config Config
	Group  string
	// Topics says how each topic's ranges are cut.
	Topics map[string]Flush
	// MaxWritesPerSecond bounds the writes of this process per topic that are
	// not full; after a rest as many may come at once. Interval stretches with the
	// number of partitions that have something to write, so that each has its turn.
	// Quiet ones do not count. 0 means 4.
	MaxWritesPerSecond float64
	// BufferBytes bounds the memory of the records this process holds, those
	// that wait, those being written, and what sinks gather of them, over all topics; a poll may exceed it
	// by what it brought. Partitions have it by need: one alone with a backlog
	// four fifths, many with a backlog equal parts, and a range is cut where
	// its part ends. 0 means 64 MiB.
	BufferBytes int64
	// Gate holds back ranges that have not been begun; nil: never.
	Gate Gate
	// Stopped is told why a partition is quarantined, and nil when it no longer
	// is this process'. It is called from several goroutines. Nil: nobody.
	Stopped func(tp stream.TopicPartition, why error)
}

// Flush says when a partition's records are written.
type Flush struct {
	// Rows and Bytes cut a range that is full: it is written at once. Bytes are
	// of memory, about 160 a record and its contents. 0 means 50,000 rows,
	// 16 MiB. Range.BufferBytes may cut a range shorter.
	Rows, Bytes int
	// Interval is the least time between two writes of a partition that are
	// not full.
	Interval time.Duration
	// Linger is how long the first record after a quiet Interval waits for
	// company.
	Linger time.Duration
	// Gather is from how many records on those that wait are handed to a sink that
	// gathers (stream.Gatherer), before their range is cut. Rows and Bytes, and
	// Range.BufferBytes, then count what the sink makes of them. 0 means 1,024;
	// below zero it is not done.
	Gather int
	// Apart spreads the topic's partitions over the processes by themselves.
	// Those of all other topics are spread together, by their number: the
	// partitions of a topic that makes most of the load could all be one
	// process'.
	Apart bool
}

// DefaultFlush suits a sink that likes large writes and people who like fresh
// rows.
func DefaultFlush() Flush {
	return Flush{Rows: 50_000, Bytes: 16 << 20, Interval: time.Second, Linger: 30 * time.Millisecond}
}

// defaultGather is a backlog: what comes in less is written before it takes much.
const defaultGather = 1024

func (f Flush) withDefaults() Flush {
	if f.Rows <= 0 {
		f.Rows = DefaultFlush().Rows
	}
	if f.Bytes <= 0 {
		f.Bytes = DefaultFlush().Bytes
	}
	if f.Gather == 0 {
		f.Gather = defaultGather
	}
	return f
}

// maxMetadata bounds what a stage or a sink commits beside an offset, maxNote all
// that is committed there: what a sink notes, the topic's id, and why a partition
// stands still. Brokers that nobody configured take 4 KiB.
const (
	maxMetadata = 1 << 10
	maxNote     = 2 << 10
)

// Run serves the group until ctx ends, and then returns nil: writes in hand
// are finished and committed within Config.DrainTimeout, what waits is left to
// the next owner. It fails only when the configuration does. open is called for
// each partition assigned; while it or a write fails, it is called again after
// a pause, for as long as the partition is this process'.
func (r Range) Run(ctx context.Context, open stream.OpenRange) error {
	if err := r.validate(); err != nil {
		return err
	}
	log, err := NewLog(r.Config)
	if err != nil {
		return err
	}
	defer log.Close()
	perSecond := r.MaxWritesPerSecond
	if perSecond == 0 {
		perSecond = 4
	}
	s, err := newMembership(r.Config, r.Group, slices.Sorted(maps.Keys(r.Topics))...)
	if err != nil {
		return err
	}
	s.gate = r.Gate
	s.quarantines = true
	s.fetch = rangeOptions()
	for _, topic := range s.topics {
		if r.Topics[topic].Apart {
			s.apart = append(s.apart, topic)
		}
	}
	if r.BufferBytes > 0 {
		s.budget = newBudget(int(r.BufferBytes))
	}
	var rooms sync.Pool
	paces := map[string]pace{}
	for _, topic := range s.topics {
		paces[topic] = newPace(perSecond)
	}
	others := make(turns, opensOfOthers)
	s.work = func(ctx context.Context, a *assignment) {
		flush := r.Topics[a.Topic].withDefaults()
		w := &rangeWorker{
			assignment: a, open: open, reread: log.Reread(a.TopicPartition), flush: flush, committed: a.at.offset,
			interval: func() time.Duration {
				return max(flush.Interval, seconds(float64(a.member.active(a.Topic, perSecond))/perSecond))
			},
			pace:   paces[a.Topic].turn,
			commit: a.commit, points: r.Config.Failpoints,
		}
		if flush.Gather > 0 {
			w.backlog = newBacklog(log.client, a.TopicPartition, a.at.id, &rooms)
		}
		if !flush.Apart && len(s.apart) > 0 {
			w.openTurn = func() (done func()) { return others.take(a) }
		}
		if r.Stopped != nil {
			w.stopped = func(why error) { r.Stopped(a.TopicPartition, why) }
		}
		w.run(ctx)
	}
	s.run(ctx)
	return nil
}

func (r Range) validate() error {
	errs := []error{r.Config.Validate()}
	if r.Group == "" {
		errs = append(errs, errors.New("range: the group is empty"))
	}
	if len(r.Topics) == 0 {
		errs = append(errs, errors.New("range: no topics"))
	}
	if r.MaxWritesPerSecond < 0 {
		errs = append(errs, fmt.Errorf("range: %v writes per second: give a positive number, or 0 for the default", r.MaxWritesPerSecond))
	}
	if r.BufferBytes < 0 {
		errs = append(errs, fmt.Errorf("range: %d bytes of buffer: give a positive number, or 0 for the default", r.BufferBytes))
	}
	for topic, f := range r.Topics {
		if f.Linger < 0 || f.Interval < 0 {
			errs = append(errs, fmt.Errorf("range: topic %q: linger and interval must not be negative", topic))
		}
	}
	return errors.Join(errs...)
}
