package lake

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
)

// AuditSlice is how many offsets one row of audits is about.
const AuditSlice = 1 << 18

// Audit is what is known of one slice of a partition: a row of the table audits.
type Audit struct {
	First int64 // of the slice, a multiple of AuditSlice
	// Report is the comparison with the log, from its own First to its Next.
	Report Report
	// rows are all rows of the slice below Report.Next when it was compared.
	rows sum
	At   time.Time
}

// Whole says that the comparison has come to the end of the slice.
func (a *Audit) Whole() bool { return a.Report.Next == a.First+AuditSlice }

// Extend adds the comparison of the offsets that follow.
func (a *Audit) Extend(r Report) {
	if a.Report.Topic == "" {
		a.Report = r
		return
	}
	t := &a.Report
	t.Next = r.Next
	t.Records += r.Records
	t.Rows += r.Rows
	t.DeadLetters += r.DeadLetters
	t.MissingCount += r.MissingCount
	t.DoubledCount += r.DoubledCount
	t.UnexpectedCount += r.UnexpectedCount
	t.AlteredCount += r.AlteredCount
	t.Missing = append(t.Missing, r.Missing...)
	t.Doubled = append(t.Doubled, r.Doubled...)
	t.Unexpected = append(t.Unexpected, r.Unexpected...)
	t.Altered = append(t.Altered, r.Altered...)
}

// Findings are what is wrong, in words, at most a hundred.
func (r *Report) Findings() []string {
	var all []string
	for _, f := range []struct {
		kind   string
		ranges []OffsetRange
	}{{"missing", r.Missing}, {"doubled", r.Doubled}, {"unexpected", r.Unexpected}, {"altered", r.Altered}} {
		for _, o := range f.ranges {
			if len(all) == 100 {
				return all
			}
			all = append(all, fmt.Sprintf("%s %d-%d", f.kind, o.First, o.Last))
		}
	}
	return all
}

// Audits returns what is known of a partition, by the first offset of the slice.
func (l *Lake) Audits(ctx context.Context, of sinks.Partition) (map[int64]*Audit, error) {
	t, err := tableOf(of.Topic)
	if err != nil {
		return nil, err
	}
	rows, err := l.conn.Query(ctx, `
		SELECT first, next, records, rows, dead_letters, missing, doubled, unexpected, altered, lake_rows, lake_hash, audited_at
		FROM audits FINAL WHERE topic = ? AND _topic_id = ? AND _partition = ?`, of.Topic, schemas.ID(of.TopicID).String(), of.Number)
	if err != nil {
		return nil, fmt.Errorf("reading what is proven of %v: %w", of, err)
	}
	defer rows.Close()
	all := map[int64]*Audit{}
	for rows.Next() {
		a := &Audit{Report: Report{Topic: of.Topic, Partition: of.Number, Table: t.Name}}
		r := &a.Report
		err := rows.Scan(&a.First, &r.Next, &r.Records, &r.Rows, &r.DeadLetters, &r.MissingCount, &r.DoubledCount, &r.UnexpectedCount, &r.AlteredCount, &a.rows.rows, &a.rows.hash, &a.At)
		if err != nil {
			return nil, fmt.Errorf("reading what is proven of %v: %w", of, err)
		}
		r.First = a.First
		all[a.First] = a
	}
	return all, rows.Err()
}

// NoteAudit takes the sum of the rows that the slice has now, and writes down
// what is known of it.
func (l *Lake) NoteAudit(ctx context.Context, of sinks.Partition, a *Audit) error {
	sums, err := l.sums(ctx, a.Report.Table, sinks.Range{Partition: of, First: a.First, Last: a.Report.Next - 1}, AuditSlice)
	if err != nil {
		return err
	}
	a.rows = sums[a.First/AuditSlice]
	batch, err := l.conn.PrepareBatch(ctx, `INSERT INTO audits (topic, first, next, records, rows, dead_letters, missing, doubled, unexpected, altered,
		findings, lake_rows, lake_hash, audited_at, _topic_id, _partition)`)
	if err != nil {
		return fmt.Errorf("writing down what is proven of %v: %w", of, err)
	}
	defer batch.Abort() //nolint:errcheck // the outcome is Send's
	r := &a.Report
	err = batch.Append(of.Topic, a.First, r.Next, r.Records, r.Rows, r.DeadLetters, r.MissingCount, r.DoubledCount, r.UnexpectedCount, r.AlteredCount,
		append([]string{}, r.Findings()...), a.rows.rows, a.rows.hash, a.At.UTC(), schemas.ID(of.TopicID).String(), of.Number)
	if err == nil {
		err = batch.Send()
	}
	if err != nil {
		return fmt.Errorf("writing down what is proven of %v: %w", of, err)
	}
	return nil
}

// Changed returns those of the audits, in order of their offsets, whose slices do
// not have the rows any more that they had when they were compared. It asks the server once and the log not
// at all, so it also looks after rows that the log no longer holds.
func (l *Lake) Changed(ctx context.Context, of sinks.Partition, audits []*Audit) ([]*Audit, error) {
	if len(audits) == 0 {
		return nil, nil
	}
	// Only the last slice may have been compared in part.
	r := sinks.Range{Partition: of, First: audits[0].First, Last: audits[len(audits)-1].Report.Next - 1}
	sums, err := l.sums(ctx, audits[0].Report.Table, r, AuditSlice)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(audits), func(a *Audit) bool { return sums[a.First/AuditSlice] == a.rows }), nil
}
