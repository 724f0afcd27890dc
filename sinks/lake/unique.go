package lake

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// rowsPerSlice bounds the memory of Unique: a row costs its set 48 bytes or so.
const rowsPerSlice = 4 << 20

// Uniqueness is invariant I2: Rows = Unique.
type Uniqueness struct {
	// Rows of prices, and how many different (event_id, revision) they have.
	Rows   uint64 `json:"rows"`
	Unique uint64 `json:"unique"`
	// Doubled are some of the events that have more rows than one of a
	// revision.
	Doubled []DoubledEvent `json:"doubled,omitempty"`
}

// DoubledEvent is an event of which a revision has several rows.
type DoubledEvent struct {
	EventID  string `json:"event_id"`
	Revision int32  `json:"revision"`
	Rows     uint64 `json:"rows"`
}

// Unique counts the rows of prices and their (event_id, revision). It reads the
// whole table, in slices of the ids so that its memory is bounded.
func (l *Lake) Unique(ctx context.Context) (Uniqueness, error) {
	var u Uniqueness
	var total uint64
	if err := l.conn.QueryRow(ctx, "SELECT count() FROM prices").Scan(&total); err != nil {
		return u, fmt.Errorf("counting prices: %w", err)
	}
	slices := total/rowsPerSlice + 1
	for slice := range slices {
		var rows, unique uint64
		err := l.conn.QueryRow(slicing(ctx, slices, slice), `
			SELECT count(), uniqExact(event_id, revision) FROM prices
			WHERE cityHash64(event_id) % {slices:UInt64} = {slice:UInt64}`).Scan(&rows, &unique)
		if err != nil {
			return u, fmt.Errorf("counting prices: %w", err)
		}
		u.Rows += rows
		u.Unique += unique
		if rows == unique || len(u.Doubled) >= maxNamed {
			continue
		}
		doubled, err := l.doubled(slicing(ctx, slices, slice))
		if err != nil {
			return u, err
		}
		u.Doubled = append(u.Doubled, doubled...)
	}
	return u, nil
}

func (l *Lake) doubled(ctx context.Context) ([]DoubledEvent, error) {
	rows, err := l.conn.Query(ctx, `
		SELECT toString(event_id), revision, count() FROM prices
		WHERE cityHash64(event_id) % {slices:UInt64} = {slice:UInt64}
		GROUP BY event_id, revision HAVING count() > 1 ORDER BY 1, 2 LIMIT 100`)
	if err != nil {
		return nil, fmt.Errorf("looking for doubled prices: %w", err)
	}
	defer rows.Close()
	var all []DoubledEvent
	for rows.Next() {
		var d DoubledEvent
		if err := rows.Scan(&d.EventID, &d.Revision, &d.Rows); err != nil {
			return nil, fmt.Errorf("looking for doubled prices: %w", err)
		}
		all = append(all, d)
	}
	return all, rows.Err()
}

func slicing(ctx context.Context, slices, slice uint64) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{
		"slices": fmt.Sprint(slices), "slice": fmt.Sprint(slice),
	}))
}
