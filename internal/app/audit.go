package app

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
	"github.com/pricelake/pricelake/sinks/lake"
)

// auditGroup elects the process of the role lake that audits: the owner of the
// one partition of roles.v1.
const auditGroup = "pricelake.auditor"

const (
	// auditEvery is the time between two rounds over all partitions.
	auditEvery = 15 * time.Second
	// auditRest is how many times as long as it has worked the auditor rests: it
	// takes a twentieth of a core at most.
	auditRest = 19
	// auditPatience is how long something must have been wrong to be a finding:
	// the dead letter of a record is loaded some seconds after it is settled.
	auditPatience = 12 * time.Second
	// auditChunks is how many slices of a partition are compared in a round, and
	// auditAgain how many of the earlier ones are looked at again.
	auditChunks, auditAgain = 4, 256
)

// auditor compares what the lake has settled with the topics, all the time.
type auditor struct {
	lake    *lake.Lake
	log     *kafka.Log
	admin   *kafka.Admin
	metrics *lake.AuditMetrics
	logger  *slog.Logger
	every   time.Duration
	rest    int // see auditRest
	wait    time.Duration
	known   map[sinks.Partition]*audited
}

// audited is what is known of a partition.
type audited struct {
	slices map[int64]*lake.Audit
	next   int64               // everything below has been compared
	again  int64               // the slice that is looked at again next
	doubts map[int64]time.Time // since when a slice has looked wrong
}

// audit runs the auditor while this process is the one to audit. Its failures
// are no failures of the role.
func (a *App) audit(ctx context.Context, l *lake.Lake, metrics *lake.AuditMetrics) error {
	owner := kafka.Owner{Config: a.kafkaConfig("audit"), Group: auditGroup, Topic: schemas.TopicRoles}
	return owner.Run(ctx, func(ctx context.Context, _ int32) error {
		log, err := a.kafkaLog()
		if err != nil {
			return err
		}
		admin, err := kafka.NewAdmin(a.kafkaConfig("audit"))
		if err != nil {
			return err
		}
		defer admin.Close()
		defer metrics.Forget()
		w := auditor{lake: l, log: log, admin: admin, metrics: metrics, logger: a.log.With("part", "audit"),
			every: auditEvery, rest: auditRest, wait: auditPatience, known: map[sinks.Partition]*audited{}}
		follow(ctx, w.logger, "the audit of the lake", w.every, w.round)
		return nil
	})
}

// round goes over all partitions once.
func (w *auditor) round(ctx context.Context) error {
	for _, t := range lake.Tables() {
		if t.Latest {
			continue // loaded by key; `verify` compares them
		}
		id, _, err := w.log.Describe(ctx, t.Topic)
		if err != nil {
			return err
		}
		positions, err := w.admin.Positions(ctx, lakeGroup, t.Topic)
		if err != nil {
			return err
		}
		for _, p := range positions {
			if err := w.partition(ctx, sinks.Partition{Topic: t.Topic, TopicID: id, Number: p.Partition}, p); err != nil {
				return fmt.Errorf("auditing %s/%d: %w", p.Topic, p.Partition, err)
			}
		}
	}
	return nil
}

func (w *auditor) partition(ctx context.Context, of sinks.Partition, p kafka.Position) error {
	k := w.known[of]
	if k == nil {
		all, err := w.lake.Audits(ctx, of)
		if err != nil {
			return err
		}
		k = &audited{slices: all, doubts: map[int64]time.Time{}}
		for _, a := range all {
			k.next = max(k.next, a.Report.Next)
		}
		w.known[of] = k
	}
	k.next = max(k.next, p.First)
	if err := w.lookAgain(ctx, of, p, k); err != nil {
		return err
	}
	for n := 0; n < auditChunks && k.next < p.Committed; n++ {
		first := k.next / lake.AuditSlice * lake.AuditSlice
		next := min(p.Committed, first+lake.AuditSlice)
		report, err := w.compare(ctx, of, k.next, next)
		if err != nil {
			return err
		}
		if !w.believes(k, first, report) {
			break
		}
		a := &lake.Audit{First: first}
		if had := k.slices[first]; had != nil {
			*a = *had
		}
		a.Extend(report)
		if err := w.note(ctx, of, k, a, report); err != nil {
			return err
		}
		k.next = next
	}
	w.metrics.Proven(of, k.next, p.Committed, k.slices)
	return nil
}

