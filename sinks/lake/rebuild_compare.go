package lake

import (
	"context"
	"fmt"
	"strings"
)

// Day is a day of the covered rows, in the table that is read and in the shadow.
type Day struct {
	Day string `json:"day"`
	// Before and After are numbers of rows, Equal says that they are the same
	// rows but for when and under which epoch they were written.
	Before uint64 `json:"before"`
	After  uint64 `json:"after"`
	Equal  bool   `json:"equal"`
	// Of the offsets of a day that is not equal: Added have no row before,
	// Removed none after, Doubled several before, Changed other values.
	Added   uint64 `json:"added,omitempty"`
	Removed uint64 `json:"removed,omitempty"`
	Doubled uint64 `json:"doubled,omitempty"`
	Changed uint64 `json:"changed,omitempty"`
}

// Compare compares, day by day, the covered rows with those of the shadow, in
// the months asked for. gone are first retained offsets by partition where the log
// has lost some since the rebuild began: rows below them that the shadow lacks
// are not compared, they are kept.
func (r *Rebuild) Compare(ctx context.Context, gone map[int32]int64) ([]Day, error) {
	digest, kept := r.digest(), "NOT "+r.expired(gone)
	query := fmt.Sprintf(`
		SELECT toString(day), sum(old), sum(new), sumIf(h, old = 1) = sumIf(h, new = 1) AND sum(old) = sum(new)
		FROM
		(
			SELECT toDate(%[1]s) AS day, 1 AS old, 0 AS new, %[2]s AS h FROM %[3]s WHERE %[4]s AND %[5]s AND %[7]s
			UNION ALL
			SELECT toDate(%[1]s) AS day, 0 AS old, 1 AS new, %[2]s AS h FROM %[6]s WHERE %[4]s AND %[5]s
		)
		GROUP BY day ORDER BY day`, r.table.newest, digest, r.table.Name, r.covered(), r.inside(), r.Shadow(), kept)
	var days []Day
	err := r.each(ctx, query, func(scan func(...any) error) error {
		var d Day
		var equal uint8
		err := scan(&d.Day, &d.Before, &d.After, &equal)
		d.Equal = equal != 0
		days = append(days, d)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range days {
		if !days[i].Equal {
			if err := r.differences(ctx, digest, kept, &days[i]); err != nil {
				return nil, err
			}
		}
	}
	return days, nil
}

// differences counts what differs on a day, offset by offset.
func (r *Rebuild) differences(ctx context.Context, digest, kept string, d *Day) error {
	query := fmt.Sprintf(`
		SELECT countIf(o = 0), countIf(n = 0), countIf(o > 1), countIf(o > 0 AND n > 0 AND NOT has(olds, news[1])), countIf(n > 1)
		FROM
		(
			SELECT _partition, _offset, sum(old) AS o, sum(1 - old) AS n,
				groupArrayIf(h, old = 1) AS olds, groupArrayIf(h, old = 0) AS news
			FROM
			(
				SELECT _partition, _offset, 1 AS old, %[2]s AS h FROM %[3]s WHERE %[4]s AND toDate(%[1]s) = '%[6]s' AND %[7]s
				UNION ALL
				SELECT _partition, _offset, 0 AS old, %[2]s AS h FROM %[5]s WHERE %[4]s AND toDate(%[1]s) = '%[6]s'
			)
			GROUP BY _partition, _offset
		)`, r.table.newest, digest, r.table.Name, r.covered(), r.Shadow(), d.Day, kept)
	var twice uint64
	err := r.each(ctx, query, func(scan func(...any) error) error {
		return scan(&d.Added, &d.Removed, &d.Doubled, &d.Changed, &twice)
	})
	if err == nil && twice > 0 {
		err = fmt.Errorf("%d records of %s were loaded twice: run the rebuild of %s again with --restart", twice, d.Day, r.table.Name)
	}
	return err
}

// digest is the hash of what a row says. When it was written, and under which
// epoch, is left out, and so is the body of an answer, which goes when the terms
// of its source say so. A null hashes as the text of a tuple does, unlike any
// value.
func (r *Rebuild) digest() string {
	except := []string{"inserted_at", "_lake_epoch"}
	if r.table.Name == "responses" {
		except = append(except, "body")
	}
	return "cityHash64(toString(tuple(* EXCEPT (" + strings.Join(except, ", ") + "))))"
}

// each calls one with every row of an answer.
func (r *Rebuild) each(ctx context.Context, query string, one func(scan func(...any) error) error) error {
	rows, err := r.lake.conn.Query(ctx, query)
	if err != nil {
		return fmt.Errorf("comparing %s with its rebuild: %w", r.table.Name, r.lake.denied(err))
	}
	defer rows.Close()
	for rows.Next() {
		if err := one(rows.Scan); err != nil {
			return fmt.Errorf("comparing %s with its rebuild: %w", r.table.Name, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("comparing %s with its rebuild: %w", r.table.Name, err)
	}
	return nil
}
