package avro

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/big"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"

	"github.com/pricelake/pricelake/schemas"
)

// offlineRows is the reader of prices that needs no registry: 7 is our schema.
func offlineRows(t testing.TB) (*Rows[schemas.Price], *Codec[schemas.Price]) {
	t.Helper()
	codec := offline[schemas.Price](t, schemas.TopicPrices)
	rows, err := NewRows[schemas.Price](schemas.TopicPrices, codec.client)
	if err != nil {
		t.Fatal(err)
	}
	return rows, codec
}

// priceRow is the row of a price, made from its Go value.
func priceRow(t testing.TB, rows *Rows[schemas.Price], p *schemas.Price) []schemas.Field {
	t.Helper()
	row := make([]schemas.Field, rows.Width())
	v := reflect.ValueOf(p).Elem()
	for i := range row {
		row[i] = rowField(t, v.Field(i).Interface())
	}
	return row
}

func rowField(t testing.TB, value any) (f schemas.Field) {
	t.Helper()
	switch v := value.(type) {
	case schemas.ID:
		f.Bytes = v[:]
	case string:
		f.Bytes = []byte(v)
	case bool:
		if v {
			f.Int = 1
		}
	case schemas.NullDecimal:
		if f.Null = !v.Valid; v.Valid {
			b := v.Decimal.Bytes()
			f.Bytes = b[:]
		}
	case time.Time:
		f.Int = v.UnixMicro()
	case *time.Time:
		if f.Null = v == nil; v != nil {
			f.Int = v.UnixMicro()
		}
	case *schemas.Date:
		if f.Null = v == nil; v != nil {
			f.Int = int64(*v)
		}
	default:
		switch v := reflect.ValueOf(value); {
		case v.CanInt():
			f.Int = v.Int()
		case v.CanUint():
			f.Int = int64(v.Uint())
		default:
			t.Fatalf("no field of a %T", value)
		}
	}
	return f
}

func sameRow(a, b []schemas.Field) bool {
	return slices.EqualFunc(a, b, func(x, y schemas.Field) bool {
		return x.Null == y.Null && x.Int == y.Int && bytes.Equal(x.Bytes, y.Bytes)
	})
}

// otherWriter is a writer whose schema differs from ours in every way that is
// compatible, drawn at random.
type otherWriter struct {
	schema  string
	codec   *goavro.Codec
	dropped []string
	added   map[string]any
	enums   map[string][]string // symbols of fields, where they differ
}

func newOtherWriter(t testing.TB, r *rand.Rand) *otherWriter {
	t.Helper()
	var ours struct {
		Type, Name, Namespace string
		Fields                []map[string]any
	}
	if err := json.Unmarshal([]byte(subjectOf(t, schemas.TopicPrices).Schema), &ours); err != nil {
		t.Fatal(err)
	}
	named := map[string]any{}
	for _, f := range ours.Fields {
		collectNamed(f["type"], named)
	}
	w := &otherWriter{added: map[string]any{}, enums: map[string][]string{}}
	for i := range r.IntN(4) {
		w.add(r, &ours.Fields, i)
	}
	if r.IntN(2) == 0 {
		r.Shuffle(len(ours.Fields), func(i, j int) { ours.Fields[i], ours.Fields[j] = ours.Fields[j], ours.Fields[i] })
	}
	emitted := map[string]bool{}
	var fields []map[string]any
	for _, f := range ours.Fields {
		name := f["name"].(string)
		if _, optional := f["default"]; optional && r.IntN(4) == 0 {
			w.dropped = append(w.dropped, name)
			continue
		}
		fields = append(fields, map[string]any{"name": name, "type": w.alter(r, name, f["type"], named, emitted)})
	}
	text, err := json.Marshal(map[string]any{"type": "record", "name": ours.Name, "namespace": ours.Namespace, "fields": fields})
	if err != nil {
		t.Fatal(err)
	}
	w.schema = string(text)
	if w.codec, err = goavro.NewCodec(w.schema); err != nil {
		t.Fatalf("%v in %s", err, w.schema)
	}
	return w
}

