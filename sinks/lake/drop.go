package lake

import (
	"encoding/binary"
	"slices"
)

// rowsAt returns the places of the rows of offsets, which are in order.
func (b *fieldBlock) rowsAt(offsets []int64) []int {
	at := make([]int, 0, len(offsets))
	sorted := offsets
	for row := 0; row < b.rows && len(sorted) > 0; row++ {
		if b.offset(row) == sorted[0] {
			at, sorted = append(at, row), sorted[1:]
		}
	}
	if len(sorted) == 0 {
		return at
	}
	at = at[:0] // rows were taken out before: what is left is in no order
	for row := range b.rows {
		if _, wanted := slices.BinarySearch(offsets, b.offset(row)); wanted {
			at = append(at, row)
		}
	}
	return at
}

func (b *fieldBlock) offset(row int) int64 {
	return int64(binary.LittleEndian.Uint64(b.offsets.buf[8*row:]))
}

// drop takes rows out, given in order. The last rows take their places: a block has
// no order.
func (b *fieldBlock) drop(rows []int) {
	for _, d := range b.fields {
		d.drop(rows)
	}
	b.recorded.drop(rows)
	b.offsets.drop(rows)
	for _, row := range slices.Backward(rows) {
		last := len(b.fetched) - 1
		b.fetched[row] = b.fetched[last]
		b.fetched = b.fetched[:last]
	}
	b.rows -= len(rows)
	for _, d := range []*constData{&b.inserted, &b.topicID, &b.partition, &b.epoch} {
		d.rows = b.rows
	}
}

func (d *fixedData) drop(rows []int) {
	for _, row := range slices.Backward(rows) {
		last := len(d.buf) - d.width
		copy(d.buf[row*d.width:(row+1)*d.width], d.buf[last:])
		d.buf = d.buf[:last]
	}
}

func (d *nullData) drop(rows []int) {
	for _, row := range slices.Backward(rows) {
		last := len(d.mask) - 1
		d.mask[row] = d.mask[last]
		d.mask = d.mask[:last]
	}
	d.fixedData.drop(rows)
}

func (d *nameData) drop(rows []int) {
	for _, row := range slices.Backward(rows) {
		last := len(d.rows) - 1
		d.rows[row] = d.rows[last]
		d.rows = d.rows[:last]
	}
}

// drop moves the last texts into the places of those that go, as the other columns
// do: all that lies between them moves too.
func (d *textData) drop(rows []int) {
	starts := make([]int, 0, d.rows+1)
	for at := 0; at < len(d.buf); {
		starts = append(starts, at)
		n, width := binary.Uvarint(d.buf[at:])
		at += width + int(n)
	}
	starts = append(starts, len(d.buf))
	order := make([]int, d.rows)
	for i := range order {
		order[i] = i
	}
	for _, row := range slices.Backward(rows) {
		last := len(order) - 1
		order[row] = order[last]
		order = order[:last]
	}
	kept := make([]byte, 0, len(d.buf))
	for _, row := range order {
		kept = append(kept, d.buf[starts[row]:starts[row+1]]...)
	}
	d.buf, d.rows = kept, len(order)
}
