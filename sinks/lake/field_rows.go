package lake

import (
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// rowsAtOnce is how many rows are read before columns get them: a column that is
// given some at a time is found and told what to do once for all of them, and
// they still are in the cache of a core.
const rowsAtOnce = 32

// fieldRows are rows that were read and checked and are in no column yet.
type fieldRows struct {
	width    int
	fields   []schemas.Field // of rowsAtOnce rows
	n        int             // rows
	recorded [rowsAtOnce]int64
	offsets  [rowsAtOnce]int64
}

func newFieldRows(width int) *fieldRows {
	return &fieldRows{width: width, fields: make([]schemas.Field, rowsAtOnce*width)}
}

// next is the place of the next row. It is one of the rows after keep only.
func (r *fieldRows) next() []schemas.Field {
	return r.fields[r.n*r.width : (r.n+1)*r.width]
}

func (r *fieldRows) keep(of *stream.Record) {
	r.recorded[r.n], r.offsets[r.n] = of.Timestamp.UnixMicro(), of.Offset
	r.n++
}

// forget lets go of what was read, which may share the memory of records.
func (r *fieldRows) forget() {
	clear(r.fields)
	r.n = 0
}

// into empties the rows into a block; without rows it may be nil.
func (r *fieldRows) into(b *fieldBlock) {
	if r.n > 0 {
		b.add(r)
	}
	r.n = 0
}
