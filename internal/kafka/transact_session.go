package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// sessionLoop makes one transactional session after another, for ever: a
// session whose producer is fenced, or whose last outcome is unknown, is given
// up, and the next starts from what the brokers have.
type sessionLoop struct {
	Transact
	membership
	open stream.OpenStage
	id   string // transactional id
	seen *topicIDs
}

func (l sessionLoop) run(ctx context.Context) {
	l.again(ctx, l.serve, func(err error) {
		l.log.Warn("giving up a transactional session to start anew", "transactional_id", l.id, "err", err)
	})
}

// serve is one session, from joining the group to leaving it.
func (l sessionLoop) serve(ctx context.Context) error {
	clientCtx, cancelClient := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelClient()
	serving, end := context.WithCancelCause(ctx)
	defer end(nil)
	s := &session{
		sessionLoop: l, serving: serving, end: end,
		mean:  int64(l.MaxBytes), // nothing is known of the first record
		ready: make(chan struct{}), parts: make(map[stream.TopicPartition]*part), topicID: make(map[string]stream.TopicID),
	}
	mender := l.mender()
	if err := mender.connect(); err != nil {
		return err
	}
	defer mender.close()
	if err := mender.mend(serving); err != nil {
		return err
	}
	s.connector = &connector{mender: mender, hangs: func(err error) {
		end(err)
		cancelClient() // it must not get through later
	}}
	txn, err := kgo.NewGroupTransactSession(s.options(clientCtx)...)
	if err != nil {
		return fmt.Errorf("starting transactional session %q: %w", l.id, err)
	}
	s.txn, s.client, s.admin = txn, txn.Client(), kadm.NewClient(txn.Client())
	close(s.ready)
	s.loop()
	// Before leaving: the next owner may open its stage as soon as we left, and
	// the session does not always call onGone then (see assignmentWatch).
	lost := ctx.Err() == nil
	s.retireAll(lost)
	member, _ := s.client.GroupMetadata()
	closeClient(s.client, cancelClient)
	if errors.Is(context.Cause(serving), errHanging) {
		mender.leave(ctx, member) // the client was cut off before it could
	}
	s.retireAll(lost) // what was assigned in between, and then not opened
	s.openers.Wait()
	return context.Cause(serving)
}

func (l sessionLoop) mender() *mender {
	return &mender{cfg: l.cfg, id: l.id, family: l.Family, outputs: l.Outputs, group: l.group, topics: l.topics, metrics: l.metrics, log: l.log}
}

// session is one transactional session in progress. Its loop alone polls,
// handles and ends transactions. The client's callbacks run only while the loop
// is polling (BlockRebalanceOnPoll), so a stage is never closed under a Handle.
type session struct {
	sessionLoop
	txn     *kgo.GroupTransactSession
	client  *kgo.Client
	admin   *kadm.Client
	ready   chan struct{} // closed when the three above are set
	serving context.Context
	end     context.CancelCauseFunc // ends serving
	openers sync.WaitGroup
	fetched fetchedCommits
	mean    int64 // bytes of a record, see most; of the loop only
	// connector is armed once the transactional id is taken over.
	connector *connector

	mu       sync.Mutex
	memberID string
	assigned map[string][]int32 // the whole of it, as the group last said
	parts    map[stream.TopicPartition]*part
	topicID  map[string]stream.TopicID
	revoked  bool // partitions went away since the last transaction's end
	next     time.Time
	held     bool // fetching is paused by the gate
	// joining is closed once the group has answered a join; nil while none is
	// under way.
	joining chan struct{}
}

func (s *session) options(ctx context.Context) []kgo.Opt {
	opts := append(readerOptions(s.cfg, s.group, s.topics...), transactionalOptions(s.cfg, s.id, hotCompression())...)
	opts = append(opts, pointHooks(s.cfg.Failpoints)...)
	return append(opts,
		s.connector.option(),
		kgo.WithContext(ctx),
		kgo.Balancers(assignmentWatch{kgo.CooperativeStickyBalancer(), s.onJoining, s.onSynced}),
		kgo.OnPartitionsAssigned(s.onAssigned),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, ps map[string][]int32) { s.onGone(ps, false) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, ps map[string][]int32) { s.onGone(ps, true) }),
		kgo.OnOffsetsFetched(s.fetched.note),
		kgo.AdjustFetchOffsetsFn(s.claim),
	)
}

// assignmentWatch shows when the member joins and what the group then assigns, in
// full. The session's revoke callback alone would not do: GroupTransactSession
// calls it once, and not again until the next End.
type assignmentWatch struct {
	kgo.GroupBalancer
	joining func()
	synced  func(map[string][]int32)
}

