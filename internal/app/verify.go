package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/sinks"
	"github.com/pricelake/pricelake/sinks/lake"
)

// VerifyOptions say what to verify.
type VerifyOptions struct {
	Topics     []string // all that the lake loads when empty
	Partitions []int32  // all when empty
	// From and To bound the offsets, To not included; To 0 is no bound.
	From, To int64
	Wait     bool // until the lake has read what is committed now
	// Progress, when set, is told after every so many records how far it is.
	// Calls come from several goroutines, one at a time for each partition.
	Progress func(VerifyProgress)
}

// VerifyProgress is how far the comparison of a partition is.
type VerifyProgress struct {
	Topic       string
	Partition   int32
	Done, Total int64 // offsets
}

// Bounded says whether only a part of the offsets is asked for.
func (o VerifyOptions) Bounded() bool { return len(o.Partitions) > 0 || o.From > 0 || o.To > 0 }

// VerifyPartition is the verdict on one partition. Records beyond the lake's
// position are Lag, not loss.
type VerifyPartition struct {
	lake.Report
	Lag int64 `json:"lag"`
	OK  bool  `json:"ok"`
}

// VerifyReport is what `verify` found.
type VerifyReport struct {
	OK         bool              `json:"ok"`
	Partitions []VerifyPartition `json:"partitions"`
	// PriceRows is count() of prices, PriceDistinct uniqExact(event_id,
	// revision); both are left out when only a part of the offsets was compared.
	PriceRows     uint64 `json:"price_rows"`
	PriceDistinct uint64 `json:"price_distinct"`
}

// Verify compares every committed record of the topics that the lake loads with
// the lineage of its rows.
func (a *App) Verify(ctx context.Context, opts VerifyOptions) (VerifyReport, error) {
	tables, err := verifiedTables(opts.Topics)
	if err != nil {
		return VerifyReport{}, err
	}
	v := verifier{opts: opts, paused: func(ctx context.Context) (string, error) {
		switched, err := a.roleSwitches(ctx)
		return pausedText(switched[lake.Role]), err
	}}
	if v.lake, err = a.openLake(); err != nil {
		return VerifyReport{}, err
	}
	if v.log, err = a.kafkaLog(); err != nil {
		return VerifyReport{}, err
	}
	if v.admin, err = kafka.NewAdmin(a.kafkaConfig("verify")); err != nil {
		return VerifyReport{}, err
	}
	defer v.admin.Close()
	if err := v.reachable(ctx, tables[0].Topic); err != nil {
		return VerifyReport{}, err
	}
	report := VerifyReport{OK: true}
	for _, t := range tables {
		if err := v.topic(ctx, t, &report); err != nil {
			return report, fmt.Errorf("verifying %q: %w", t.Topic, err)
		}
	}
	if len(report.Partitions) == 0 {
		return report, fmt.Errorf("none of the topics has a partition of %v", opts.Partitions)
	}
	if opts.Bounded() {
		return report, nil
	}
	err = v.unique(ctx, &report)
	return report, err
}

// answerWithin is how long a server may take for its first answer. Clients try
// again for as long as they are let, also when the server refuses their login.
const answerWithin = 15 * time.Second

// reachable asks both servers for an answer. Without it a login that one of them
// refuses would be tried again and again, and nobody would be told.
func (v *verifier) reachable(ctx context.Context, topic string) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	_, _, err := v.log.Describe(ctx, topic)
	return errors.Join(err, v.lake.Ping(ctx))
}

// unique checks that no event's revision is in prices twice (I2).
func (v *verifier) unique(ctx context.Context, report *VerifyReport) error {
	u, err := v.lake.Unique(ctx)
	if err != nil {
		return err
	}
	report.PriceRows, report.PriceDistinct = u.Rows, u.Unique
	report.OK = report.OK && u.Rows == u.Unique
	return nil
}

func verifiedTables(topics []string) ([]lake.Table, error) {
	all := lake.Tables()
	if len(topics) == 0 {
		return all, nil
	}
	var tables []lake.Table
	var known []string
	for _, t := range all {
		known = append(known, t.Topic)
		if slices.Contains(topics, t.Topic) {
			tables = append(tables, t)
		}
	}
	if len(tables) != len(topics) {
		return nil, fmt.Errorf("not every one of %v is loaded into the lake; it loads %v", topics, known)
	}
	return tables, nil
}

type verifier struct {
	opts  VerifyOptions
	lake  *lake.Lake
	log   *kafka.Log
	admin *kafka.Admin
	// paused says why the role lake takes nothing new; empty: it does.
	paused func(context.Context) (string, error)
}

// parallelVerify is how many partitions are compared at a time.
const parallelVerify = 4