func collectNamed(typ any, named map[string]any) {
	switch v := typ.(type) {
	case []any:
		for _, branch := range v {
			collectNamed(branch, named)
		}
	case map[string]any:
		if name, ok := v["name"].(string); ok {
			named[name] = v
		}
	}
}

// add puts a field that we do not know somewhere.
func (w *otherWriter) add(r *rand.Rand, fields *[]map[string]any, number int) {
	name := "new_" + string(rune('a'+number))
	kinds := []struct{ typ, value any }{
		{"string", randomText(r)},
		{"double", 2.5},
		{"bytes", []byte(randomText(r))},
		{[]any{"null", "long"}, goavro.Union("long", r.Int64())},
		{map[string]any{"type": "array", "items": "string"}, []any{"a", "bc"}},
		{map[string]any{"type": "map", "values": "int"}, map[string]any{"k": int32(3)}},
		{map[string]any{"type": "record", "name": "Nested_" + name, "fields": []any{map[string]any{"name": "inner", "type": "boolean"}}}, map[string]any{"inner": true}},
	}
	k := kinds[r.IntN(len(kinds))]
	w.added[name] = k.value
	*fields = slices.Insert(*fields, r.IntN(len(*fields)+1), map[string]any{"name": name, "type": k.typ})
}

// alter is a type that another version may have had.
func (w *otherWriter) alter(r *rand.Rand, field string, typ any, named map[string]any, emitted map[string]bool) any {
	switch v := typ.(type) {
	case string:
		if def, ok := named[v]; ok && !emitted[v] {
			return w.alter(r, field, def, named, emitted)
		}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = w.alter(r, field, v[i], named, emitted)
		}
		if r.IntN(4) == 0 {
			slices.Reverse(out)
		}
		return out
	case map[string]any:
		name, ok := v["name"].(string)
		if !ok {
			return v
		}
		if emitted[name] {
			return name
		}
		emitted[name] = true
		if symbols, ok := v["symbols"].([]any); ok && r.IntN(2) == 0 {
			return w.otherSymbols(r, field, v, symbols)
		}
	}
	return typ
}

func (w *otherWriter) otherSymbols(r *rand.Rand, field string, def map[string]any, symbols []any) any {
	var names []string
	for _, s := range symbols[:1+r.IntN(len(symbols))] {
		names = append(names, s.(string))
	}
	if r.IntN(2) == 0 {
		names = append([]string{"invented"}, names...)
	}
	w.enums[field] = names
	return map[string]any{"type": "enum", "name": def["name"], "symbols": names, "default": names[0]}
}

// write encodes a price as this writer would, with goavro.
func (w *otherWriter) write(t testing.TB, p *schemas.Price, ours *shape) []byte {
	t.Helper()
	values := native(reflect.ValueOf(p).Elem(), ours).(map[string]any)
	for _, name := range w.dropped {
		delete(values, name)
	}
	for name, value := range w.added {
		values[name] = value
	}
	for field, symbols := range w.enums {
		if _, ok := values[field]; ok && !slices.Contains(symbols, values[field].(string)) {
			values[field] = symbols[0]
		}
	}
	body, err := w.codec.BinaryFromNative(nil, values)
	if err != nil {
		t.Fatalf("goavro does not write %v: %v", values, err)
	}
	return body
}

// expect is what the row must be, as goavro reads the body: text is the oracle
// for decimals.
func (w *otherWriter) expect(t testing.TB, body []byte, ours *shape, row []schemas.Field) {
	t.Helper()
	read, _, err := w.codec.NativeFromBinary(body)
	if err != nil {
		t.Fatalf("goavro does not read what it wrote: %v", err)
	}
	values := read.(map[string]any)
	for i, name := range ours.fields {
		value, ok := values[name]
		if !ok {
			want, err := defaultOf(ours.children[i], ours.defaults[i])
			if err != nil || !sameRow([]schemas.Field{want}, row[i:i+1]) {
				t.Fatalf("%s is %+v without a value, want %+v (%v)", name, row[i], want, err)
			}
			continue
		}
		if union, ok := value.(map[string]any); ok {
			for _, inner := range union {
				value = inner
			}
		}
		if !saysTheSame(value, &row[i], ours.children[i]) {
			t.Fatalf("%s is %+v, goavro reads %v", name, row[i], value)
		}
	}
}

