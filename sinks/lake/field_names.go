package lake

import (
	"encoding/binary"
	"math"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/pricelake/pricelake/schemas"
)

// nameData is a LowCardinality(String): the different texts of a block, and for
// each row the number of its own. What was met stays known from block to block,
// so that a text that comes again costs neither memory nor, if it is that of the
// row before or came after that one the last time too, a search: answers name
// their instruments in one order.
type nameData struct {
	known map[string]*word
	block uint32 // number of the block under way
	last  *word
	keys  textData
	rows  []uint32
	codes []byte // rows in the width that the keys need, while they are sent
}

// word is a text that was met.
type word struct {
	text  string
	block uint32 // the last block it was in
	code  uint32 // its number there
	next  *word  // what came after it the last time; of those known, or nil
}

// mostNames bounds what a column remembers (I8). More than that is no column of
// names, and works all the same.
const mostNames = 1 << 16

func newNames() *nameData { return &nameData{known: map[string]*word{}, block: 1} }

func (d *nameData) add(fields []schemas.Field, stride int) {
	d.rows = roomFor(d.rows, (len(fields)+stride-1)/stride)
	for i := 0; i < len(fields); i += stride {
		text := fields[i].Bytes
		n := d.last
		if n == nil || string(text) != n.text {
			n = d.find(text)
		}
		if n.block != d.block {
			n.block, n.code = d.block, uint32(d.keys.rows)
			d.keys.put(text)
		}
		d.rows = append(d.rows, n.code)
	}
}

// find is the word of a text that is not that of the row before.
func (d *nameData) find(text []byte) *word {
	var n *word
	if d.last != nil && d.last.next != nil && string(text) == d.last.next.text {
		n = d.last.next
	} else if n = d.known[string(text)]; n == nil {
		n = d.meet(text)
	}
	if d.last != nil {
		d.last.next = n
	}
	d.last = n
	return n
}

// meet notes a new text.
func (d *nameData) meet(text []byte) *word {
	if len(d.known) >= mostNames {
		// Those of this block keep their numbers: they are in its keys twice
		// when they come again, which is allowed.
		clear(d.known)
		d.last = nil
	}
	n := &word{text: string(text)}
	d.known[n.text] = n
	return n
}

func (d *nameData) Rows() int { return len(d.rows) }
func (d *nameData) size() int { return 4*len(d.rows) + d.keys.size() }

func (d *nameData) Reset() {
	d.rows = d.rows[:0]
	d.keys.Reset()
	d.block++
}

func (d *nameData) Type() proto.ColumnType      { return proto.ColumnTypeLowCardinality }
func (d *nameData) WriteColumn(w *proto.Writer) { w.ChainBuffer(d.EncodeColumn) }
func (d *nameData) EncodeState(b *proto.Buffer) { b.PutInt64(namesVersion) }
func (d *nameData) EncodeColumn(b *proto.Buffer) {
	encodePieces(d, b)
}

// How the native format says what follows: ClickHouse's
// SerializationLowCardinality.
const (
	namesVersion  = 1        // keys come with each block
	namesWithKeys = 3 << 9   // the block has keys of its own, and they are all
	widthUint8    = int64(0) // of the numbers
	widthUint16   = int64(1) // "
	widthUint32   = int64(2) // "
)

func (d *nameData) each(emit func([]byte) error) error {
	width := widthUint32
	switch n := d.keys.rows; {
	case n <= math.MaxUint8:
		width = widthUint8
	case n <= math.MaxUint16:
		width = widthUint16
	}
	head := make([]byte, 0, 16)
	head = binary.LittleEndian.AppendUint64(head, uint64(namesWithKeys|width))
	head = binary.LittleEndian.AppendUint64(head, uint64(d.keys.rows))
	if err := emit(head); err != nil {
		return err
	}
	if err := d.keys.each(emit); err != nil {
		return err
	}
	if err := emit(binary.LittleEndian.AppendUint64(head[:0], uint64(len(d.rows)))); err != nil {
		return err
	}
	d.codes = d.codes[:0]
	for _, code := range d.rows {
		switch width {
		case widthUint8:
			d.codes = append(d.codes, byte(code))
		case widthUint16:
			d.codes = binary.LittleEndian.AppendUint16(d.codes, uint16(code))
		default:
			d.codes = binary.LittleEndian.AppendUint32(d.codes, code)
		}
	}
	return emit(d.codes)
}
