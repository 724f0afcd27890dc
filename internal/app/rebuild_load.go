package app

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
	"github.com/pricelake/pricelake/sinks/lake"
)

// Records of a rebuild are written window by window. A window is a fixed range
// of offsets and its blocks are cut at fixed places, so that a rebuild that goes
// on makes the blocks that were made before.
const (
	rebuildWindow = 1 << 16
	rebuildBytes  = 32 << 20
	// rebuildParallel is how many partitions are loaded at a time.
	rebuildParallel = 2
)

// load fills the shadow with what the plan covers.
func (r *rebuilder) load(ctx context.Context) error {
	id, err := schemas.ParseID(r.open.Plan.TopicID)
	if err != nil {
		return fmt.Errorf("reading the plan of the rebuild: %w", err)
	}
	handler, err := r.handler(ctx, r.open.Shadow())
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(rebuildParallel)
	for _, c := range r.open.Plan.Coverage {
		if !c.Covered || c.Next <= c.First {
			continue
		}
		g.Go(func() error { return r.partition(ctx, handler, stream.TopicID(id), c) })
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("loading %s anew: %w", r.table.Name, err)
	}
	return nil
}

// handler is the sink's own, over another table.
func (r *rebuilder) handler(ctx context.Context, shadow string) (*sinks.Handler, error) {
	decoders, err := r.app.lakeDecoders(ctx)
	if err != nil {
		return nil, err
	}
	cluster, err := kafka.ClusterID(ctx, r.app.kafkaConfig("rebuild"))
	if err != nil {
		return nil, err
	}
	calls, err := r.app.openCalls(ctx)
	if err != nil {
		return nil, err
	}
	own := prometheus.NewRegistry() // of nobody: the role's figures are not touched
	sink := lake.NewSink(r.lake, lake.Options{Decoders: decoders, Cluster: cluster, Retention: retention(calls), Shadow: shadow,
		Now: time.Now, Log: r.logger(), Registerer: own})
	var refused atomic.Int64
	return sinks.NewHandler(sinks.Options{
		Store: sink,
		// A record that cannot be a row has its dead letter from the time it was
		// loaded first; if it has none, its row is missing, and that is reported.
		Publisher: publisherFunc(func(_ context.Context, rs ...stream.Record) error {
			atomic.StoreInt64(&r.report.Refused, refused.Add(int64(len(rs))))
			return nil
		}),
		DeadLetter: func(in *stream.Record, _ schemas.DeadReason, _ error) (stream.Record, error) {
			return stream.Record{Topic: in.Topic}, nil
		},
		Epoch: r.open.Epoch, Log: r.logger(), Registerer: own,
	}), nil
}

// retention is how long answers of a call are kept.
func retention(calls *callView) lake.Retention {
	return func(callID, version string) int32 {
		if def := calls.lookup(callID, version); def != nil {
			return def.RetentionDays
		}
		return 0
	}
}

type publisherFunc func(ctx context.Context, rs ...stream.Record) error

func (f publisherFunc) Publish(ctx context.Context, rs ...stream.Record) error { return f(ctx, rs...) }

// partition loads one partition from where it was left.
func (r *rebuilder) partition(ctx context.Context, handler *sinks.Handler, id stream.TopicID, c lake.Coverage) error {
	tp := stream.TopicPartition{Topic: r.table.Topic, Partition: c.Partition}
	last, err := r.open.LoadedTo(ctx, c.Partition)
	if err != nil {
		return err
	}
	from := max(c.First, last/rebuildWindow*rebuildWindow) // windows before are whole
	claim, err := handler.Open(ctx, stream.Claim{TopicPartition: tp, TopicID: id, Committed: from,
		Reread: r.log.Reread(tp)})
	if err != nil {
		return err
	}
	defer claim.Close() //nolint:errcheck // it holds nothing
	w := window{to: claim, batch: stream.Batch{Topic: tp.Topic, TopicID: id, Partition: c.Partition}, wrote: func(records int, next int64) error {
		atomic.AddInt64(&r.report.Loaded, int64(records))
		if r.opts.Progress != nil {
			r.opts.Progress(VerifyProgress{tp.Topic, c.Partition, next - c.First, c.Next - c.First})
		}
		return r.hit(failpoint.RebuildLoaded)
	}}
	if err := r.log.ReadBetween(ctx, tp, from, c.Next, func(rec stream.Record) error { return w.add(ctx, rec) }); err != nil {
		return err
	}
	return w.flush(ctx)
}

