package lake

import (
	"encoding/binary"
	"slices"

	"github.com/ClickHouse/ch-go/proto"
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
// do: all that lies between them moves too.
func (d *textData) drop(rows []int) {
	if len(rows) == 0 {
		return
	}
	first := rows[0]
	moving := d.bytesFrom(first)
	texts := splitTexts(moving)
	for _, row := range slices.Backward(rows) {
		last := len(texts) - 1
		texts[row-first] = texts[last]
		texts = texts[:last]
	}
	d.truncate(d.len() - len(moving))
	d.rows = first
	for _, text := range texts {
		d.put(text)
	}
}

// bytesFrom is a copy of the column from a row on.
func (d *textData) bytesFrom(row int) []byte {
	var all proto.Buffer
	d.EncodeColumn(&all)
	rest := all.Buf
	for range row {
		n, width := binary.Uvarint(rest)
		rest = rest[width+int(n):]
	}
	return rest
}

// splitTexts takes the bytes of a column of texts apart.
func splitTexts(column []byte) (texts [][]byte) {
	for len(column) > 0 {
		n, width := binary.Uvarint(column)
		end := width + int(n)
		texts, column = append(texts, column[width:end]), column[end:]
	}
	return texts
}
