package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// membership describes how Range, Window and Owner take part in a group: one
// worker goroutine for each partition they are assigned.
type membership struct {
	cfg    Config
	group  string
	topics []string
	// consume: records are fetched and queued for the worker. Without it the
	// group only decides who owns which partition.
	consume bool
	// fetch are options of the client for how it fetches; may be empty.
	fetch []kgo.Opt
	// queueRecords bounds what waits for one worker, 0 for not by number;
	// budget what all of them hold together (I8).
	queueRecords int
	budget       *budget
	gate         Gate // nil: always open
	// quarantines: a partition that cannot be read has a worker all the same,
	// which finds why in its start; notes are read as Range's.
	quarantines bool
	apart       []string // topics that are spread by themselves
	// work serves one partition until a.stopping is closed, when it finishes
	// what is in hand, or ctx ends, when it returns at once.
	work func(ctx context.Context, a *assignment)

	metrics *metrics
	log     *slog.Logger
}

// newMembership fails only when the metrics cannot be registered.
func newMembership(c Config, group string, topics ...string) (membership, error) {
	metrics, err := newMetrics(c.Registerer)
	if err != nil {
		return membership{}, err
	}
	return membership{
		cfg: c, group: group, topics: topics, consume: true,
		budget:  newBudget(defaultBufferBytes),
		metrics: metrics,
		log:     c.logger().With("group", group),
	}, nil
}

// run joins the group and serves it until ctx ends. What cannot be mended
// within one membership (a fenced commit, a position the log no longer holds)
// ends it: all workers stop, and the group is joined anew from what it has
// committed.
func (s membership) run(ctx context.Context) {
	s.again(ctx, s.serve, func(err error) { s.log.Warn("leaving the consumer group to join it anew", "err", err) })
}

// again serves the group until ctx ends, each time anew after a pause. said is
// told why it has to.
func (s membership) again(ctx context.Context, serve func(context.Context) error, said func(error)) {
	defer s.metrics.forget(s.group, nil)
	for fails := 1; ; fails++ {
		began := time.Now()
		err := serve(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > time.Minute {
			fails = 1
		}
		s.metrics.restarts.WithLabelValues(s.group, restartReason(err)).Inc()
		said(err)
		if !pause(ctx, backoff(fails, 100*time.Millisecond, 10*time.Second)) {
			return
		}
	}
}

func restartReason(err error) string {
	switch {
	case errors.Is(err, errFenced):
		return "fenced"
	case errors.Is(err, errPosition):
		return "position"
	}
	return "error"
}

// serve is one membership, from joining to leaving.
func (s membership) serve(ctx context.Context) error {
	clientCtx, cancelClient := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelClient()
	serving, end := context.WithCancelCause(ctx)
	defer end(nil)
	m := &member{
		membership: s, serving: serving, end: end,
		ready: make(chan struct{}), owned: make(map[stream.TopicPartition]*assignment), stuck: make(map[stream.TopicPartition]*progress),
	}
	client, err := kgo.NewClient(m.options(clientCtx)...)
	if err != nil {
		return fmt.Errorf("joining group %q: %w", s.group, err)
	}
	m.client, m.admin = client, kadm.NewClient(client)
	close(m.ready)
	if s.consume {
		m.poll(serving)
	} else {
		<-serving.Done()
	}
	// Workers finish what they have in hand while the member still
	// heartbeats, so that their last commits are accepted.
	lost := ctx.Err() == nil
	m.endAll(s.cfg.DrainTimeout, lost)
	closeClient(client, cancelClient)
	m.endAll(0, lost) // what was assigned in between
	m.workers.Wait()
	return context.Cause(serving)
}

// leaveTimeout bounds leaving a group: a broker that does not answer must not
// hold up the end of the process. The group then waits for the session timeout.
const leaveTimeout = 2 * time.Second

// closeClient leaves the group and disconnects. cancel ends the client's own
// context, which is what cuts short a join that waits for other members.
func closeClient(client *kgo.Client, cancel context.CancelFunc) {
	t := time.AfterFunc(leaveTimeout, cancel)
	defer t.Stop()
	client.CloseAllowingRebalance()
}

// member is one membership in progress.
type member struct {
	membership
	client  *kgo.Client
	admin   *kadm.Client
	ready   chan struct{} // closed when client is set
	serving context.Context
	end     context.CancelCauseFunc // ends serving
	workers sync.WaitGroup
	fetched fetchedCommits
	pages   sync.Pool // of records that wait

	mu    sync.Mutex
	id    string // the group's name for this member
	owned map[stream.TopicPartition]*assignment
	stuck map[stream.TopicPartition]*progress // assigned, but cannot be read
	wake  context.CancelFunc                  // ends the poll under way
	// detached are the partitions that the client is to fetch again, and from where on.
	detached map[*assignment]kgo.EpochOffset
}

func (m *member) options(ctx context.Context) []kgo.Opt {
	opts := append(readerOptions(m.cfg, m.group, m.topics...),
		kgo.WithContext(ctx),
		kgo.Balancers(spreadBalancer{kgo.CooperativeStickyBalancer(), m.apart}),
		kgo.OnPartitionsAssigned(m.onAssigned),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, ps map[string][]int32) { m.drop(ps, m.cfg.DrainTimeout, false) }),
		// Lost partitions may have an owner already: nothing is finished.
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, ps map[string][]int32) { m.drop(ps, 0, true) }),
	)
	if m.consume {
		opts = append(opts, m.fetch...)
		opts = append(opts, kgo.OnOffsetsFetched(m.fetched.note), kgo.AdjustFetchOffsetsFn(m.claim))
	}
	return opts
}

