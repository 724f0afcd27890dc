package lake

import (
	"context"
	"maps"
	"slices"

	"github.com/pricelake/pricelake/internal/stream"
)

// fieldFill is rows of a table on their way into columns, by the partitions of the
// table.
type fieldFill struct {
	table  *fieldTable
	blocks map[int]*fieldBlock
	rows   *fieldRows
	block  *fieldBlock // of month, which gets what is in rows
	month  monthSpan
}

func (t *fieldTable) filling() *fieldFill {
	return &fieldFill{table: t, blocks: map[int]*fieldBlock{}, rows: newFieldRows(len(t.columns))}
}

// add reads and checks a record as a whole before a column gets anything of it. An
// error leaves everything as it was.
func (f *fieldFill) add(ctx context.Context, r *stream.Record) error {
	t, row := f.table, f.rows.next()
	unknown, err := t.reader.Read(ctx, r.Value, row)
	if err == nil {
		err = t.check(row)
	}
	if err != nil {
		return err
	}
	if len(unknown) > 0 {
		t.unknown(t.name, unknown)
	}
	if at := row[t.month].Int; f.block == nil || !f.month.holds(at) {
		f.flush()
		copy(f.rows.next(), row)
		f.month = monthOf(at)
		if f.block = f.blocks[f.month.number]; f.block == nil {
			f.block = t.take()
			f.blocks[f.month.number] = f.block
		}
	}
	if f.rows.keep(r); f.rows.n == rowsAtOnce {
		f.flush()
	}
	return nil
}

// flush gives the columns the rows that they lack. What was read of a record may
// share its memory until then.
func (f *fieldFill) flush() { f.rows.into(f.block) }

// parts makes everything ready to be sent.
func (f *fieldFill) parts(base origin) []part {
	f.flush()
	parts := make([]part, 0, len(f.blocks))
	for _, month := range slices.Sorted(maps.Keys(f.blocks)) {
		parts = append(parts, f.table.part(month, f.blocks[month], &base))
	}
	return parts
}

// reset empties it. Its blocks are free for others.
func (f *fieldFill) reset() {
	for _, b := range f.blocks {
		f.table.free(b)
	}
	clear(f.blocks)
	f.rows.forget()
	f.block = nil
}
