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
	takes int    // bytes of what is known
	block uint32 // number of the block under way
	last  *word
	keys  textData
	rows  pages // the numbers, four bytes each
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

// codeWidth is that of the numbers while it is not known how wide they need to be.
const codeWidth = 4

func newNames(pool *pagePool) *nameData {
	return &nameData{known: map[string]*word{}, block: 1, keys: *newTexts(pool), rows: pages{pool: pool}}
}

func (d *nameData) add(fields []schemas.Field, stride int) {
	for at := 0; at < len(fields); {
		to := d.rows.room(codeWidth * rowsOf(fields[at:], stride))
		for ; len(to) > 0; to, at = to[codeWidth:], at+stride {
			text := fields[at].Bytes
			n := d.last
			if n == nil || string(text) != n.text {
				n = d.find(text)
			}
			if n.block != d.block {
				n.block, n.code = d.block, uint32(d.keys.rows)
				d.keys.put(text)
			}
			binary.LittleEndian.PutUint32(to, n.code)
		}
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
		d.last, d.takes = nil, 0
	}
	n := &word{text: string(text)}
	d.known[n.text] = n
	d.takes += wordBytes + len(text)
	return n
}

// wordBytes is about what a word takes beside its text: itself, and its place among
// those known.
const wordBytes = 64

func (d *nameData) Rows() int { return d.rows.len() / codeWidth }
func (d *nameData) size() int { return d.rows.size() + d.keys.size() + d.takes }

func (d *nameData) Reset() {
	d.rows.reset()
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

func (d *nameData) each(emit func([]byte) error) error { return d.eachFrom(0, emit) }
func (d *nameData) eachFrom(row int, emit func([]byte) error) error {
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
	if err := emit(binary.LittleEndian.AppendUint64(head[:0], uint64(d.Rows()-row))); err != nil {
		return err
	}
	return d.eachCode(row, width, emit)
}

// eachCode emits the numbers of the rows from one on in a width that holds them all.
func (d *nameData) eachCode(row int, width int64, emit func([]byte) error) error {
	if width == widthUint32 {
		return d.rows.eachFrom(row*codeWidth, emit)
	}
	to := d.rows.pool.take()
	defer d.rows.pool.give(to)
	return d.rows.eachFrom(row*codeWidth, func(codes []byte) error {
		if width == widthUint8 {
			return emit(narrow8(to, codes))
		}
		return emit(narrow16(to, codes))
	})
}

// narrow8 and narrow16 write the low bytes of numbers of codeWidth.

func narrow8(to *page, codes []byte) []byte {
	n := len(codes) / codeWidth
	for i := range to[:n] {
		to[i] = codes[i*codeWidth]
	}
	return to[:n]
}

func narrow16(to *page, codes []byte) []byte {
	n := len(codes) / codeWidth
	for i := range n {
		copy(to[2*i:], codes[i*codeWidth:][:2])
	}
	return to[:2*n]
}