// window gathers records into blocks.
type window struct {
	to    stream.RangeSink
	batch stream.Batch
	bytes int
	wrote func(records int, next int64) error
}

func (w *window) add(ctx context.Context, r stream.Record) error {
	if n := len(w.batch.Records); n > 0 && (w.bytes >= rebuildBytes || r.Offset/rebuildWindow != w.batch.Records[n-1].Offset/rebuildWindow) {
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	w.batch.Records = append(w.batch.Records, r)
	w.bytes += len(r.Key) + len(r.Value)
	return nil
}

func (w *window) flush(ctx context.Context) error {
	n := len(w.batch.Records)
	if n == 0 {
		return nil
	}
	next := w.batch.Records[n-1].Offset + 1
	if err := w.to.Write(ctx, w.batch, nil); err != nil {
		return err
	}
	clear(w.batch.Records)
	w.batch.Records, w.bytes = w.batch.Records[:0], 0
	return w.wrote(n, next)
}

// heal proves that nothing the role lake wrote while a partition was swapped is
// lost, and writes it again where it is: a process that did not hear of the pause
// in time may have.
func (r *rebuilder) heal(ctx context.Context) error {
	if err := r.atRest(ctx); err != nil {
		return err
	}
	id, err := schemas.ParseID(r.open.Plan.TopicID)
	if err != nil {
		return fmt.Errorf("reading the plan of the rebuild: %w", err)
	}
	positions, err := r.admin.Positions(ctx, lakeGroup, r.table.Topic)
	if err != nil {
		return err
	}
	cut := map[int32]int64{}
	for _, c := range r.open.Plan.Coverage {
		cut[c.Partition] = c.Next
	}
	for _, p := range positions {
		from := max(cut[p.Partition], p.First)
		if p.Committed <= from {
			continue
		}
		if err := r.healPartition(ctx, sinks.Partition{Topic: p.Topic, TopicID: stream.TopicID(id), Number: p.Partition}, from, p.Committed); err != nil {
			return err
		}
	}
	return nil
}

// healPartition compares the rows of [from, next) with their records, and has the
// records written again if any has no row. The sink leaves out those that have one.
func (r *rebuilder) healPartition(ctx context.Context, of sinks.Partition, from, next int64) error {
	check, err := r.lake.Verify(of, from)
	if err != nil {
		return err
	}
	tp := stream.TopicPartition{Topic: of.Topic, Partition: of.Number}
	if err := r.log.ReadBetween(ctx, tp, from, next, func(rec stream.Record) error { return check.Record(ctx, &rec) }); err != nil {
		return err
	}
	report, err := check.Report(ctx, next)
	if err != nil || report.MissingCount == 0 {
		return err
	}
	r.logger().Warn("rows that were written during the swap are written again", "partition", of.Number, "rows", report.MissingCount)
	handler, err := r.handler(ctx, "")
	if err != nil {
		return err
	}
	claim, err := handler.Open(ctx, stream.Claim{TopicPartition: tp, TopicID: of.TopicID, Committed: from})
	if err != nil {
		return err
	}
	defer claim.Close() //nolint:errcheck // it holds nothing
	w := window{to: claim, batch: stream.Batch{Topic: tp.Topic, TopicID: of.TopicID, Partition: of.Number}, wrote: func(int, int64) error { return nil }}
	if err := r.log.ReadBetween(ctx, tp, from, next, func(rec stream.Record) error { return w.add(ctx, rec) }); err != nil {
		return err
	}
	if err := w.flush(ctx); err != nil {
		return err
	}
	r.report.Healed += report.MissingCount
	return nil
}
