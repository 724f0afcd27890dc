package lake

import (
	"context"
	"errors"
	"fmt"
)

// Swap is one partition of the table, of a month, that is replaced.
type Swap struct {
	Month uint32 `json:"month"`
	// Kept rows are not the rebuild's: older than the log, of another topic, or
	// of partitions that were not asked for. Loaded ones come from the log.
	Kept   uint64 `json:"kept"`
	Loaded uint64 `json:"loaded"`
}

// Months returns the partitions of the table that have covered rows, in the
// table or in the shadow, but for those that are swapped already.
func (r *Rebuild) Months(ctx context.Context) ([]uint32, error) {
	var months []uint32
	err := r.each(ctx, fmt.Sprintf(`
		SELECT month FROM
		(
			SELECT %[1]s AS month, count() AS old, countIf(_lake_epoch = %[6]d) AS ours, 0 AS new FROM %[2]s WHERE %[4]s AND %[5]s GROUP BY month
			UNION ALL
			SELECT %[1]s AS month, 0, 0, count() AS new FROM %[3]s WHERE %[4]s AND %[5]s GROUP BY month
		)
		GROUP BY month HAVING sum(ours) != sum(old) OR sum(old) != sum(new) ORDER BY month`,
		r.month(), r.table.Name, r.Shadow(), r.covered(), r.inside(), r.Epoch), func(scan func(...any) error) error {
		var month uint32
		err := scan(&month)
		months = append(months, month)
		return err
	})
	return months, err
}

// Stage puts the partition of a month together, but for rows that were loaded
// after the rebuild began: rows of the table that are not covered, and those of
// the shadow. gone are first retained offsets by partition where the log has lost
// some since: rows below them that the shadow lacks are kept too. Staging again
// begins anew.
func (r *Rebuild) Stage(ctx context.Context, month uint32, gone map[int32]int64) (Swap, error) {
	s := Swap{Month: month}
	if err := r.exec(ctx, "ALTER TABLE %s DROP PARTITION %d", r.staging(), month); err != nil {
		return s, err
	}
	if err := r.copy(ctx, month, fmt.Sprintf("NOT %s AND (NOT %s OR %s)", r.later(), r.covered(), r.expired(gone))); err != nil {
		return s, err
	}
	var err error
	if s.Kept, err = r.count(ctx, r.staging(), month, "1"); err != nil {
		return s, err
	}
	// Covered only: what another plan loaded stays out.
	if s.Loaded, err = r.count(ctx, r.Shadow(), month, "1"); err != nil {
		return s, err
	}
	return s, r.exec(ctx, "ALTER TABLE %s ATTACH PARTITION %d FROM %s", r.staging(), month, r.Shadow())
}

// expired is the condition of a covered row that nobody can load any more.
func (r *Rebuild) expired(gone map[int32]int64) string {
	below := r.anyOf(func(c Coverage) string {
		if first, ok := gone[c.Partition]; ok && first > c.First {
			return fmt.Sprintf("_partition = %d AND _offset < %d", c.Partition, first)
		}
		return ""
	})
	if below == "0" {
		return "0"
	}
	return fmt.Sprintf("(%s AND (_partition, _offset) NOT IN (SELECT _partition, _offset FROM %s))", below, r.Shadow())
}

var errStaging = errors.New("the staged partition has not the rows it should have: does another rebuild of the table run? Run the command again")

// Replace adds to a staged partition what was loaded after the rebuild began and
// puts it in the place of the table's. Nothing may be loaded into the table
// meanwhile. Readers see the old rows or the new ones: REPLACE PARTITION changes
// the set of parts at once, and a query reads the set it began with.
func (r *Rebuild) Replace(ctx context.Context, s Swap) error {
	if err := r.copy(ctx, s.Month, r.later()); err != nil {
		return err
	}
	later, err := r.count(ctx, r.table.Name, s.Month, r.later())
	if err != nil {
		return err
	}
	staged, err := r.count(ctx, r.staging(), s.Month, "1")
	if err != nil {
		return err
	}
	if staged != later+s.Kept+s.Loaded {
		return fmt.Errorf("swapping month %d of %s: %d rows where %d are due: %w", s.Month, r.table.Name, staged, later+s.Kept+s.Loaded, errStaging)
	}
	return r.exec(ctx, "ALTER TABLE %s REPLACE PARTITION %d FROM %s", r.table.Name, s.Month, r.staging())
}

// copy copies rows of the table into staging.
func (r *Rebuild) copy(ctx context.Context, month uint32, where string) error {
	return r.exec(ctx, "INSERT INTO %s SELECT * FROM %s WHERE %s = %d AND %s SETTINGS insert_deduplicate = 0, optimize_on_insert = 0, max_partitions_per_insert_block = 1",
		r.staging(), r.table.Name, r.month(), month, where)
}

func (r *Rebuild) count(ctx context.Context, table string, month uint32, where string) (uint64, error) {
	var n uint64
	err := r.each(ctx, fmt.Sprintf("SELECT count() FROM %s WHERE %s = %d AND %s", table, r.month(), month, where), func(scan func(...any) error) error {
		return scan(&n)
	})
	return n, err
}
