package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetcher reads one partition by plain fetch requests. The consuming client
// shows records only; a fetch shows the position too, and the end of a log is
// mostly markers, aborted records and the holes compaction leaves.
type fetcher struct {
	client *kgo.Client
	admin  *kadm.Client
	tp     stream.TopicPartition

	maxBytes    int32 // asked for at once; a larger batch comes whole all the same
	uncommitted bool  // records of open and aborted transactions too

	id     stream.TopicID
	leader int32 // -1: not known
	epoch  int32 // of the leader: a later one has the broker refuse (KIP-320)
	fails  int
}

func newFetcher(client *kgo.Client, tp stream.TopicPartition) *fetcher {
	return &fetcher{client: client, admin: kadm.NewClient(client), tp: tp, maxBytes: fetchMaxBytes / 2, leader: -1, epoch: -1}
}

// fetched is the answer to one fetch.
type fetched struct {
	records []*kgo.Record
	next    int64 // where to read on
	stable  int64 // last stable offset
	first   int64 // first retained offset
	empty   bool  // the broker had nothing at all between from and stable
}

// fetch reads records from offset from on, committed ones unless told otherwise. It waits up to maxWait
// for some. Leaders that move are followed; an offset that is no longer in the
// log is OFFSET_OUT_OF_RANGE.
func (f *fetcher) fetch(ctx context.Context, from int64, maxWait time.Duration) (fetched, error) {
	for {
		out, err := f.try(ctx, from, maxWait)
		var code *kerr.Error
		retry := errors.As(err, &code) && code.Retriable || kgo.IsRetryableBrokerErr(err)
		if err == nil || !retry || ctx.Err() != nil || f.fails >= 20 {
			if err != nil {
				err = fmt.Errorf("fetching %s/%d from offset %d: %w", f.tp.Topic, f.tp.Partition, from, known(err))
			} else {
				f.fails = 0
			}
			return out, err
		}
		f.leader = -1 // it may have moved: ask again
		f.fails++
		if !pause(ctx, backoff(f.fails, 20*time.Millisecond, time.Second)) {
			return fetched{}, ctx.Err()
		}
	}
}

// ask is one fetch of what there is from an offset on.
func (f *fetcher) ask(ctx context.Context, from int64, maxWait time.Duration) (*kmsg.FetchResponseTopicPartition, error) {
	if f.leader < 0 {
		if err := f.findLeader(ctx); err != nil {
			return nil, err
		}
	}
	resp, err := f.client.Broker(int(f.leader)).RetriableRequest(ctx, f.request(from, maxWait))
	if err != nil {
		return nil, err
	}
	r := resp.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
		return nil, err
	}
	if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
		return nil, fmt.Errorf("the broker answered with %d topics", len(r.Topics))
	}
	p := &r.Topics[0].Partitions[0]
	return p, kerr.ErrorForCode(p.ErrorCode)
}

func (f *fetcher) try(ctx context.Context, from int64, maxWait time.Duration) (fetched, error) {
	p, err := f.ask(ctx, from, maxWait)
	if err != nil {
		return fetched{}, err
	}
	parsed, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: from, IsolationLevel: f.isolation(), Topic: f.tp.Topic, Partition: f.tp.Partition,
	}, p, kgo.DefaultDecompressor(), nil)
	if parsed.Err != nil {
		return fetched{}, parsed.Err
	}
	return fetched{
		records: parsed.Records, next: next,
		stable: p.LastStableOffset, first: p.LogStartOffset, empty: len(p.RecordBatches) == 0,
	}, nil
}

func (f *fetcher) request(from int64, maxWait time.Duration) *kmsg.FetchRequest {
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition = f.tp.Partition
	p.FetchOffset = from
	p.CurrentLeaderEpoch = f.epoch
	p.PartitionMaxBytes = f.maxBytes
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = f.tp.Topic, f.id
	t.Partitions = append(t.Partitions, p)
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis = int32(maxWait.Milliseconds())
	req.MinBytes = 1
	req.MaxBytes = fetchMaxBytes
	if !f.uncommitted {
		req.IsolationLevel = 1 // read committed
	}
	req.Topics = append(req.Topics, t)
	return req
}

func (f *fetcher) isolation() kgo.IsolationLevel {
	if f.uncommitted {
		return kgo.ReadUncommitted()
	}
	return kgo.ReadCommitted()
}

func (f *fetcher) findLeader(ctx context.Context) error {
	topics, err := f.admin.ListTopicsWithInternal(ctx, f.tp.Topic)
	if err != nil {
		return err
	}
	t, ok := topics[f.tp.Topic]
	if !ok {
		return kerr.UnknownTopicOrPartition
	}
	if t.Err != nil {
		return t.Err
	}
	p, ok := t.Partitions[f.tp.Partition]
	if !ok {
		return fmt.Errorf("topic %q has no partition %d, only %d", f.tp.Topic, f.tp.Partition, len(t.Partitions))
	}
	if p.Leader < 0 {
		return kerr.LeaderNotAvailable
	}
	f.id, f.leader, f.epoch = stream.TopicID(t.ID), p.Leader, p.LeaderEpoch
	return nil
}

// pause waits for d and reports whether ctx let it.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