func (w assignmentWatch) JoinGroupMetadata(interests []string, current map[string][]int32, generation int32) []byte {
	w.joining()
	return w.GroupBalancer.JoinGroupMetadata(interests, current, generation)
}

func (w assignmentWatch) ParseSyncAssignment(b []byte) (map[string][]int32, error) {
	assigned, err := w.GroupBalancer.ParseSyncAssignment(b)
	if err == nil {
		w.synced(assigned)
	}
	return assigned, err
}

func (s *session) onSynced(assigned map[string][]int32) {
	copied := make(map[string][]int32, len(assigned))
	for t, ps := range assigned {
		copied[t] = append([]int32(nil), ps...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.assigned = copied
	if s.joining != nil {
		close(s.joining)
		s.joining = nil
	}
}

func (s *session) onJoining() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.joining == nil {
		s.joining = make(chan struct{})
	}
}

// joined waits until no join is under way, and reports whether that is so. While
// this member waits for the others to join, it goes on polling what stays with
// it; a commit of that would be made under the generation before, held back by
// the client until the group has answered, and then refused, so that the batch
// would be handled twice. Since the caller has polled, no other join can begin.
func (s *session) joined() bool {
	s.mu.Lock()
	joining := s.joining
	s.mu.Unlock()
	if joining == nil {
		return true
	}
	t := time.NewTimer(s.cfg.batchTimeout())
	defer t.Stop()
	select {
	case <-joining:
		return true
	case <-t.C: // a join that fails is only noticed once rebalances are allowed
	case <-s.serving.Done():
	}
	return false
}

// onAssigned runs at the start of every generation. It ends the stages of
// partitions that went away unseen, and opens those of new ones.
func (s *session) onAssigned(_ context.Context, client *kgo.Client, added map[string][]int32) {
	<-s.ready
	id, _ := client.GroupMetadata()
	s.mu.Lock()
	if s.memberID != "" && s.memberID != id && len(s.parts) > 0 {
		s.mu.Unlock()
		// See member.onAssigned: partitions may have had another owner.
		s.end(fmt.Errorf("group %q took this member in anew: %w", s.group, errFenced))
		return
	}
	s.memberID = id
	var gone []*part
	for tp, p := range s.parts {
		if !contains(s.assigned, tp) || contains(added, tp) {
			delete(s.parts, tp)
			gone = append(gone, p)
		}
	}
	s.mu.Unlock()
	s.retire(gone, false)
	s.metrics.forget(s.group, added)
	for topic, partitions := range added {
		for _, p := range partitions {
			s.begin(stream.TopicPartition{Topic: topic, Partition: p}, nil)
		}
	}
}

func contains(m map[string][]int32, tp stream.TopicPartition) bool {
	for _, p := range m[tp.Topic] {
		if p == tp.Partition {
			return true
		}
	}
	return false
}

// onGone ends the stages of revoked or lost partitions before anyone else can
// own them (I6). It runs under a lock that End needs, so it must not end a
// transaction; the loop does, once it sees revoked.
func (s *session) onGone(partitions map[string][]int32, lost bool) {
	s.onJoining() // every session of the group ends here, also without a loss
	if err := s.cfg.Failpoints.Hit(failpoint.TransactRevoked); err != nil {
		s.end(err)
	}
	var gone []*part
	s.mu.Lock()
	for topic, ps := range partitions {
		for _, n := range ps {
			s.revoked = true
			tp := stream.TopicPartition{Topic: topic, Partition: n}
			if p := s.parts[tp]; p != nil {
				delete(s.parts, tp)
				gone = append(gone, p)
			}
		}
	}
	s.mu.Unlock()
	s.retire(gone, lost)
}

// claim fixes where each new partition starts. An exact offset for all of them
// matters here: after an abort the client goes back to it.
func (s *session) claim(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	<-s.ready
	return s.resume(ctx, s.admin, offsets, s.fetched.last(), func(tp stream.TopicPartition, at start) bool {
		s.mu.Lock()
		p := s.parts[tp]
		s.topicID[tp.Topic] = at.id
		s.mu.Unlock()
		if at = s.sameTopic(tp, at); at.err != nil {
			if p != nil {
				p.progress.stands()
			}
			endAfter(s.serving, s.end, standStill, at.err)
			return false
		}
		if p != nil {
			p.progress.starts(at.offset, at.end)
		}
		return true
	})
}

// errOutcome: the brokers do not say whether the last transaction committed,
// or say otherwise than the client.
var errOutcome = errors.New("the outcome of the last transaction is unknown")