func saysTheSame(value any, f *schemas.Field, ours *shape) bool {
	inner, _ := plain(ours)
	switch v := value.(type) {
	case nil:
		return f.Null
	case bool:
		return !f.Null && (f.Int == 1) == v
	case int32:
		return f.Int == int64(v)
	case int64:
		return f.Int == v
	case []byte:
		return bytes.Equal(f.Bytes, v)
	case string:
		if inner.kind != "enum" {
			return string(f.Bytes) == v
		}
		if !slices.Contains(inner.symbols, v) {
			v = inner.other
		}
		return inner.symbols[f.Int] == v
	case time.Time:
		if inner.logical == "date" {
			return f.Int == v.Unix()/86400 || v.Unix()%86400 != 0
		}
		return f.Int == v.UnixMicro()
	case *big.Rat:
		d, err := schemas.DecimalFromBytes([16]byte(f.Bytes))
		want := strings.TrimSuffix(strings.TrimRight(v.FloatString(18), "0"), ".")
		return err == nil && d.String() == want
	}
	return false
}

// readers is what the comparisons of a test share.
type readers struct {
	ours  *shape
	plan  *plan
	codec func() *Codec[schemas.Price] // one that has met no writer
	row   []schemas.Field              // what was read before is still in it
}

func newReaders(t testing.TB) *readers {
	t.Helper()
	rows, codec := offlineRows(t)
	ours, err := newShape(codec.subject.Schema)
	if err != nil {
		t.Fatal(err)
	}
	return &readers{ours: ours, plan: rows.ours, row: make([]schemas.Field, rows.Width()), codec: func() *Codec[schemas.Price] {
		return &Codec[schemas.Price]{subject: codec.subject, fields: codec.fields, reader: codec.reader, client: &Client{schemas: map[int]*cached{}}}
	}}
}

// compare reads bodies of a random writer through the plan, through the
// codec and through goavro. flip breaks the body; then all that counts is that
// plan and codec agree.
func (c *readers) compare(t testing.TB, seed uint64, flip []byte) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 2))
	ours, codec := c.ours, c.codec()
	rows := &Rows[schemas.Price]{codec: codec, ours: c.plan}
	w := newOtherWriter(t, r)
	codec.client.remember(9, w.schema)
	body := w.write(t, sample[schemas.Price](seed), ours)
	for i := 0; i+2 < len(flip); i += 3 {
		body[(int(flip[i])<<8|int(flip[i+1]))%len(body)] ^= flip[i+2]
	}
	wire := append(appendHeader(nil, 9), body...)
	row := c.row
	unknown, rowErr := rows.Read(t.Context(), wire, row)
	var p schemas.Price
	valueErr := codec.Decode(t.Context(), wire, &p)
	if (rowErr == nil) != (valueErr == nil) {
		t.Fatalf("as a row: %v; as a value: %v\nof %s\n%x", rowErr, valueErr, w.schema, body)
	}
	if rowErr != nil {
		if !errors.Is(rowErr, ErrBadRecord) || len(flip) == 0 {
			t.Fatalf("reading %x of %s: %v", body, w.schema, rowErr)
		}
		return
	}
	if want := priceRow(t, rows, &p); !sameRow(row, want) {
		t.Fatalf("the row is\n%+v\nthe value says\n%+v\nof %s", row, want, w.schema)
	}
	if len(unknown) != len(w.added) {
		t.Fatalf("unknown are %q, not %v", unknown, w.added)
	}
	if len(flip) == 0 {
		w.expect(t, body, ours, row)
	}
}

func TestRowsAreWhatOtherReadersRead(t *testing.T) {
	c := newReaders(t)
	for seed := range uint64(300) {
		c.compare(t, seed, nil)
	}
}

