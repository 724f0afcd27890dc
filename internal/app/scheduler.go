package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/producers/scheduler"
	"github.com/pricelake/pricelake/schemas"
)

// schedulerGroup says who owns a shard.
const schedulerGroup = "pricelake.scheduler"

// runScheduler asks for due polls. A shard is a partition of catalog.calls.v1;
// the group says which process owns it, the transactional id of the shard
// fences whoever owned it before.
func (a *App) runScheduler(ctx context.Context) error {
	calls, err := a.openCalls(ctx)
	if err != nil {
		return a.stopped(ctx, err)
	}
	requests, err := codec[schemas.PollRequested](ctx, a, schemas.TopicRequests)
	if err != nil {
		return a.stopped(ctx, err)
	}
	schedules, err := codec[schemas.SlotScheduled](ctx, a, schemas.TopicSchedules)
	if err != nil {
		return a.stopped(ctx, err)
	}
	gate, err := a.gate(ctx, "scheduler")
	if err != nil {
		return a.stopped(ctx, err)
	}
	owner := kafka.Owner{Config: a.kafkaConfig("scheduler"), Group: schedulerGroup, Topic: schemas.TopicCalls}
	metrics := scheduler.NewMetrics(a.metrics)
	shard := func(ctx context.Context, p int32) error {
		txn, err := a.shardTxn(p)
		if err != nil {
			return err
		}
		defer txn.Close()
		if err := txn.Open(ctx); err != nil {
			return err
		}
		return scheduler.New(scheduler.Config{
			Calls: func() ([]schemas.CallDefined, <-chan struct{}) { return calls.shard(p) },
			LastSlots: func(ctx context.Context) (map[string]schemas.SlotScheduled, error) {
				return a.lastSlots(ctx, p, schedules)
			},
			Publisher: fencedPublisher{txn},
			Gate:      gate,
			Requests:  requests,
			Schedules: schedules,
			Metrics:   metrics,
			Log:       a.log.With("part", "scheduler", "shard", p),
			Now:       time.Now,
		}).Run(ctx)
	}
	a.working("scheduler")
	return both(ctx, calls.run, func(ctx context.Context) error { return owner.Run(ctx, shard) })
}

// shardTxn makes the transactions of a shard. Their id is the shard's, whichever
// process owns it: its owner fences the one before, who may not know yet.
func (a *App) shardTxn(p int32) (*kafka.Txn, error) {
	points := kafka.TxnPoints{Begun: failpoint.SchedulerTxnBegun, Produced: failpoint.SchedulerProduced, Committed: failpoint.SchedulerCommitted}
	return kafka.NewTxn(a.kafkaConfig("scheduler"), fmt.Sprintf("pricelake-scheduler-%d", p), kafka.WithTxnPoints(points),
		kafka.WithOutputs(schemas.TopicRequests, schemas.TopicSchedules))
}

// lastSlots reads one partition of schedules.v1. It has the key of the calls and
// as many partitions, so a shard's slots are all in it.
func (a *App) lastSlots(ctx context.Context, p int32, dec decoder[schemas.SlotScheduled]) (map[string]schemas.SlotScheduled, error) {
	log, err := a.kafkaLog()
	if err != nil {
		return nil, err
	}
	last := map[string]schemas.SlotScheduled{}
	tp := stream.TopicPartition{Topic: schemas.TopicSchedules, Partition: p}
	_, err = log.ReadCommitted(ctx, tp, 0, func(r stream.Record) error {
		if r.Value == nil {
			delete(last, string(r.Key))
			return nil
		}
		var s schemas.SlotScheduled
		if err := dec.Decode(ctx, r.Value, &s); err != nil {
			return fmt.Errorf("decoding the slot of %q: %w", r.Key, err)
		}
		last[string(r.Key)] = s
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the last slots: %w", err)
	}
	return last, nil
}

// fencedPublisher tells the scheduler in its own words that it was fenced. A
// transaction in hand when the scheduler is told to stop is finished, unless that
// takes too long.
type fencedPublisher struct{ txn *kafka.Txn }

// publishDrain is how long a transaction may go on after the end of its context:
// less than the loop waits for its work.
const publishDrain = 2 * time.Second

func (p fencedPublisher) Publish(ctx context.Context, rs ...stream.Record) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	inHand, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		t := time.AfterFunc(publishDrain, cancel)
		context.AfterFunc(inHand, func() { t.Stop() })
	})()
	err := p.txn.Publish(inHand, rs...)
	if errors.Is(err, kafka.ErrFenced) {
		return fmt.Errorf("%w: %w", scheduler.ErrFenced, err)
	}
	return err
}

// openCalls returns a view of the catalog that holds what was in the log at the
// call.
func (a *App) openCalls(ctx context.Context) (*callView, error) {
	log, err := a.kafkaLog()
	if err != nil {
		return nil, err
	}
	dec, err := codec[schemas.CallDefined](ctx, a, schemas.TopicCalls)
	if err != nil {
		return nil, err
	}
	role, _ := ctx.Value(roleOf{}).(string)
	view := newCallView(log, dec, a.log.With("part", role))
	if err := a.await(ctx, "the catalog", view.refresh); err != nil {
		return nil, err
	}
	return view, nil
}

// stopped makes the error of a start that was interrupted a clean end.
func (a *App) stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// both runs two parts of a role; the first to end stops the other.
func both(ctx context.Context, one, two func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		defer cancel()
		done <- one(ctx)
	}()
	err := two(ctx)
	cancel()
	return errors.Join(err, <-done)
}
