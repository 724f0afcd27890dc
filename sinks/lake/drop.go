package lake

import (
	"encoding/binary"
	"slices"
)

// rowsAt returns the places of the rows of offsets, which are in order. They are not
// among the first from rows.
func (b *fieldBlock) rowsAt(from int, offsets []int64) []int {
	at := make([]int, 0, len(offsets))
	sorted := offsets
	for row := from; row < b.rows && len(sorted) > 0; row++ {
		if b.offset(row) == sorted[0] {
			at, sorted = append(at, row), sorted[1:]
		}
	}
	if len(sorted) == 0 {
		return at
	}
	at = at[:0] // rows were taken out before: what is left is in no order
	for row := from; row < b.rows; row++ {
		if _, wanted := slices.BinarySearch(offsets, b.offset(row)); wanted {
			at = append(at, row)
		}
	}
	return at
}

func (b *fieldBlock) offset(row int) int64 { return b.offsets.int(row) }

// drop takes rows out, given in order. The last rows take their places: a block has
// no order.
func (b *fieldBlock) drop(rows []int) {
	for _, d := range b.fields {
		d.drop(rows)
	}
	b.recorded.drop(rows)
	b.offsets.drop(rows)
	b.rows -= len(rows)
	for _, d := range []*constData{&b.inserted, &b.topicID, &b.partition, &b.epoch} {
		d.rows = b.rows
	}
}

func (d *fixedData) drop(rows []int) { d.dropRows(rows, d.width) }

func (d *nullData) drop(rows []int) {
	d.mask.dropRows(rows, 1)
	d.fixedData.drop(rows)
}

func (d *nameData) drop(rows []int) { d.rows.dropRows(rows, codeWidth) }

// drop moves the last texts into the places of those that go, as the other columns
// do: all that lies between them moves too, as many of them at a time as lie together.
func (d *textData) drop(rows []int) {
	if len(rows) == 0 {
		return
	}
	first := rows[0]
	moving := d.bytesFrom(first)
	starts := startsOf(moving, d.rows-first)
	from := make([]int32, d.rows-first) // which of the texts is in each place
	for i := range from {
		from[i] = int32(i)
	}
	for _, row := range slices.Backward(rows) {
		last := len(from) - 1
		from[row-first] = from[last]
		from = from[:last]
	}
	d.truncate(d.len() - len(moving))
	d.rows = first + len(from)
	for len(from) > 0 {
		run := 1
		for run < len(from) && from[run] == from[run-1]+1 {
			run++
		}
		d.append(moving[starts[from[0]]:starts[from[run-1]+1]])
		from = from[run:]
	}
}

// bytesFrom is a copy of the column from a row on.
func (d *textData) bytesFrom(row int) []byte {
	skip := d.start(row)
	rest := make([]byte, 0, d.len()-skip)
	_ = d.pages.eachFrom(skip, func(piece []byte) error { // appending does not fail
		rest = append(rest, piece...)
		return nil
	})
	return rest
}

// start is where the text of a row begins.
func (d *textData) start(row int) int {
	at := 0
	for range row {
		size, shift := 0, 0
		for more := true; more; at++ { // a length may lie in two pages
			b := d.row(at, 1)[0]
			size |= int(b&0x7f) << shift
			shift += 7
			more = b >= 0x80
		}
		at += size
	}
	return at
}

// startsOf is where each of the first rows of a column of texts begins, and where the
// last one ends.
func startsOf(column []byte, rows int) []int32 {
	starts := make([]int32, 1, rows+1)
	for at := 0; len(starts) <= rows; {
		n, width := binary.Uvarint(column[at:])
		at += width + int(n)
		starts = append(starts, int32(at))
	}
	return starts
}
