package lake

import (
	"encoding/binary"
	"slices"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/pricelake/pricelake/schemas"
)

// fieldData is a column that is filled from the fields of records, in the very
// bytes that go to the server.
type fieldData interface {
	data
	pieces
	// add appends the first of fields and then every stride-th: those of one
	// column, of rows that lie one after the other.
	add(fields []schemas.Field, stride int)
	// drop takes rows out, given in order; the last ones take their places.
	drop(rows []int)
	// size is the memory that the values take.
	size() int
	rowsFrom
}

// rowsFrom is a column whose first rows may be left out: eachFrom is each of the
// others.
type rowsFrom interface {
	data
	eachFrom(row int, emit func([]byte) error) error
}

// tail is the rows of a column from one on, as a column.
type tail struct {
	rowsFrom
	from int
}

func (d tail) Rows() int                          { return d.rowsFrom.Rows() - d.from }
func (d tail) each(emit func([]byte) error) error { return d.eachFrom(d.from, emit) }
func (d tail) EncodeColumn(b *proto.Buffer)       { encodePieces(d, b) }
func (d tail) WriteColumn(w *proto.Writer)        { w.ChainBuffer(d.EncodeColumn) }
func (d tail) EncodeState(b *proto.Buffer) {
	if s, ok := d.rowsFrom.(proto.StateEncoder); ok {
		s.EncodeState(b)
	}
}

// pieces are the bytes of a column's values, in their order, without a copy. A piece
// is emit's until it returns.
type pieces interface {
	each(emit func([]byte) error) error
}

// encodePieces is EncodeColumn of a column made of pieces.
func encodePieces(p pieces, b *proto.Buffer) {
	size := 0
	_ = p.each(func(piece []byte) error { // counting does not fail
		size += len(piece)
		return nil
	})
	b.Buf = slices.Grow(b.Buf, size)
	_ = p.each(func(piece []byte) error { // appending does not fail
		b.Buf = append(b.Buf, piece...)
		return nil
	})
}

// rowsOf is how many of fields add takes.
func rowsOf(fields []schemas.Field, stride int) int { return (len(fields) + stride - 1) / stride }

// fixedData is values of one width, one after the other.
type fixedData struct {
	pages
	width int
	put   put
}

// put writes values over all of to: those of the first of fields and then of every
// stride-th. It is told of many rows at once, so that none costs a call.
type put func(to []byte, fields []schemas.Field, stride int)

func (d *fixedData) add(fields []schemas.Field, stride int) {
	for len(fields) > 0 {
		to := d.room(d.width * rowsOf(fields, stride))
		d.put(to, fields, stride)
		fields = fields[min(len(to)/d.width*stride, len(fields)):]
	}
}

// addInts is add of the values of a column of int64.
func (d *fixedData) addInts(values []int64) {
	for len(values) > 0 {
		for to := d.room(8 * len(values)); len(to) > 0; to, values = to[8:], values[1:] {
			binary.LittleEndian.PutUint64(to, uint64(values[0]))
		}
	}
}

// int is the value of a row of a column of int64.
func (d *fixedData) int(row int) int64 {
	return int64(binary.LittleEndian.Uint64(d.row(row, 8)))
}

func (d *fixedData) eachFrom(row int, emit func([]byte) error) error {
	return d.pages.eachFrom(row*d.width, emit)
}

func (d *fixedData) Rows() int                    { return d.len() / d.width }
func (d *fixedData) Reset()                       { d.reset() }
func (d *fixedData) Type() proto.ColumnType       { return proto.ColumnTypeNone }
func (d *fixedData) EncodeColumn(b *proto.Buffer) { encodePieces(d, b) }
func (d *fixedData) WriteColumn(w *proto.Writer)  { w.ChainBuffer(d.EncodeColumn) }

func newFixed(pool *pagePool, width int, put put) *fixedData {
	return &fixedData{pages: pages{pool: pool}, width: width, put: put}
}

// nullData is a column that may be null: a byte for each row that says so, then
// the values, zero where there is none.
type nullData struct {
	mask pages
	*fixedData
}

func newNull(values *fixedData) *nullData {
	return &nullData{mask: pages{pool: values.pool}, fixedData: values}
}

func (d *nullData) add(fields []schemas.Field, stride int) {
	for at := 0; at < len(fields); {
		to := d.mask.room(rowsOf(fields[at:], stride))
		for i := range to {
			to[i] = 0
			if fields[at].Null {
				to[i] = 1
			}
			at += stride
		}
	}
	d.fixedData.add(fields, stride)
}

func (d *nullData) size() int                          { return d.mask.size() + d.fixedData.size() }
func (d *nullData) Reset()                             { d.mask.reset(); d.fixedData.Reset() }
func (d *nullData) EncodeColumn(b *proto.Buffer)       { encodePieces(d, b) }
func (d *nullData) WriteColumn(w *proto.Writer)        { w.ChainBuffer(d.EncodeColumn) }
func (d *nullData) each(emit func([]byte) error) error { return d.eachFrom(0, emit) }
func (d *nullData) eachFrom(row int, emit func([]byte) error) error {
	if err := d.mask.eachFrom(row, emit); err != nil {
		return err
	}
	return d.fixedData.eachFrom(row, emit)
}

// textData is texts, each after its length.
type textData struct {
	pages
	rows int
}

func newTexts(pool *pagePool) *textData { return &textData{pages: pages{pool: pool}} }

func (d *textData) add(fields []schemas.Field, stride int) {
	for i := 0; i < len(fields); i += stride {
		d.put(fields[i].Bytes)
	}
}

func (d *textData) put(text []byte) {
	var length [binary.MaxVarintLen64]byte
	d.append(length[:binary.PutUvarint(length[:], uint64(len(text)))])
	d.append(text)
	d.rows++
}

func (d *textData) eachFrom(row int, emit func([]byte) error) error {
	return d.pages.eachFrom(d.start(row), emit)
}

func (d *textData) Rows() int                    { return d.rows }
func (d *textData) Reset()                       { d.reset(); d.rows = 0 }
func (d *textData) Type() proto.ColumnType       { return proto.ColumnTypeString }
func (d *textData) EncodeColumn(b *proto.Buffer) { encodePieces(d, b) }
func (d *textData) WriteColumn(w *proto.Writer)  { w.ChainBuffer(d.EncodeColumn) }

// constData is one value for all rows.
type constData struct {
	value []byte // of one row
	rows  int
	page  []byte // the value many times
}

// pageRows is how many rows constData keeps ready.
const pageRows = 1024

func (d *constData) set(value []byte, rows int) {
	d.value, d.rows, d.page = value, rows, d.page[:0]
	for range min(rows, pageRows) {
		d.page = append(d.page, value...)
	}
}

func (d *constData) Rows() int                          { return d.rows }
func (d *constData) Reset()                             { d.rows = 0 }
func (d *constData) Type() proto.ColumnType             { return proto.ColumnTypeNone }
func (d *constData) EncodeColumn(b *proto.Buffer)       { encodePieces(d, b) }
func (d *constData) WriteColumn(w *proto.Writer)        { w.ChainBuffer(d.EncodeColumn) }
func (d *constData) each(emit func([]byte) error) error { return d.eachFrom(0, emit) }
func (d *constData) eachFrom(row int, emit func([]byte) error) error {
	for left := d.rows - row; left > 0; left -= pageRows {
		if err := emit(d.page[:min(left, pageRows)*len(d.value)]); err != nil {
			return err
		}
	}
	return nil
}
