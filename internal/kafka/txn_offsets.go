package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// producerEpoch is as whom the records of a transaction were produced.
type producerEpoch struct {
	id    int64
	epoch int16
}

// position is what a transaction commits for one partition.
type position struct {
	stream.TopicPartition
	id       stream.TopicID
	next     int64
	metadata string
}

// membershipOf says in whose name positions are committed: the coordinator refuses
// them when the group has gone on without that member.
type membershipOf struct {
	group, member string
	generation    int32
}

// addOffsets adds positions to the transaction that is open (KIP-447). What the
// coordinator said of each partition is read: an answer without an error may still
// refuse all of them.
func (t *Txn) addOffsets(ctx context.Context, as producerEpoch, of membershipOf, positions []position) error {
	if id, epoch, err := t.client.ProducerID(ctx); err != nil || (producerEpoch{id, epoch}) != as {
		// The client took a new epoch since: what was produced is aborted.
		return errors.Join(errors.New("the epoch that produced the records is over"), err)
	}
	implied, err := t.offsetsImplied(ctx)
	if err != nil {
		return err
	}
	if !implied {
		if err := t.addGroup(ctx, as, of.group); err != nil {
			return err
		}
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = t.id, as.id, as.epoch
	req.Group, req.MemberID, req.Generation = of.group, of.member, of.generation
	at := make(map[string]int)
	for _, p := range positions {
		i, ok := at[p.Topic]
		if !ok {
			i = len(req.Topics)
			at[p.Topic] = i
			topic := kmsg.NewTxnOffsetCommitRequestTopic()
			topic.Topic, topic.TopicID = p.Topic, p.id
			req.Topics = append(req.Topics, topic)
		}
		partition := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		partition.Partition, partition.Offset, partition.LeaderEpoch, partition.Metadata = p.Partition, p.next, -1, &p.metadata
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, partition)
	}
	resp, err := req.RequestWith(ctx, t.client)
	if err != nil {
		return err
	}
	answered := 0
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			answered++
			if err := commitCode(p.ErrorCode); err != nil {
				return fmt.Errorf("the position of %s/%d: %w", positions[0].Topic, p.Partition, err)
			}
		}
	}
	if answered != len(positions) {
		return errUnnamed
	}
	return nil
}

// offsetsImplied reports whether the brokers take the offsets' own partition into
// the transaction by themselves (KIP-890). It is a feature of the cluster that is
// switched on, not of the version of a request.
func (t *Txn) offsetsImplied(ctx context.Context) (bool, error) {
	if t.implied != nil {
		return *t.implied, nil
	}
	resp, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, t.client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return false, fmt.Errorf("asking what transactions the brokers know: %w", err)
	}
	implied := slices.ContainsFunc(resp.FinalizedFeatures, func(f kmsg.ApiVersionsResponseFinalizedFeature) bool {
		return f.Name == "transaction.version" && f.MaxVersionLevel >= 2
	})
	t.implied = &implied
	return implied, nil
}

func (t *Txn) addGroup(ctx context.Context, as producerEpoch, group string) error {
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = t.id, as.id, as.epoch, group
	resp, err := req.RequestWith(ctx, t.client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("adding the offsets of group %q: %w", group, err)
	}
	return nil
}
