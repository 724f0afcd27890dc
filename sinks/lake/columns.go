package lake

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/google/uuid"

	"github.com/pricelake/pricelake/schemas"
)

// column is one column of a table being filled: its name and type as the
// server knows them, and how a record's value gets in. Names, order and types
// are bound to the DDL by a test.
type column[T any] struct {
	name, typ string
	data      data
	// check refuses a value the column cannot hold exactly. Nil: it holds all.
	check func(v *T) error
	add   func(v *T, at *origin)
}

// data is the bytes of a column in ClickHouse's native format.
type data interface {
	proto.ColInput
	Reset()
}

// ClickHouse types, spelled as the server spells them.
const (
	typeBool        = "Bool"
	typeInt32       = "Int32"
	typeInt64       = "Int64"
	typeUInt16      = "UInt16"
	typeUInt32      = "UInt32"
	typeUUID        = "UUID"
	typeNullUUID    = "Nullable(UUID)"
	typeString      = "String"
	typeName        = "LowCardinality(String)"
	typeStringMap   = "Map(String, String)"
	typeDecimal     = "Decimal(38, 18)"
	typeNullDecimal = "Nullable(Decimal(38, 18))"
	typeTime        = "DateTime64(6, 'UTC')"
	typeNullTime    = "Nullable(DateTime64(6, 'UTC'))"
	typeNullDate    = "Nullable(Date32)"
)

func bools[T any](name string, get func(*T) bool) column[T] {
	d := new(proto.ColBool)
	return column[T]{name: name, typ: typeBool, data: d, add: func(v *T, _ *origin) { d.Append(get(v)) }}
}

func int32s[T any](name string, get func(*T) int32) column[T] {
	d := new(proto.ColInt32)
	return column[T]{name: name, typ: typeInt32, data: d, add: func(v *T, _ *origin) { d.Append(get(v)) }}
}

func int64s[T any](name string, get func(*T) int64) column[T] {
	d := new(proto.ColInt64)
	return column[T]{name: name, typ: typeInt64, data: d, add: func(v *T, _ *origin) { d.Append(get(v)) }}
}

func uint16s[T any](name string, get func(*T) uint16) column[T] {
	d := new(proto.ColUInt16)
	return column[T]{name: name, typ: typeUInt16, data: d, add: func(v *T, _ *origin) { d.Append(get(v)) }}
}

func ids[T any](name string, get func(*T) schemas.ID) column[T] {
	d := new(proto.ColUUID)
	return column[T]{name: name, typ: typeUUID, data: d, add: func(v *T, _ *origin) { *d = append(*d, uuid.UUID(get(v))) }}
}

func nullIDs[T any](name string, get func(*T) *schemas.ID) column[T] {
	d := new(proto.ColUUID).Nullable()
	return column[T]{name: name, typ: typeNullUUID, data: d, add: func(v *T, _ *origin) { appendNullID(d, get(v)) }}
}

// texts is for values that are many and different, names for the few that
// come again and again.
func texts[T any](name string, get func(*T) string) column[T] {
	d := new(proto.ColStr)
	return column[T]{name: name, typ: typeString, data: d, add: func(v *T, _ *origin) { d.Append(get(v)) }}
}

func bytesOf[T any](name string, get func(*T) []byte) column[T] {
	d := new(proto.ColStr)
	return column[T]{name: name, typ: typeString, data: d, add: func(v *T, _ *origin) { d.AppendBytes(get(v)) }}
}

func names[T any](name string, get func(*T) string) column[T] {
	d := new(proto.ColStr).LowCardinality()
	return column[T]{name: name, typ: typeName, data: d, add: func(v *T, _ *origin) { d.Append(get(v)) }}
}

// enums sends the number of a symbol: the constants of package schemas and
// the numbers of the DDL are the same.
func enums[T any, E interface {
	~uint8
	fmt.Stringer
}](name string, get func(*T) E) column[T] {
	d := new(proto.ColInt8)
	symbols := enumOf[E]()
	return column[T]{
		name: name, typ: symbols.text, data: d,
		check: func(v *T) error { return symbols.holds(name, uint8(get(v))) },
		add:   func(v *T, _ *origin) { d.Append(int8(get(v))) },
	}
}

func decimals[T any](name string, get func(*T) schemas.Decimal) column[T] {
	d := new(proto.ColDecimal128)
	return column[T]{name: name, typ: typeDecimal, data: d, add: func(v *T, _ *origin) { d.Append(decimal128(get(v))) }}
}

