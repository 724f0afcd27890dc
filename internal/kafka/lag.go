package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// WatchedGroup is a consumer group and the topics it reads.
type WatchedGroup struct {
	Group  string
	Topics []string
	// Uncommitted is a group that owns partitions and commits nothing (Owner):
	// it has members, but no record waits for it.
	Uncommitted bool
}

// Lag watches consumer groups from outside: how old the oldest record is that
// each of them has not processed, whether or not anybody works for it. It joins
// no group, commits nothing and may run in several processes at once, which
// then export the same figures.
type Lag struct {
	Config Config // Registerer receives the figures
	Groups []WatchedGroup
	// Looked is called after each look that saw everything; nil is no call.
	Looked func()
}

// How often it looks. What happened since the last look is what its figures may
// be wrong by, and that must stay below a second (docs/adr/0010-event-age.md).
const (
	lagInterval      = 500 * time.Millisecond
	membersInterval  = 5 * time.Second
	retentionEvery   = time.Minute
	lagLookTimeout   = 10 * time.Second
	lagRecordTimeout = 5 * time.Second
	// lagForgotten is after how long without a look nothing is exported: an
	// age that nobody has checked for so long is a guess.
	lagForgotten = 30 * time.Second
)

// Run looks until ctx ends, then returns nil. A cluster that is away is waited
// for.
func (l Lag) Run(ctx context.Context) error {
	if err := l.Config.Validate(); err != nil {
		return err
	}
	client, err := kgo.NewClient(commonOptions(l.Config)...)
	if err != nil {
		return fmt.Errorf("making a client to watch groups: %w", err)
	}
	defer client.Close()
	w := newLagWatch(l, client)
	if reg := l.Config.Registerer; reg != nil {
		if err := reg.Register(w); err != nil {
			return fmt.Errorf("kafka: registering the metrics of the watched groups: %w", err)
		}
		defer reg.Unregister(w)
	}
	tick := time.NewTicker(lagInterval)
	defer tick.Stop()
	for {
		w.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// lagWatch is one run of Lag. Only look touches its fields; what it found goes
// to the collector in one piece.
type lagWatch struct {
	Lag
	*lagCollector
	client *kgo.Client
	admin  *kadm.Client
	log    *slog.Logger
	topics []string

	firsts    map[key]firstRecord // by group and partition
	open      map[stream.TopicPartition]openTransaction
	readers   map[stream.TopicPartition]*fetcher
	retention map[string]time.Duration
	members   map[string]groupMembers
	retained  time.Time // when retention was asked for
	described time.Time // when members were asked for
}

func newLagWatch(l Lag, client *kgo.Client) *lagWatch {
	w := &lagWatch{
		Lag: l, lagCollector: newLagCollector(), client: client, admin: kadm.NewClient(client), log: l.Config.logger(),
		firsts: make(map[key]firstRecord), open: make(map[stream.TopicPartition]openTransaction),
		readers: make(map[stream.TopicPartition]*fetcher),
	}
	seen := make(map[string]bool)
	for _, g := range l.Groups {
		for _, t := range g.Topics {
			if !seen[t] {
				seen[t] = true
				w.topics = append(w.topics, t)
			}
		}
	}
	return w
}

// look takes one picture of everything and shows it. What could not be seen is
// not in it, and is counted.
func (w *lagWatch) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lagLookTimeout)
	defer cancel()
	asked := time.Now()
	groups, err := w.committed(ctx) // before the ends, so that a lag is never negative
	bounds, berr := w.bounds(ctx)
	err = errors.Join(err, berr)
	var view lagView
	if groups != nil && bounds != nil {
		err = errors.Join(err, w.refreshMembers(ctx, bounds), w.refreshRetention(ctx))
		view = lagView{at: asked, retention: w.retention, members: w.members}
		err = errors.Join(err, w.positions(ctx, &view, groups, bounds))
		err = errors.Join(err, w.openTransactions(ctx, &view, bounds))
	}
	switch {
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled):
		return
	case err != nil:
		w.failed.Inc()
		w.log.Warn("watching the groups: not everything could be seen; looking again", "err", err)
	}
	if groups == nil || bounds == nil {
		return // nothing new: the last picture ages, and fades after lagForgotten
	}
	w.show(view)
	if err == nil && w.Looked != nil {
		w.Looked()
	}
}

// committed returns the offsets of every group that commits; a group that never
// ran has none.
func (w *lagWatch) committed(ctx context.Context) (map[string]kadm.OffsetResponses, error) {
	var names []string
	for _, g := range w.Groups {
		if !g.Uncommitted {
			names = append(names, g.Group)
		}
	}
	all := make(map[string]kadm.OffsetResponses, len(names))
	var errs []error
	for name, r := range w.admin.FetchManyOffsets(ctx, names...) {
		if r.Err != nil && !isNoGroup(r.Err) {
			errs = append(errs, fmt.Errorf("fetching offsets of group %q: %w", name, known(r.Err)))
			continue
		}
		all[name] = r.Fetched
	}
	if len(all) == 0 && len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return all, errors.Join(errs...)
}

// bounds returns the edges of every partition that has a leader.
func (w *lagWatch) bounds(ctx context.Context) (map[stream.TopicPartition]bounds, error) {
	all, err := listBoundsWhereKnown(ctx, w.admin, w.topics...)
	if len(all) == 0 {
		return nil, err
	}
	return all, err
}

// positions finds, for every group and partition, the first record that the
// group has not processed.
func (w *lagWatch) positions(ctx context.Context, view *lagView, groups map[string]kadm.OffsetResponses, all map[stream.TopicPartition]bounds) error {
	var errs []error
	for _, g := range w.Groups {
		offsets, asked := groups[g.Group]
		if g.Uncommitted || !asked {
			continue
		}
		for tp, b := range all {
			if !g.reads(tp.Topic) {
				continue
			}
			k := key{g.Group, tp}
			committed := int64(-1)
			if o, ok := offsets.Lookup(tp.Topic, tp.Partition); ok {
				if o.Err != nil {
					errs = append(errs, fmt.Errorf("fetching offset of group %q in %s/%d: %w", g.Group, tp.Topic, tp.Partition, known(o.Err)))
					continue
				}
				committed = o.At
			}
			first, err := w.first(ctx, tp, w.firsts[k], max(committed, b.first), b.stable)
			w.firsts[k] = first
			view.partitions = append(view.partitions, newLagAt(k, committed, b, first, err == nil))
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (g WatchedGroup) reads(topic string) bool {
	for _, t := range g.Topics {
		if t == topic {
			return true
		}
	}
	return false
}