func FuzzRows(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, []byte{})
		f.Add(seed, []byte{0, byte(seed * 7), 0x81, 0, byte(seed * 3), 0xff})
	}
	c := newReaders(f)
	f.Fuzz(func(t *testing.T, seed uint64, flip []byte) { c.compare(t, seed, flip) })
}

func TestRowsOfOurOwnSchema(t *testing.T) {
	rows, codec := offlineRows(t)
	row := make([]schemas.Field, rows.Width())
	for seed := range uint64(200) {
		p := sample[schemas.Price](seed)
		wire, err := codec.Append(nil, p)
		if err != nil {
			t.Fatal(err)
		}
		unknown, err := rows.Read(t.Context(), wire, row)
		if err != nil || len(unknown) > 0 {
			t.Fatalf("%q, %v", unknown, err)
		}
		if want := priceRow(t, rows, p); !sameRow(row, want) {
			t.Fatalf("the row is\n%+v\nwant\n%+v", row, want)
		}
		if _, err := rows.Read(t.Context(), wire[:len(wire)-1], row); !errors.Is(err, ErrBadRecord) {
			t.Fatalf("a record that ends too early: %v", err)
		}
	}
}

// A schema that cannot be read as ours is no fault of a record.
func TestRowsOfAnIncompatibleSchema(t *testing.T) {
	rows, codec := offlineRows(t)
	codec.client.remember(9, otherVersion(t, `{"name":"provider","type":"string"`, `{"name":"provider","type":"double"`))
	_, err := rows.Read(t.Context(), appendHeader(nil, 9), make([]schemas.Field, rows.Width()))
	if !errors.Is(err, ErrUnreadable) || errors.Is(err, ErrBadRecord) || !strings.Contains(err.Error(), "schema 9") {
		t.Errorf("the error is %v", err)
	}
}

// Reading a row allocates nothing, whichever version wrote it.
func TestRowsAllocateNothing(t *testing.T) {
	rows, codec := offlineRows(t)
	wire, err := codec.Append(nil, typicalPrice(t))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := newShape(codec.subject.Schema)
	if err != nil {
		t.Fatal(err)
	}
	w := newOtherWriter(t, rand.New(rand.NewPCG(5, 2)))
	codec.client.remember(9, w.schema)
	other := append(appendHeader(nil, 9), w.write(t, typicalPrice(t), ours)...)
	row := make([]schemas.Field, rows.Width())
	for name, wire := range map[string][]byte{"ours": wire, "another": other} {
		allocs := testing.AllocsPerRun(1000, func() {
			if _, err := rows.Read(t.Context(), wire, row); err != nil {
				t.Fatal(err)
			}
		})
		if allocs != 0 {
			t.Errorf("%v allocations for a record of %s", allocs, name)
		}
	}
}

// TestReadWideReadsAsOneByOne: integers of every length, also written with more bytes
// than they need, before other bytes and at the end.
func TestReadWideReadsAsOneByOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		data := binary.AppendVarint(nil, int64(rng.Uint64())>>rng.IntN(64))
		if rng.IntN(4) == 0 && len(data) < 9 {
			data[len(data)-1] |= 0x80
			data = append(data, 0)
		}
		for range rng.IntN(9) {
			data = append(data, byte(rng.Uint32()))
		}
		if rng.IntN(8) == 0 {
			data = data[:rng.IntN(len(data))]
		}
		one, wide := coder{data: data, reading: true}, coder{data: data, reading: true}
		want, got := one.readLong(), wide.readWide()
		if got != want || one.at != wide.at || (one.err == nil) != (wide.err == nil) {
			t.Fatalf("%x: %d up to %d (%v), want %d up to %d (%v)", data, got, wide.at, wide.err, want, one.at, one.err)
		}
	}
}

func BenchmarkRows(b *testing.B) {
	rows, codec := offlineRows(b)
	wire, err := codec.Append(nil, typicalPrice(b))
	if err != nil {
		b.Fatal(err)
	}
	row := make([]schemas.Field, rows.Width())
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rows.Read(b.Context(), wire, row); err != nil {
			b.Fatal(err)
		}
	}
}
