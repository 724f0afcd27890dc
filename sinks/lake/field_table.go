package lake

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
)

// RowReader reads records of a topic field by field; row has an element for each
// field of our schema, in its order. It is called in parallel. unknown are the
// fields of the record's writer that our schema does not have. Its errors are
// those of sinks.Decoder; what a row holds may share wire's memory.
type RowReader interface {
	Width() int
	Read(ctx context.Context, wire []byte, row []schemas.Field) (unknown []string, err error)
}

// fieldColumn is a column that is filled from a field.
type fieldColumn struct {
	name, typ string
	make      func(*pagePool) fieldData
	// bounds are what the column holds exactly; both 0: everything.
	least, most int64
	// value: one column of those at least must not be null, as a constraint of
	// the table says.
	value bool
}

// fieldTable makes rows of records whose fields are plain values and become one
// column each, the columns of every table's lineage behind them. Nothing is made
// of a record but bytes in columns: it is for the hottest topics.
type fieldTable struct {
	name    string
	columns []fieldColumn
	reader  RowReader
	month   int   // column of the time that the table is partitioned by
	fetched int   // column that freshness is measured from
	values  []int // columns that are values
	bounded []int // columns that do not hold everything
	unknown func(table string, fields []string)
	spare   chan *fieldBlock // emptied
	pool    pagePool         // what the columns of all blocks are made of
}

const (
	// spareBlocks is how many emptied blocks a table keeps, with the names they
	// know: about as many as the partitions of a process fill at a time.
	spareBlocks = 4
	// mostSpare is what one of them may take. It has room for some rows in each
	// column, two hundred kilobytes in all, and its names.
	mostSpare = 2 << 20
)

func newFieldTable(name string, columns []fieldColumn, reader RowReader, month, fetched string, unknown func(string, []string)) *fieldTable {
	at := func(column string) int {
		return slices.IndexFunc(columns, func(c fieldColumn) bool { return c.name == column })
	}
	t := &fieldTable{name: name, columns: columns, reader: reader, month: at(month), fetched: at(fetched), unknown: unknown,
		spare: make(chan *fieldBlock, spareBlocks)}
	for i := range columns {
		if columns[i].value {
			t.values = append(t.values, i)
		}
		if columns[i].least != columns[i].most {
			t.bounded = append(t.bounded, i)
		}
	}
	return t
}

// lineageColumns is how many columns say where a row is from.
const lineageColumns = 6

// fieldBlock is the columns of one partition of the table while rows are added.
type fieldBlock struct {
	rows     int
	fields   []fieldData
	recorded *fixedData
	offsets  *fixedData
	// The rest of the lineage is the same in all rows.
	inserted, topicID, partition, epoch constData
	// asked is how many of the rows the server was asked about, and about which
	// rules, before they are sent.
	asked int
	about []rule
}

func (t *fieldTable) take() *fieldBlock {
	select {
	case b := <-t.spare:
		return b
	default:
	}
	b := &fieldBlock{recorded: newInt64(&t.pool), offsets: newInt64(&t.pool)}
	for _, c := range t.columns {
		b.fields = append(b.fields, c.make(&t.pool))
	}
	return b
}

func (t *fieldTable) free(b *fieldBlock) {
	for _, d := range b.fields {
		d.Reset()
	}
	b.recorded.Reset()
	b.offsets.Reset()
	b.rows, b.asked, b.about = 0, 0, nil
	if b.bytes() > mostSpare {
		return
	}
	select {
	case t.spare <- b:
	default:
	}
}

// load implements loader. A record is read and checked as a whole before a
// column gets anything of it.
func (t *fieldTable) load(ctx context.Context, b sinks.Block, base origin) ([]part, error) {
	if err := t.fits(); err != nil {
		return nil, err
	}
	f := t.filling()
	var refused []sinks.Refusal
	for i := range b.Records {
		r := &b.Records[i]
		err := f.add(ctx, r)
		if err == nil {
			continue
		}
		final, ok := sinks.Refused(err)
		if !ok {
			f.reset()
			return nil, fmt.Errorf("decoding offset %d of %v: %w", r.Offset, b.Partition, err)
		}
		refused = append(refused, sinks.Refusal{Index: i, Reason: final.Reason, Err: err})
	}
	return f.parts(base), sinks.RefuseRecords(refused)
}

// fits says whether records have a field for each column.
func (t *fieldTable) fits() error {
	if want := len(t.columns); t.reader.Width() != want {
		return fmt.Errorf("table %s has columns for %d fields, records have %d", t.name, want, t.reader.Width())
	}
	return nil
}

// check refuses a row that a column cannot hold exactly, or that the server would
// refuse: what is known here costs no INSERT.
func (t *fieldTable) check(row []schemas.Field) error {
	for _, i := range t.bounded {
		c := &t.columns[i]
		if row[i].Null || row[i].Int >= c.least && row[i].Int <= c.most {
			continue
		}
		at := time.UnixMicro(row[i].Int)
		if c.most == maxDay {
			at = schemas.Date(row[i].Int).Time()
		}
		return sinks.Refuse(schemas.DeadInvalid, fmt.Errorf("%s %s is outside the years 1900 to 2299 that the lake holds", c.name, at.UTC().Format(time.RFC3339)))
	}
	for _, at := range t.values {
		if !row[at].Null {
			return nil
		}
	}
	if len(t.values) > 0 {
		return sinks.Refuse(schemas.DeadInvalid, errors.New("it has neither price nor bid nor ask"))
	}
	return nil
}

