package lake

import (
	"context"
	"fmt"

	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
)

// compareLatest compares the latest record of each key with the latest row of
// it. Older records and rows are anyone's: compaction takes the ones, the lake
// keeps the others.
func (v *Verification) compareLatest(ctx context.Context) error {
	rows, err := v.lake.conn.Query(ctx, fmt.Sprintf(`
		SELECT %s, max(_offset), count() > uniqExact(_offset) FROM %s
		WHERE _topic_id = ? AND _partition = ? GROUP BY 1`, v.table.key, v.table.Name),
		schemas.ID(v.of.TopicID).String(), v.of.Number)
	if err != nil {
		return fmt.Errorf("reading what of %v is in %s: %w", v.of, v.table.Name, err)
	}
	defer rows.Close()
	var missing, doubled, unexpected sinks.Offsets
	for _, offset := range v.latest {
		missing.Add(offset, offset)
	}
	v.report.Records = int64(len(v.latest))
	for rows.Next() {
		var key string
		var offset int64
		var twice bool
		if err := rows.Scan(&key, &offset, &twice); err != nil {
			return fmt.Errorf("reading what of %v is in %s: %w", v.of, v.table.Name, err)
		}
		want, ok := v.latest[key]
		switch {
		case ok && offset == want:
			v.report.Rows++
			missing.Remove(want)
		case !ok || offset > want:
			unexpected.Add(offset, offset)
		}
		if twice {
			doubled.Add(offset, offset)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading what of %v is in %s: %w", v.of, v.table.Name, err)
	}
	v.report.MissingCount, v.report.Missing = missing.Count(), named(&missing)
	v.report.DoubledCount, v.report.Doubled = doubled.Count(), named(&doubled)
	v.report.UnexpectedCount, v.report.Unexpected = unexpected.Count(), named(&unexpected)
	return nil
}

func named(o *sinks.Offsets) []OffsetRange {
	var rs []OffsetRange
	for first, last := range o.Runs() {
		if len(rs) == maxNamed {
			break
		}
		rs = append(rs, OffsetRange{first, last})
	}
	return rs
}
