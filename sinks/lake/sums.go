package lake

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
)

// verifySlice is how many offsets are summed up together. What differs in a sum
// is then read row by row, so it should not be large.
const verifySlice = 1 << 16

// sum is the number of rows, or of records, and the sum of their hashes: equal
// for two sets of marks when they hold the same, in any order.
type sum struct {
	rows, hash uint64
}

func sumOf(ms []mark) sum {
	s := sum{rows: uint64(len(ms))}
	for _, m := range ms {
		s.hash += m.hash()
	}
	return s
}

// rowHash is markHash as the server computes it.
const rowHash = "intHash64(bitXor(toUInt64(_offset) * 11400714819323198485, reinterpretAsUInt64(toUnixTimestamp64Micro(recorded_at))))"

func markHash(offset, micros int64) uint64 {
	x := uint64(offset)*11400714819323198485 ^ uint64(micros)
	x ^= 0x4CF2D2BAAE6DA887 // ClickHouse's intHash64: a constant and Murmur's finalizer
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// sums returns the sum of the rows of each slice of a range, by number of the
// slice. Slices without rows are left out.
func (l *Lake) sums(ctx context.Context, table string, r sinks.Range, slice int64) (map[int64]sum, error) {
	rows, err := l.conn.Query(lookup(ctx), fmt.Sprintf(`
		SELECT intDiv(_offset, %d) AS slice, count(), sum(%s) FROM %s
		WHERE _topic_id = ? AND _partition = ? AND _offset BETWEEN ? AND ?
		GROUP BY slice`, slice, rowHash, table),
		schemas.ID(r.TopicID).String(), r.Number, r.First, r.Last)
	if err != nil {
		return nil, fmt.Errorf("summing up what of %v is in %s: %w", r, table, err)
	}
	defer rows.Close()
	all := map[int64]sum{}
	for rows.Next() {
		var number int64
		var s sum
		if err := rows.Scan(&number, &s.rows, &s.hash); err != nil {
			return nil, fmt.Errorf("summing up what of %v is in %s: %w", r, table, err)
		}
		all[number] = s
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("summing up what of %v is in %s: %w", r, table, err)
	}
	return all, nil
}

// marks calls each with the mark of every row of the range, in order of the
// offsets. An offset that has two rows comes twice.
func (l *Lake) marks(ctx context.Context, table string, r sinks.Range, each func(mark)) error {
	rows, err := l.conn.Query(lookup(ctx), fmt.Sprintf(`
		SELECT _offset, toUnixTimestamp64Micro(recorded_at) FROM %s
		WHERE _topic_id = ? AND _partition = ? AND _offset BETWEEN ? AND ?
		ORDER BY _offset`, table),
		schemas.ID(r.TopicID).String(), r.Number, r.First, r.Last)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var m mark
		if err := rows.Scan(&m.offset, &m.micros); err != nil {
			return err
		}
		each(m)
	}
	return rows.Err()
}

// lookup is the context of a question by lineage.
func lookup(ctx context.Context) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"optimize_use_projections": 1,
		// On a replicated lake the answer must know every acknowledged write.
		"select_sequential_consistency": 1,
	}))
}