// add appends rows, which lie one after the other.
func (b *fieldBlock) add(rows *fieldRows) {
	fields := rows.fields[:rows.n*rows.width]
	for i, d := range b.fields {
		d.add(fields[i:], rows.width)
	}
	b.recorded.addInts(rows.recorded[:rows.n])
	b.offsets.addInts(rows.offsets[:rows.n])
	b.rows += rows.n
}

// columnBytes is about what a column takes that has nothing.
const columnBytes = 192

// bytes is the memory that the rows take, and all that is known for them.
func (b *fieldBlock) bytes() int {
	n := columnBytes*(len(b.fields)+lineageColumns) + b.recorded.size() + b.offsets.size()
	for _, d := range b.fields {
		n += d.size()
	}
	return n
}

// part makes the block ready to be sent.
func (t *fieldTable) part(month int, b *fieldBlock, base *origin) part {
	p := part{table: t.name, month: month, rows: b.rows, free: func() { t.free(b) }, block: b}
	p.fetched, _ = b.fields[t.fetched].(*fixedData)
	for i, c := range t.columns {
		p.cols = append(p.cols, nativeColumn{name: c.name, typ: c.typ, data: b.fields[i]})
	}
	topic := binary.LittleEndian.AppendUint64(nil, binary.BigEndian.Uint64(base.topicID[:]))
	topic = binary.LittleEndian.AppendUint64(topic, binary.BigEndian.Uint64(base.topicID[8:]))
	b.inserted.set(binary.LittleEndian.AppendUint64(nil, uint64(base.insertedAt.UnixMicro())), b.rows)
	b.topicID.set(topic, b.rows)
	b.partition.set(binary.LittleEndian.AppendUint32(nil, uint32(base.partition)), b.rows)
	b.epoch.set(binary.LittleEndian.AppendUint32(nil, base.epoch), b.rows)
	p.cols = append(p.cols,
		nativeColumn{name: "recorded_at", typ: typeTime, data: b.recorded},
		nativeColumn{name: "inserted_at", typ: typeTime, data: &b.inserted},
		nativeColumn{name: "_topic_id", typ: typeUUID, data: &b.topicID},
		nativeColumn{name: "_partition", typ: typeInt32, data: &b.partition},
		nativeColumn{name: "_offset", typ: typeInt64, data: b.offsets},
		nativeColumn{name: "_lake_epoch", typ: typeUInt32, data: &b.epoch})
	return p
}

// monthSpan is a month of UTC: the partition of a table.
type monthSpan struct {
	number      int // as toYYYYMM
	first, next int64
}

// monthOf is the month of a time in microseconds.
func monthOf(micros int64) monthSpan {
	year, month, _ := time.UnixMicro(micros).UTC().Date()
	first := time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
	return monthSpan{number: year*100 + int(month), first: first.UnixMicro(), next: first.AddDate(0, 1, 0).UnixMicro()}
}

func (m monthSpan) holds(micros int64) bool { return micros >= m.first && micros < m.next }

// The columns of fields, by the types of the lake.

func fieldOf(name, typ string, make func(*pagePool) fieldData) fieldColumn {
	return fieldColumn{name: name, typ: typ, make: make}
}

func idField(name string) fieldColumn {
	return fieldOf(name, typeUUID, func(p *pagePool) fieldData { return newUUID(p) })
}

func int32Field(name string) fieldColumn {
	return fieldOf(name, typeInt32, func(p *pagePool) fieldData { return newInt32(p) })
}

func boolField(name string) fieldColumn {
	return fieldOf(name, typeBool, func(p *pagePool) fieldData { return newInt8(p) })
}

func nameField(name string) fieldColumn {
	return fieldOf(name, typeName, func(p *pagePool) fieldData { return newNames(p) })
}

func textField(name string) fieldColumn {
	return fieldOf(name, typeString, func(p *pagePool) fieldData { return newTexts(p) })
}

func nullDecimalField(name string) fieldColumn {
	return fieldOf(name, typeNullDecimal, func(p *pagePool) fieldData { return newNull(newDecimal(p)) })
}

func valueField(name string) fieldColumn {
	c := nullDecimalField(name)
	c.value = true
	return c
}

func enumField[E interface {
	~uint8
	fmt.Stringer
}](name string,
) fieldColumn {
	symbols := enumOf[E]()
	c := fieldOf(name, symbols.text, func(p *pagePool) fieldData { return newInt8(p) })
	c.least, c.most = math.MinInt8, int64(symbols.symbols)-1
	return c
}

func timeField(name string) fieldColumn {
	c := fieldOf(name, typeTime, func(p *pagePool) fieldData { return newInt64(p) })
	c.least, c.most = minMicros, maxMicros
	return c
}

func nullTimeField(name string) fieldColumn {
	c := timeField(name)
	c.typ, c.make = typeNullTime, func(p *pagePool) fieldData { return newNull(newInt64(p)) }
	return c
}

func nullDateField(name string) fieldColumn {
	c := fieldOf(name, typeNullDate, func(p *pagePool) fieldData { return newNull(newInt32(p)) })
	c.least, c.most = minDay, maxDay
	return c
}
