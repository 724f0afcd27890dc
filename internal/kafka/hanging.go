package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A transaction hangs when its coordinator has it as ended, and a partition has
// not been told: a broker that starts can take partitions whose leader it does
// not know yet for deleted, and leave out their markers (KAFKA-20734). Readers of
// committed records then stand in front of it for ever. Worse, what the producer
// writes there next becomes part of it, and shares its outcome.

// offsetsTopic is where brokers keep what groups have committed.
const offsetsTopic = "__consumer_offsets"

// errHanging: the last transaction of this producer hangs somewhere. It is ended
// before the next session takes over the transactional id.
var errHanging = errors.New("the last transaction has not ended in every partition")

// States of a transaction, as coordinators name them.
const (
	stateOngoing        = "Ongoing"
	stateCompleteCommit = "CompleteCommit"
	stateCompleteAbort  = "CompleteAbort"
)

// openTxn is where a producer has a transaction open, and since which offset.
type openTxn map[string]map[int32]int64

// topics are the partitions of it.
func (o openTxn) topics() kadm.TopicsSet {
	var s kadm.TopicsSet
	for topic, ps := range o {
		for p := range ps {
			s.Add(topic, p)
		}
	}
	return s
}

// same are the partitions in which both name the same transaction.
func (o openTxn) same(later openTxn) openTxn {
	both := openTxn{}
	for topic, ps := range o {
		for p, at := range ps {
			if again, ok := later[topic][p]; ok && again == at {
				both.add(topic, p, at)
			}
		}
	}
	return both
}

func (o openTxn) add(topic string, p int32, at int64) {
	if o[topic] == nil {
		o[topic] = map[int32]int64{}
	}
	o[topic][p] = at
}

func (o openTxn) String() string {
	var places []string
	for topic, ps := range o {
		for p, at := range ps {
			places = append(places, fmt.Sprintf("%s/%d at offset %d", topic, p, at))
		}
	}
	return strings.Join(places, ", ")
}

// open asks the leaders which producers have transactions open in the outputs
// and among the offsets of groups. The latter can only be asked by accounts that
// may read them; for others, pending says that offsets of this group hang.
func (m *mender) open(ctx context.Context) (byProducer map[int64]openTxn, pending bool, err error) {
	byProducer = map[int64]openTxn{}
	if len(m.outputs) > 0 {
		var outputs kadm.TopicsSet
		outputs.Add(m.outputs[0])
		for _, topic := range m.outputs {
			outputs.Add(topic)
		}
		described, err := m.admin.DescribeProducers(ctx, outputs)
		var refused *kadm.AuthError
		switch {
		case errors.As(err, &refused):
			m.log.Warn("cannot look for transactions that hang: the account may not read the topics it writes to; apply what `pricelake acl` prints", "err", err)
		case err != nil:
			return nil, false, fmt.Errorf("asking who has transactions open: %w", known(err))
		}
		if err := collectOpen(byProducer, described); err != nil {
			return nil, false, err
		}
	}
	if m.group == "" {
		return byProducer, false, nil
	}
	var offsets kadm.TopicsSet
	offsets.Add(offsetsTopic)
	described, err := m.admin.DescribeProducers(ctx, offsets)
	if err == nil {
		return byProducer, false, collectOpen(byProducer, described)
	}
	undecided, err := m.undecidedOffsets(ctx)
	return byProducer, len(undecided) > 0, err
}

// collectOpen fails where a partition has no answer: what is not known must not
// pass for nothing.
func collectOpen(byProducer map[int64]openTxn, described kadm.DescribedProducersTopics) error {
	var unknown error
	described.EachPartition(func(p kadm.DescribedProducersPartition) {
		if p.Err != nil {
			unknown = fmt.Errorf("asking who has transactions open in %s/%d: %w", p.Topic, p.Partition, known(p.Err))
		}
	})
	described.EachProducer(func(p kadm.DescribedProducer) {
		if p.CurrentTxnStartOffset < 0 {
			return
		}
		if byProducer[p.ProducerID] == nil {
			byProducer[p.ProducerID] = openTxn{}
		}
		byProducer[p.ProducerID].add(p.Topic, p.Partition, p.CurrentTxnStartOffset)
	})
	return unknown
}