func nullDecimals[T any](name string, get func(*T) schemas.NullDecimal) column[T] {
	d := new(proto.ColDecimal128).Nullable()
	return column[T]{name: name, typ: typeNullDecimal, data: d, add: func(v *T, _ *origin) {
		n := get(v)
		d.Append(proto.Nullable[proto.Decimal128]{Set: n.Valid, Value: decimal128(n.Decimal)})
	}}
}

// times sends microseconds, which is what a DateTime64(6) is on the wire.
func times[T any](name string, get func(*T) time.Time) column[T] {
	d := new(proto.ColInt64)
	return column[T]{
		name: name, typ: typeTime, data: d,
		check: func(v *T) error { return checkTime(name, get(v)) },
		add:   func(v *T, _ *origin) { d.Append(get(v).UnixMicro()) },
	}
}

func nullTimes[T any](name string, get func(*T) *time.Time) column[T] {
	d := new(proto.ColInt64).Nullable()
	return column[T]{
		name: name, typ: typeNullTime, data: d,
		check: func(v *T) error {
			if t := get(v); t != nil {
				return checkTime(name, *t)
			}
			return nil
		},
		add: func(v *T, _ *origin) {
			var n proto.Nullable[int64]
			if t := get(v); t != nil {
				n = proto.NewNullable(t.UnixMicro())
			}
			d.Append(n)
		},
	}
}

// nullDates sends days since 1970, which is what a Date32 is on the wire.
func nullDates[T any](name string, get func(*T) *schemas.Date) column[T] {
	d := new(proto.ColInt32).Nullable()
	return column[T]{
		name: name, typ: typeNullDate, data: d,
		check: func(v *T) error { return checkDate(name, get(v)) },
		add:   func(v *T, _ *origin) { appendNullDate(d, get(v)) },
	}
}

func textMaps[T any](name string, get func(*T) map[string]string) column[T] {
	d := proto.NewMap(proto.ColumnOf[string](new(proto.ColStr)), proto.ColumnOf[string](new(proto.ColStr)))
	return column[T]{name: name, typ: typeStringMap, data: d, add: func(v *T, _ *origin) {
		appendSorted(d, get(v), func(s string) string { return s })
	}}
}

func byteMaps[T any](name string, get func(*T) map[string][]byte) column[T] {
	d := proto.NewMap(proto.ColumnOf[string](new(proto.ColStr)), proto.ColumnOf[string](new(proto.ColStr)))
	return column[T]{name: name, typ: typeStringMap, data: d, add: func(v *T, _ *origin) {
		appendSorted(d, get(v), func(b []byte) string { return string(b) })
	}}
}

// appendSorted appends a map in the order of its keys, so that the same record
// makes the same bytes.
func appendSorted[V any](d *proto.ColMap[string, string], m map[string]V, text func(V) string) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		d.Keys.Append(k)
		d.Values.Append(text(m[k]))
	}
	d.Offsets.Append(uint64(d.Keys.Rows()))
}

// listOf is a column of a Nested structure: an array with one value for each
// element of the list that all returns.
func listOf[T, E any](name string, all func(*T) []E, inner column[E]) column[T] {
	d := &list{values: inner.data}
	c := column[T]{
		name: name, typ: "Array(" + inner.typ + ")", data: d,
		add: func(v *T, at *origin) {
			elements := all(v)
			for i := range elements {
				inner.add(&elements[i], at)
			}
			d.ends.Append(uint64(d.values.Rows()))
		},
	}
	if inner.check != nil {
		c.check = func(v *T) error {
			elements := all(v)
			for i := range elements {
				if err := inner.check(&elements[i]); err != nil {
					return fmt.Errorf("%s %d: %w", name, i+1, err)
				}
			}
			return nil
		}
	}
	return c
}

// nested is the columns of a Nested structure.
func nested[T, E any](name string, all func(*T) []E, inner ...column[E]) []column[T] {
	cs := make([]column[T], len(inner))
	for i := range inner {
		cs[i] = listOf(name, all, inner[i])
		cs[i].name += "." + inner[i].name
	}
	return cs
}

// list is an array column around any other.
type list struct {
	ends   proto.ColUInt64
	values data
}

func (l *list) Type() proto.ColumnType      { return proto.ColumnTypeArray.Sub(l.values.Type()) }
func (l *list) Rows() int                   { return l.ends.Rows() }
func (l *list) Reset()                      { l.ends.Reset(); l.values.Reset() }
func (l *list) WriteColumn(w *proto.Writer) { w.ChainBuffer(l.EncodeColumn) }
func (l *list) EncodeColumn(b *proto.Buffer) {
	l.ends.EncodeColumn(b)
	l.values.EncodeColumn(b)
}
