package avro

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/pricelake/pricelake/schemas"
)

// otherVersion returns the schema of Price with some of its text replaced.
func otherVersion(t testing.TB, replace ...string) string {
	t.Helper()
	text := subjectOf(t, schemas.TopicPrices).Schema
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("the schema does not contain %s", replace[i])
		}
		text = strings.Replace(text, replace[i], replace[i+1], 1)
	}
	return text
}

// fieldText returns the text of a field of Price, with the comma after it.
func fieldText(t testing.TB, name string) string {
	t.Helper()
	text := subjectOf(t, schemas.TopicPrices).Schema
	start := strings.Index(text, `{"name":"`+name+`"`)
	end := strings.Index(text[start+1:], `,{"name":"`)
	return text[start : start+1+end+1]
}

// withVersion returns a codec that knows one more version, with the id 8, and
// the head of its records.
func withVersion(t testing.TB, schema string) (*Codec[schemas.Price], []byte) {
	t.Helper()
	registry, client := newRegistry(t)
	subject := subjectOf(t, schemas.TopicPrices)
	registry.SeedSchema(subject.Name, 1, 8, sr.Schema{Schema: schema, Type: sr.TypeAvro})
	registry.SeedSchema(subject.Name, 2, 7, sr.Schema{Schema: subject.Schema, Type: sr.TypeAvro})
	codec, err := NewCodec[schemas.Price](schemas.TopicPrices, client)
	if err != nil {
		t.Fatal(err)
	}
	if err := codec.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return codec, appendHeader(nil, 8)
}

// olderPrice returns a record of a version without session and with fewer kinds.
func olderPrice(t testing.TB) (*Codec[schemas.Price], []byte) {
	t.Helper()
	codec, head := withVersion(t, otherVersion(t, fieldText(t, "session"), "", `,"fixing","index"]`, `]`))
	c := coder{data: head}
	price := typicalPrice(t)
	writeWithoutSession(&c, price)
	return codec, c.data
}

func writeWithoutSession(c *coder, p *schemas.Price) {
	// The session is empty: one zero byte, whose place is found by a session of
	// another length.
	whole, marked := coder{}, coder{}
	whole.price(p)
	other := *p
	other.Session = "x"
	marked.price(&other)
	at := 0
	for whole.data[at] == marked.data[at] {
		at++
	}
	c.data = append(append(c.data, whole.data[:at]...), whole.data[at+1:]...)
}

func TestDecodeOlderVersion(t *testing.T) {
	codec, wire := olderPrice(t)
	var got schemas.Price
	if err := codec.Decode(t.Context(), wire, &got); err != nil {
		t.Fatal(err)
	}
	if want := typicalPrice(t); !reflect.DeepEqual(&got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, *want)
	}
	for cut := wireHeader; cut < len(wire); cut++ {
		if err := codec.Decode(t.Context(), wire[:cut], &got); !errors.Is(err, ErrBadRecord) {
			t.Fatalf("cut to %d bytes: %v", cut, err)
		}
	}
	if err := codec.Decode(t.Context(), append(wire, 0), &got); !errors.Is(err, ErrBadRecord) {
		t.Fatalf("with a byte more: %v", err)
	}
}

// TestDecodeNewerVersion: a newer role has added a field and a kind; ours reads
// the kind as the default and passes over the field.
func TestDecodeNewerVersion(t *testing.T) {
	codec, head := withVersion(t, otherVersion(t,
		`{"name":"session"`, `{"name":"venue","type":"string","default":"","doc":""},{"name":"session"`,
		`"fixing","index"]`, `"fixing","index","auction"]`))
	price := typicalPrice(t)
	price.Session = "am"
	c := coder{}
	c.price(price)
	kind := strings.Index(string(c.data), "\x08USDT") + len("\x08USDT")
	wire := append(head, c.data[:kind]...)
	wire = append(wire, 6<<1, byte(schemas.RateLast)<<1)
	wire = append(append(wire, "\x08XNAS"...), c.data[kind+2:]...)
	var got schemas.Price
	if err := codec.Decode(t.Context(), wire, &got); err != nil {
		t.Fatal(err)
	}
	price.Kind = schemas.KindUnknown
	if !reflect.DeepEqual(&got, price) {
		t.Fatalf("got  %+v\nwant %+v", got, *price)
	}
}

// TestDecodeOtherDocs: a version that differs in its texts only is read as ours.
func TestDecodeOtherDocs(t *testing.T) {
	codec, head := withVersion(t, otherVersion(t, "never rounded", "not rounded"))
	c := coder{data: head}
	c.price(typicalPrice(t))
	var got schemas.Price
	if err := codec.Decode(t.Context(), c.data, &got); err != nil {
		t.Fatal(err)
	}
	if w, ok := codec.writers.Load(8); !ok || w.(*writer).resolved != nil {
		t.Error("a version with other texts takes the slow way")
	}
}

func TestDecodeForeignSchema(t *testing.T) {
	f := func(schema string) {
		t.Helper()
		codec, head := withVersion(t, schema)
		var got schemas.Price
		if err := codec.Decode(t.Context(), append(head, 0, 0, 0, 0), &got); !errors.Is(err, ErrBadRecord) {
			t.Errorf("%.60s: got %v", schema, err)
		}
	}
	f(`{"type":"record","name":"Price","namespace":"pricelake.v1","fields":[{"name":"provider","type":"string"}]}`)
	f(`"string"`)
	f(`{"type":"record","name":"Price"}`)
	f(otherVersion(t, `"scale":18`, `"scale":9`))
}