// undecidedOffsets returns the partitions of which some transaction has an offset
// of the group undecided; it need not be ours, and it need not hang.
func (m *mender) undecidedOffsets(ctx context.Context) (map[stream.TopicPartition]bool, error) {
	metadata, err := m.admin.Metadata(ctx, m.topics...)
	if err != nil {
		return nil, fmt.Errorf("asking for the partitions of %q: %w", m.topics, known(err))
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = true
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group = m.group
	for _, detail := range metadata.Topics {
		t := kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic, t.TopicID, t.Partitions = detail.Topic, detail.ID, detail.Partitions.Numbers()
		group.Topics = append(group.Topics, t)
	}
	req.Groups = append(req.Groups, group)
	undecided := make(map[stream.TopicPartition]bool)
	resp, err := req.RequestWith(ctx, m.client)
	if err == nil {
		err = offsetFetchError(resp, func(tp stream.TopicPartition, err error) error {
			if !errors.Is(err, kerr.UnstableOffsetCommit) {
				return err
			}
			undecided[tp] = true
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("asking whether offsets of group %q are undecided: %w", m.group, known(err))
	}
	return undecided, nil
}

// undecidedFor is how long the offset of a partition must be undecided, whenever
// that is asked, to count as one that hangs: others' transactions end in moments.
const undecidedFor = 2 * time.Second

// offsetsHang asks about offsets until none has been undecided all the time, or
// one has been for long.
func (m *mender) offsetsHang(ctx context.Context) (bool, error) {
	var always map[stream.TopicPartition]bool
	began := time.Now()
	for fails := 1; ; fails++ {
		now, err := m.undecidedOffsets(ctx)
		if err != nil {
			return false, err
		}
		if always == nil {
			always = now
		}
		maps.DeleteFunc(always, func(tp stream.TopicPartition, _ bool) bool { return !now[tp] })
		if len(always) == 0 || time.Since(began) >= undecidedFor {
			return len(always) > 0, nil
		}
		if !pause(ctx, backoff(fails, 10*time.Millisecond, 200*time.Millisecond)) {
			return false, fmt.Errorf("waiting for the offsets of group %q to be decided: %w", m.group, ctx.Err())
		}
	}
}

// describe asks the coordinator for the state of a transactional id; ok is false
// where there is none, or brokers are too old to say.
func (m *mender) describe(ctx context.Context, id string) (t kadm.DescribedTransaction, ok bool, err error) {
	for fails := 1; ; fails++ {
		described, err := m.admin.DescribeTransactions(ctx, id)
		t = described[id]
		if err == nil {
			err = t.Err
		}
		var code *kerr.Error
		switch {
		case err == nil:
			return t, t.TxnID != "", nil
		case errors.Is(err, kerr.TransactionalIDNotFound), errors.Is(err, kerr.UnsupportedVersion):
			return t, false, nil
		case !errors.As(err, &code) || !code.Retriable || !pause(ctx, backoff(fails, 5*time.Millisecond, 200*time.Millisecond)):
			return t, false, fmt.Errorf("asking for the state of %q: %w", id, known(err))
		}
	}
}

// settled is describe once no markers are being written.
func (m *mender) settled(ctx context.Context, id string) (t kadm.DescribedTransaction, ok bool, err error) {
	for fails := 1; ; fails++ {
		t, ok, err = m.describe(ctx, id)
		if err != nil || !ok || !strings.HasPrefix(t.State, "Prepare") {
			return t, ok, err
		}
		if !pause(ctx, backoff(fails, 2*time.Millisecond, 200*time.Millisecond)) {
			return t, false, fmt.Errorf("waiting for the markers of %q: %w", id, ctx.Err())
		}
	}
}

// whole fails with errHanging when the last transaction of this id hangs. It is
// asked over a connection of the mender's own.
func (m *mender) whole(ctx context.Context) error {
	t, ok, err := m.settled(ctx, m.id)
	if err != nil || !ok || !strings.HasPrefix(t.State, "Complete") {
		return err
	}
	byProducer, pending, err := m.open(ctx)
	if err != nil {
		return err
	}
	if open := byProducer[t.ProducerID]; len(open) > 0 {
		return fmt.Errorf("%q in %v: %w", m.id, open, errHanging)
	}
	if pending {
		pending, err = m.offsetsHang(ctx)
	}
	if err != nil {
		return err
	}
	if pending {
		return fmt.Errorf("%q in the offsets of group %q: %w", m.id, m.group, errHanging)
	}
	return nil
}

// menderOptions are those of a mender's client. It ends transactions in the way
// that all brokers know: in the newer one, a partition is added to a transaction
// only by a record written to it, and a mender has none to write.
func menderOptions(c Config) []kgo.Opt {
	return append(commonOptions(c), kgo.MaxVersions(versionsWithoutEpochBump()))
}
