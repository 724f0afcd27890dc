package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/sinks"
	"github.com/pricelake/pricelake/sinks/lake"
)

// VerifyOptions say what to verify.
type VerifyOptions struct {
	Topics []string // all that the lake loads when empty
	Wait   bool     // until the lake has read what is committed now
}

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
	// PriceRows is count() of prices, PriceDistinct uniqExact(event_id, revision).
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
	v := verifier{app: a}
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
	report := VerifyReport{OK: true}
	for _, t := range tables {
		// The latest record of a key is only what it is once the lake has seen
		// it: compacted topics are waited for in any case.
		if err := v.topic(ctx, t, opts.Wait || t.Latest, &report); err != nil {
			return report, fmt.Errorf("verifying %q: %w", t.Topic, err)
		}
	}
	if err := v.unique(ctx, &report); err != nil {
		return report, err
	}
	return report, nil
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
	app   *App
	lake  *lake.Lake
	log   *kafka.Log
	admin *kafka.Admin
}

func (v *verifier) topic(ctx context.Context, t lake.Table, wait bool, report *VerifyReport) error {
	id, _, err := v.log.Describe(ctx, t.Topic)
	if err != nil {
		return err
	}
	positions, err := v.admin.Positions(ctx, lakeGroup, t.Topic)
	if err != nil {
		return err
	}
	for _, p := range positions {
		if wait {
			if p, err = v.await(ctx, p); err != nil {
				return err
			}
		}
		verdict, err := v.partition(ctx, id, p)
		if err != nil {
			return err
		}
		report.Partitions = append(report.Partitions, verdict)
		report.OK = report.OK && verdict.OK
	}
	return nil
}

const waitStep = 100 * time.Millisecond

// await waits until the lake has read every record that was committed when it
// was called.
func (v *verifier) await(ctx context.Context, p kafka.Position) (kafka.Position, error) {
	last, err := v.lastRecord(ctx, p)
	if err != nil {
		return p, err
	}
	for last >= 0 && p.Committed <= last {
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

func (v *verifier) partition(ctx context.Context, id stream.TopicID, p kafka.Position) (VerifyPartition, error) {
	check, err := v.lake.Verify(sinks.Partition{Topic: p.Topic, TopicID: id, Number: p.Partition})
	if err != nil {
		return VerifyPartition{}, err
	}
	var lag int64
	_, err = v.log.ReadCommitted(ctx, p.TopicPartition, p.First, func(r stream.Record) error {
		if r.Offset >= p.Committed {
			lag++
			return nil
		}
		return check.Record(ctx, &r)
	})
	if err != nil {
		return VerifyPartition{}, err
	}
	report, err := check.Report(ctx)
	return VerifyPartition{Report: report, Lag: lag, OK: report.OK()}, err
}
