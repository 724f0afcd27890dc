package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// checkAborted asks the group's coordinator whether a transaction that the
// client reports as aborted really had no effect. When the answer to a commit
// is lost or is UNKNOWN_SERVER_ERROR, the client aborts and goes back, but the
// brokers may have committed: the records would be handled twice, by stages
// that do not know their own output. So a position that is not where the client
// went back to ends the session: the next one starts from the brokers'
// position, with stages opened from what is durable.
func (s *session) checkAborted(ctx context.Context, inputs []*input) error {
	believed := s.client.CommittedOffsets()
	actual, err := s.stableCommits(ctx, inputs)
	if err != nil {
		return fmt.Errorf("reading back the offsets of group %q: %w: %w", s.group, errOutcome, err)
	}
	for _, in := range inputs {
		tp := stream.TopicPartition{Topic: in.batch.Topic, Partition: in.batch.Partition}
		at, owned := believed[tp.Topic][tp.Partition]
		if !owned {
			continue // revoked meanwhile: its next owner reads back anyway
		}
		if c := actual[tp]; c.offset >= 0 && c.offset != at.Offset {
			return fmt.Errorf("group %q is at offset %d of %s/%d, not at %d: %w", s.group, c.offset, tp.Topic, tp.Partition, at.Offset, errOutcome)
		}
	}
	return nil
}

// stableCommits fetches the committed offsets of the inputs' partitions, once
// no open transaction has any pending for them.
func (s *session) stableCommits(ctx context.Context, inputs []*input) (map[stream.TopicPartition]commit, error) {
	topics := make(map[stream.TopicPartition]stream.TopicID, len(inputs))
	for _, in := range inputs {
		topics[stream.TopicPartition{Topic: in.batch.Topic, Partition: in.batch.Partition}] = in.batch.TopicID
	}
	return stableCommits(ctx, s.client, s.group, topics)
}

// stableCommits fetches what a group has committed for partitions, once no open
// transaction has anything pending for them.
func stableCommits(ctx context.Context, client *kgo.Client, group string, topics map[stream.TopicPartition]stream.TopicID) (map[stream.TopicPartition]commit, error) {
	partitions := make(map[string][]int32)
	ids := make(map[string]stream.TopicID)
	for tp, id := range topics {
		partitions[tp.Topic] = append(partitions[tp.Topic], tp.Partition)
		ids[tp.Topic] = id
	}
	for fails := 1; ; fails++ {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.RequireStable = true
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group = group
		for topic, ps := range partitions {
			t := kmsg.NewOffsetFetchRequestGroupTopic()
			t.Topic, t.TopicID, t.Partitions = topic, ids[topic], ps
			g.Topics = append(g.Topics, t)
		}
		req.Groups = append(req.Groups, g)
		resp, err := req.RequestWith(ctx, client)
		if err == nil {
			err = offsetFetchError(resp, func(_ stream.TopicPartition, err error) error { return err })
		}
		if err == nil {
			return commitsOf(resp), nil
		}
		var code *kerr.Error
		if !errors.As(err, &code) || !code.Retriable || !pause(ctx, backoff(fails, 20*time.Millisecond, time.Second)) {
			return nil, err
		}
	}
}

// offsetFetchError returns the first error of an answer; that of a partition goes
// through judge.
func offsetFetchError(resp *kmsg.OffsetFetchResponse, judge func(stream.TopicPartition, error) error) error {
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return err
	}
	for _, g := range resp.Groups {
		if err := kerr.ErrorForCode(g.ErrorCode); err != nil {
			return err
		}
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				err := kerr.ErrorForCode(p.ErrorCode)
				if err != nil {
					err = judge(stream.TopicPartition{Topic: t.Topic, Partition: p.Partition}, err)
				}
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func commitsOf(resp *kmsg.OffsetFetchResponse) map[stream.TopicPartition]commit {
	commits := make(map[stream.TopicPartition]commit)
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				c := commit{offset: p.Offset}
				if p.Metadata != nil && p.Offset >= 0 {
					c.metadata = *p.Metadata
				}
				commits[stream.TopicPartition{Topic: t.Topic, Partition: p.Partition}] = c
			}
		}
	}
	return commits
}