// believes says whether a comparison counts: one that found something has to
// find it again.
func (w *auditor) believes(k *audited, first int64, r lake.Report) bool {
	if r.OK() {
		delete(k.doubts, first)
		return true
	}
	since, doubted := k.doubts[first]
	if !doubted {
		k.doubts[first] = time.Now()
		return w.wait == 0
	}
	return time.Since(since) >= w.wait
}

// note writes down what is known of a slice, and says what is wrong.
func (w *auditor) note(ctx context.Context, of sinks.Partition, k *audited, a *lake.Audit, r lake.Report) error {
	a.At = time.Now()
	if err := w.lake.NoteAudit(ctx, of, a); err != nil {
		return err
	}
	k.slices[a.First] = a
	if !r.OK() {
		w.logger.Error("the lake is not what the log says; `pricelake verify` shows it, docs/runbooks/lake-wrong.md says what to do",
			"topic", of.Topic, "partition", of.Number, "findings", r.Findings())
	}
	return nil
}

// compare compares offsets of a partition with the log, and rests.
func (w *auditor) compare(ctx context.Context, of sinks.Partition, from, next int64) (lake.Report, error) {
	began := time.Now()
	check, err := w.lake.Verify(of, from)
	if err != nil {
		return lake.Report{}, err
	}
	tp := stream.TopicPartition{Topic: of.Topic, Partition: of.Number}
	if err := w.log.ReadBetween(ctx, tp, from, next, func(r stream.Record) error { return check.Record(ctx, &r) }); err != nil {
		return lake.Report{}, err
	}
	report, err := check.Report(ctx, next)
	if err != nil {
		return report, err
	}
	w.metrics.Compared(of.Topic, report.Records)
	return report, pauseFor(ctx, time.Duration(w.rest)*time.Since(began))
}

// lookAgain compares slices that were wrong, and those whose rows have changed
// since they were proven, which the lake tells without the log.
func (w *auditor) lookAgain(ctx context.Context, of sinks.Partition, p kafka.Position, k *audited) error {
	var whole, suspects []*lake.Audit
	for _, first := range slices.Sorted(maps.Keys(k.slices)) {
		a := k.slices[first]
		if !a.Report.OK() {
			suspects = append(suspects, a)
		} else if (a.Whole() || a.Report.Next == k.next) && first >= k.again && len(whole) < auditAgain {
			whole = append(whole, a)
		}
	}
	k.again = 0
	if len(whole) == auditAgain {
		k.again = whole[len(whole)-1].First + 1
	}
	changed, err := w.lake.Changed(ctx, of, whole)
	if err != nil {
		return err
	}
	for _, a := range append(suspects, changed...) {
		if err := w.reprove(ctx, of, p, k, a); err != nil {
			return err
		}
	}
	return nil
}

// reprove compares a slice with the log once more. What the log no longer holds
// can only be said to have changed.
func (w *auditor) reprove(ctx context.Context, of sinks.Partition, p kafka.Position, k *audited, a *lake.Audit) error {
	if a.Report.Next <= p.First {
		if a.Report.OK() {
			w.logger.Error("rows that are older than the log have changed since they were proven", "topic", of.Topic, "partition", of.Number,
				"first", a.First, "next", a.Report.Next)
			again := *a
			again.Report.AlteredCount, again.Report.Altered = 1, []lake.OffsetRange{{First: a.First, Last: a.Report.Next - 1}}
			again.At = time.Now()
			k.slices[a.First] = &again // not written down: the proof that was stays the measure
		}
		return nil
	}
	report, err := w.compare(ctx, of, max(a.First, p.First), a.Report.Next)
	if err != nil {
		return err
	}
	if !w.believes(k, a.First, report) {
		return nil
	}
	return w.note(ctx, of, k, &lake.Audit{First: a.First, Report: report}, report)
}

// pauseFor waits, unless ctx ends.
func pauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
