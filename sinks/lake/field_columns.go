package lake

import (
	"encoding/binary"

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
	// size is the memory of the values.
	size() int
}

// pieces are the bytes of a column's values, in their order, without a copy.
type pieces interface {
	each(emit func([]byte) error) error
}

// encodePieces is EncodeColumn of a column made of pieces.
func encodePieces(p pieces, b *proto.Buffer) {
	_ = p.each(func(piece []byte) error { // appending does not fail
		b.Buf = append(b.Buf, piece...)
		return nil
	})
}

// roomFor returns s with room for n more. It grows to twice its size, not by a
// quarter as append does: a column of a backlog is copied once on its way to its
// full size, not four times, and leaves as much less behind.
func roomFor[T any](s []T, n int) []T {
	if cap(s)-len(s) >= n {
		return s
	}
	return append(make([]T, 0, max(2*cap(s), len(s)+n)), s...)
}

// fixedData is values of one width, one after the other.
type fixedData struct {
	width int
	buf   []byte
	put   func(to []byte, f *schemas.Field) // writes a value into its width bytes, which are zero
}

func (d *fixedData) add(fields []schemas.Field, stride int) {
	from := len(d.buf)
	rows := (len(fields) + stride - 1) / stride
	d.buf = roomFor(d.buf, rows*d.width)[:from+rows*d.width]
	to := d.buf[from:]
	clear(to)
	for i := 0; i < len(fields); i += stride {
		d.put(to[:d.width], &fields[i])
		to = to[d.width:]
	}
}

func (d *fixedData) Rows() int                          { return len(d.buf) / d.width }
func (d *fixedData) size() int                          { return len(d.buf) }
func (d *fixedData) Reset()                             { d.buf = d.buf[:0] }
func (d *fixedData) each(emit func([]byte) error) error { return emit(d.buf) }
func (d *fixedData) Type() proto.ColumnType             { return proto.ColumnTypeNone }
func (d *fixedData) EncodeColumn(b *proto.Buffer)       { encodePieces(d, b) }
func (d *fixedData) WriteColumn(w *proto.Writer)        { w.ChainBuffer(d.EncodeColumn) }

func newInt8() *fixedData {
	return &fixedData{width: 1, put: func(to []byte, f *schemas.Field) { to[0] = byte(f.Int) }}
}

func newInt32() *fixedData {
	return &fixedData{width: 4, put: func(to []byte, f *schemas.Field) { binary.LittleEndian.PutUint32(to, uint32(f.Int)) }}
}

func newInt64() *fixedData {
	return &fixedData{width: 8, put: func(to []byte, f *schemas.Field) { binary.LittleEndian.PutUint64(to, uint64(f.Int)) }}
}

// newUUID is a column of ids: two integers, the high one first.
func newUUID() *fixedData {
	return &fixedData{width: 16, put: func(to []byte, f *schemas.Field) {
		if len(f.Bytes) == 16 {
			binary.LittleEndian.PutUint64(to, binary.BigEndian.Uint64(f.Bytes))
			binary.LittleEndian.PutUint64(to[8:], binary.BigEndian.Uint64(f.Bytes[8:]))
		}
	}}
}

// newDecimal is a column of decimals: one integer of 128 bits, the low half
// first.
func newDecimal() *fixedData {
	return &fixedData{width: 16, put: func(to []byte, f *schemas.Field) {
		if len(f.Bytes) == 16 {
			binary.LittleEndian.PutUint64(to, binary.BigEndian.Uint64(f.Bytes[8:]))
			binary.LittleEndian.PutUint64(to[8:], binary.BigEndian.Uint64(f.Bytes))
		}
	}}
}

// nullData is a column that may be null: a byte for each row that says so, then
// the values, zero where there is none.
type nullData struct {
	mask []byte
	*fixedData
}

func (d *nullData) add(fields []schemas.Field, stride int) {
	d.mask = roomFor(d.mask, (len(fields)+stride-1)/stride)
	for i := 0; i < len(fields); i += stride {
		null := byte(0)
		if fields[i].Null {
			null = 1
		}
		d.mask = append(d.mask, null)
	}
	d.fixedData.add(fields, stride)
}

func (d *nullData) size() int                    { return len(d.mask) + d.fixedData.size() }
func (d *nullData) Reset()                       { d.mask = d.mask[:0]; d.fixedData.Reset() }
func (d *nullData) EncodeColumn(b *proto.Buffer) { encodePieces(d, b) }
func (d *nullData) WriteColumn(w *proto.Writer)  { w.ChainBuffer(d.EncodeColumn) }
func (d *nullData) each(emit func([]byte) error) error {
	if err := emit(d.mask); err != nil {
		return err
	}
	return d.fixedData.each(emit)
}

// textData is texts, each after its length.
type textData struct {
	rows int
	buf  []byte
}

func (d *textData) add(fields []schemas.Field, stride int) {
	for i := 0; i < len(fields); i += stride {
		d.put(fields[i].Bytes)
	}
}

func (d *textData) put(text []byte) {
	d.buf = append(binary.AppendUvarint(d.buf, uint64(len(text))), text...)
	d.rows++
}

func (d *textData) Rows() int                          { return d.rows }
func (d *textData) size() int                          { return len(d.buf) }
func (d *textData) Reset()                             { d.buf, d.rows = d.buf[:0], 0 }
func (d *textData) each(emit func([]byte) error) error { return emit(d.buf) }
func (d *textData) Type() proto.ColumnType             { return proto.ColumnTypeString }
func (d *textData) EncodeColumn(b *proto.Buffer)       { encodePieces(d, b) }
func (d *textData) WriteColumn(w *proto.Writer)        { w.ChainBuffer(d.EncodeColumn) }

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

func (d *constData) Rows() int                    { return d.rows }
func (d *constData) Reset()                       { d.rows = 0 }
func (d *constData) Type() proto.ColumnType       { return proto.ColumnTypeNone }
func (d *constData) EncodeColumn(b *proto.Buffer) { encodePieces(d, b) }
func (d *constData) WriteColumn(w *proto.Writer)  { w.ChainBuffer(d.EncodeColumn) }
func (d *constData) each(emit func([]byte) error) error {
	for left := d.rows; left > 0; left -= pageRows {
		if err := emit(d.page[:min(left, pageRows)*len(d.value)]); err != nil {
			return err
		}
	}
	return nil
}
