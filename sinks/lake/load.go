package lake

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
)

// table makes rows of records of type T.
type table[T any] struct {
	name    string
	columns func() []column[T]
	read    read[T]
	// month is the time that the table is partitioned by. Nil: it is not.
	month func(v *T) time.Time
	spare sync.Pool // of []column[T], emptied
}

func newTable[T any](name string, columns func() []column[T], read read[T], month func(v *T) time.Time) *table[T] {
	t := &table[T]{name: name, columns: columns, read: read, month: month}
	t.spare.New = func() any { return columns() }
	return t
}

// part is rows of one partition of one table, ready to be sent.
type part struct {
	table string
	month int // as toYYYYMM, 0: the table has no partitions
	rows  int
	cols  []nativeColumn
	// fetched, where there is one, is the column of the times that freshness is
	// measured from, in microseconds.
	fetched *fixedData
	free    func()
	// block, where there is one, can have rows taken out.
	block *fieldBlock
}

// nativeColumn is a filled column.
type nativeColumn struct {
	name, typ string
	data      data
}

// load implements loader. It decodes everything before anything is sent: what cannot
// be read for want of an answer is found while nothing is written.
func (t *table[T]) load(ctx context.Context, b sinks.Block, base origin) ([]part, error) {
	filling := map[int]*filling[T]{}
	var refused []sinks.Refusal
	v, from, zero := new(T), &base, *new(T)
	for i := range b.Records {
		r := &b.Records[i]
		*v = zero
		err := t.read(ctx, r, v)
		if err == nil {
			from.offset, from.recordedAt = r.Offset, r.Timestamp
			err = t.fill(filling, v, from)
		}
		if err == nil {
			continue
		}
		final, ok := sinks.Refused(err)
		if !ok {
			return nil, fmt.Errorf("decoding offset %d of %v: %w", r.Offset, b.Partition, err)
		}
		refused = append(refused, sinks.Refusal{Index: i, Reason: final.Reason, Err: err})
	}
	parts := make([]part, 0, len(filling))
	for _, month := range slices.Sorted(maps.Keys(filling)) {
		parts = append(parts, t.part(month, filling[month]))
	}
	return parts, sinks.RefuseRecords(refused)
}

// filling is the columns of one partition of the table while rows are added.
type filling[T any] struct {
	columns []column[T]
	rows    int
}

// fill adds the row of v to the filling of its month.
func (t *table[T]) fill(all map[int]*filling[T], v *T, from *origin) error {
	month := 0
	if t.month != nil {
		month = yyyymm(t.month(v))
	}
	f := all[month]
	if f == nil {
		f = &filling[T]{columns: t.spare.Get().([]column[T])}
		all[month] = f
	}
	for i := range f.columns {
		if check := f.columns[i].check; check != nil {
			if err := check(v); err != nil {
				return sinks.Refuse(schemas.DeadInvalid, err)
			}
		}
	}
	for i := range f.columns {
		f.columns[i].add(v, from)
	}
	f.rows++
	return nil
}

func (t *table[T]) part(month int, f *filling[T]) part {
	p := part{table: t.name, month: month, rows: f.rows, cols: make([]nativeColumn, len(f.columns))}
	for i, c := range f.columns {
		p.cols[i] = nativeColumn{name: c.name, typ: c.typ, data: c.data}
	}
	p.free = func() {
		for i := range f.columns {
			f.columns[i].data.Reset()
		}
		t.spare.Put(f.columns) //nolint:staticcheck // one slice header a block, against the columns' buffers
	}
	return p
}

// yyyymm is ClickHouse's toYYYYMM.
func yyyymm(t time.Time) int {
	year, month, _ := t.UTC().Date()
	return year*100 + int(month)
}