// onAssigned runs at the start of every generation, also when nothing is new.
func (m *member) onAssigned(_ context.Context, client *kgo.Client, added map[string][]int32) {
	<-m.ready
	id, _ := client.GroupMetadata()
	m.mu.Lock()
	changed := m.id != "" && m.id != id && len(m.owned) > 0
	m.id = id
	m.mu.Unlock()
	m.metrics.forget(m.group, added)
	if changed {
		// The group forgot this member and took it in again under another
		// name. The client keeps partitions that came back as if nothing had
		// happened, but in between they may have had another owner.
		m.end(fmt.Errorf("group %q took this member in anew: %w", m.group, errFenced))
		return
	}
	if m.consume {
		return // workers start when their position is known: claim
	}
	client.PauseFetchTopics(m.topics...)
	for topic, partitions := range added {
		for _, p := range partitions {
			m.start(stream.TopicPartition{Topic: topic, Partition: p}, start{})
		}
	}
}

// claim fixes where each new partition starts and starts its worker. Fetching
// begins after it returns.
func (m *member) claim(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	<-m.ready
	return m.resume(ctx, m.admin, offsets, m.fetched.last(), func(tp stream.TopicPartition, at start) bool {
		if at.err != nil && m.quarantines {
			m.start(tp, at)
			return false // it is not fetched
		}
		if at.err != nil {
			// Where the broker lost records this partition stands still; the
			// others go on. Somebody may set the offset by hand: look again.
			m.standStill(tp)
			endAfter(m.serving, m.end, standStill, at.err)
			return false
		}
		m.start(tp, at)
		return true
	})
}

// standStill is how long a partition that cannot be read waits for somebody to
// set its offset by hand, before it is looked at again.
const standStill = 30 * time.Second

// standStill keeps the series of a partition that has no worker.
func (m *member) standStill(tp stream.TopicPartition) {
	p := m.metrics.track(m.group, tp)
	p.stands()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stuck[tp] = p
}

// start begins the worker of a partition; not when this membership is ending.
func (m *member) start(tp stream.TopicPartition, at start) {
	if m.serving.Err() != nil {
		return
	}
	a := newAssignment(m, tp, at)
	m.mu.Lock()
	a.memberID = m.id
	before := m.owned[tp]
	m.owned[tp] = a
	m.mu.Unlock()
	if before != nil {
		before.finish(0, false) // never seen; a partition has one worker (I6)
	}
	m.client.ResumeFetchPartitions(map[string][]int32{tp.Topic: {tp.Partition}}) // a pause outlives an assignment
	m.workers.Go(func() {
		defer close(a.done)
		m.work(a.ctx, a)
	})
}

// drop ends the workers of partitions that are going away, in parallel, and
// returns when none of them can commit any more. That holds for each caller: the
// group may ask for a partition back while this member is being told to stop, and
// gives it to its next owner as soon as the first of the two returns.
func (m *member) drop(partitions map[string][]int32, grace time.Duration, lost bool) {
	var ending sync.WaitGroup
	m.mu.Lock()
	for topic, ps := range partitions {
		for _, p := range ps {
			tp := stream.TopicPartition{Topic: topic, Partition: p}
			if p := m.stuck[tp]; p != nil {
				delete(m.stuck, tp)
				m.metrics.leave(p, lost)
			}
			if a := m.owned[tp]; a != nil {
				ending.Go(func() {
					a.finish(grace, lost)
					m.disown(a)
				})
			}
		}
	}
	m.mu.Unlock()
	ending.Wait()
}

func (m *member) disown(a *assignment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.owned[a.TopicPartition] == a {
		delete(m.owned, a.TopicPartition)
	}
}

func (m *member) endAll(grace time.Duration, lost bool) {
	m.mu.Lock()
	all := make(map[string][]int32)
	for tp := range m.owned {
		all[tp.Topic] = append(all[tp.Topic], tp.Partition)
	}
	for tp := range m.stuck {
		all[tp.Topic] = append(all[tp.Topic], tp.Partition)
	}
	m.mu.Unlock()
	m.drop(all, grace, lost)
}