func (v *verifier) topic(ctx context.Context, t lake.Table, report *VerifyReport) error {
	id, _, err := v.log.Describe(ctx, t.Topic)
	if err != nil {
		return err
	}
	positions, err := v.admin.Positions(ctx, lakeGroup, t.Topic)
	if err != nil {
		return err
	}
	positions = slices.DeleteFunc(positions, func(p kafka.Position) bool {
		return len(v.opts.Partitions) > 0 && !slices.Contains(v.opts.Partitions, p.Partition)
	})
	verdicts := make([]VerifyPartition, len(positions))
	var g errgroup.Group
	g.SetLimit(parallelVerify)
	for i, p := range positions {
		g.Go(func() (err error) {
			// The latest record of a key is only what it is once the lake has
			// seen it: compacted topics are waited for in any case.
			if v.opts.Wait || t.Latest {
				if p, err = v.await(ctx, p); err != nil {
					return err
				}
			}
			verdicts[i], err = v.partition(ctx, id, p, t.Latest)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, verdict := range verdicts {
		report.OK = report.OK && verdict.OK
	}
	report.Partitions = append(report.Partitions, verdicts...)
	return nil
}

const waitStep = 100 * time.Millisecond

// pausedEvery is in how many of these it is asked whether the lake is paused.
const pausedEvery = 50

// await waits until the lake has read every record that was committed when it
// was called.
func (v *verifier) await(ctx context.Context, p kafka.Position) (kafka.Position, error) {
	last, err := v.lastRecord(ctx, p)
	if err != nil {
		return p, err
	}
	for round := 0; last >= 0 && p.Committed <= last; round++ {
		if p.Stopped != "" {
			return p, nil // until somebody releases it, and then it is what it is
		}
		if round%pausedEvery == 0 {
			if why, err := v.paused(ctx); err != nil {
				return p, err
			} else if why != "" {
				return p, fmt.Errorf("waiting for the lake to read %s[%d]: the role is %s", p.Topic, p.Partition, why)
			}
		}
		timer := time.NewTimer(waitStep)
		select {
		case <-ctx.Done():
			timer.Stop()
			return p, ctx.Err()
		case <-timer.C:
		}
		now, err := v.admin.Positions(ctx, lakeGroup, p.Topic)
		if err != nil {
			return p, err
		}
		for _, n := range now {
			if n.Partition == p.Partition {
				p = n
			}
		}
	}
	return p, nil
}

// lastRecord returns the offset of the last committed record that the lake has
// not read, -1 when it has read all. The end of a partition says less: markers
// of transactions take offsets too.
func (v *verifier) lastRecord(ctx context.Context, p kafka.Position) (int64, error) {
	last := int64(-1)
	_, err := v.log.ReadCommitted(ctx, p.TopicPartition, max(p.Committed, p.First), func(r stream.Record) error {
		last = r.Offset
		return nil
	})
	return last, err
}

// partition compares one partition up to where the lake has come, and counts
// what it has not read yet. Compacted topics are compared whole.
func (v *verifier) partition(ctx context.Context, id stream.TopicID, p kafka.Position, whole bool) (VerifyPartition, error) {
	first, next := max(p.First, v.opts.From), max(p.Committed, p.First)
	if v.opts.To > 0 {
		next = min(next, v.opts.To)
	}
	if whole {
		first = p.First
	}
	next = max(next, first)
	check, err := v.lake.Verify(sinks.Partition{Topic: p.Topic, TopicID: id, Number: p.Partition}, first)
	if err != nil {
		return VerifyPartition{}, err
	}
	total := p.End - first
	if v.opts.To > 0 {
		total = next - first
	}
	progress := v.progress(p.TopicPartition, first, total)
	var lag int64
	err = v.log.ReadBetween(ctx, p.TopicPartition, first, first+total, func(r stream.Record) error {
		progress(r.Offset)
		if r.Offset >= next {
			lag++
			return nil
		}
		return check.Record(ctx, &r)
	})
	if err != nil {
		return VerifyPartition{}, err
	}
	if v.opts.From <= p.First {
		if err := check.Older(ctx); err != nil {
			return VerifyPartition{}, err
		}
	}
	report, err := check.Report(ctx, next)
	return VerifyPartition{Report: report, Lag: lag, OK: report.OK()}, err
}

// sayRecords is after how many records progress is told.
const sayRecords = 50_000

func (v *verifier) progress(tp stream.TopicPartition, first, total int64) func(offset int64) {
	if v.opts.Progress == nil {
		return func(int64) {}
	}
	n := 0
	return func(offset int64) {
		if n++; n%sayRecords == 0 {
			v.opts.Progress(VerifyProgress{tp.Topic, tp.Partition, offset + 1 - first, total})
		}
	}
}
