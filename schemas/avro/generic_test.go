package avro

import (
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/pricelake/pricelake/schemas"
)

func TestDecodeJSON(t *testing.T) {
	codec := newCodec[schemas.DeadLetter](t, schemas.TopicDeadLetters)
	correlation := schemas.ID{0xff}
	wire, err := codec.Append(nil, &schemas.DeadLetter{
		DeadLetterID: schemas.ID{1, 2, 3}, OriginTopic: `a"b`, OriginOffset: 1 << 60, CorrelationID: &correlation,
		OriginTimestamp: time.Date(2026, 1, 2, 3, 4, 5, 678900000, time.UTC), Reason: schemas.DeadTooLarge,
		Key: []byte("clé"), Value: []byte{0xff, 0}, Headers: map[string][]byte{"z": []byte("1"), "a": nil},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := codec.client.DecodeJSON(t.Context(), wire)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"dead_letter_id":"01020300-0000-0000-0000-000000000000","origin_topic":"a\"b",` +
		`"origin_topic_id":"00000000-0000-0000-0000-000000000000","origin_partition":0,"origin_offset":1152921504606846976,` +
		`"origin_timestamp":"2026-01-02T03:04:05.6789Z","role":"","reason":"too_large","error":"","attempts":0,"call_id":"",` +
		`"correlation_id":"ff000000-0000-0000-0000-000000000000","failed_at":"0001-01-01T00:00:00Z","key":"clé",` +
		`"value":"/wA=","headers":{"a":"","z":"1"}}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestDecodeJSONIsTheRecord: what DecodeJSON prints is what encoding/json prints
// of the Go type, for every record but for the form of bytes and empty lists.
func TestDecodeJSONIsTheRecord(t *testing.T) {
	codec := newCodec[schemas.Price](t, schemas.TopicPrices)
	for seed := range uint64(200) {
		price := sample[schemas.Price](seed)
		wire, err := codec.Append(nil, price)
		if err != nil {
			t.Fatal(err)
		}
		got, err := codec.client.DecodeJSON(t.Context(), wire)
		if err != nil {
			t.Fatal(err)
		}
		var back schemas.Price
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatalf("%v in %s", err, got)
		}
		want, err := json.Marshal(price)
		if err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(&back)
		if err != nil || string(again) != string(want) || string(got) != string(want) {
			t.Fatalf("seed %d, %v:\n got  %s\n want %s", seed, err, got, want)
		}
	}
}

// TestDecodeJSONOfStrangers reads what other people's schemas may hold.
func TestDecodeJSONOfStrangers(t *testing.T) {
	f := func(schema string, native any, want string) {
		t.Helper()
		registry, client := newRegistry(t)
		registry.SeedSchema("s", 1, 5, sr.Schema{Schema: schema})
		oracle, err := goavro.NewCodec(schema)
		if err != nil {
			t.Fatal(err)
		}
		wire, err := oracle.BinaryFromNative(appendHeader(nil, 5), native)
		if err != nil {
			t.Fatal(err)
		}
		got, err := client.DecodeJSON(t.Context(), wire)
		if err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v; want %s", schema, got, err, want)
		}
	}
	f(`"null"`, nil, `null`)
	f(`"boolean"`, true, `true`)
	f(`"double"`, 1.5, `1.5`)
	f(`"float"`, 0.25, `0.25`)
	f(`"string"`, "<a & b>", `"<a & b>"`)
	f(`"bytes"`, []byte("ok"), `"ok"`)
	f(`{"type":"array","items":"long"}`, []any{int64(1), int64(2)}, `[1,2]`)
	f(`{"type":"map","values":["null","int"]}`, map[string]any{"b": nil, "a": map[string]any{"int": 1}}, `{"a":1,"b":null}`)
	f(`["string","int","null"]`, map[string]any{"int": int32(3)}, `3`)
	f(`["string","int","null"]`, map[string]any{"string": "x"}, `"x"`)
	f(`{"type":"bytes","logicalType":"decimal","precision":9,"scale":3}`, big.NewRat(-1500, 1000), `"-1.5"`)
	f(`{"type":"int","logicalType":"date"}`, time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC), `"1969-12-31"`)
	f(`{"type":"long","logicalType":"timestamp-millis"}`, time.UnixMilli(1).UTC(), `"1970-01-01T00:00:00.001Z"`)
	f(`{"type":"long","logicalType":"time-micros"}`, time.Minute, `"1m0s"`)
	f(`{"type":"fixed","name":"F","size":2}`, []byte{0xff, 0xfe}, `"//4="`)
	f(`{"type":"record","name":"Node","fields":[{"name":"v","type":"int"},{"name":"next","type":["null","Node"]}]}`,
		map[string]any{"v": 1, "next": map[string]any{"Node": map[string]any{"v": 2, "next": nil}}},
		`{"v":1,"next":{"v":2,"next":null}}`)
	f(`["null",{"type":"record","name":"a.A","fields":[]},{"type":"record","name":"b.A","fields":[{"name":"x","type":"int"}]}]`,
		map[string]any{"b.A": map[string]any{"x": 4}}, `{"x":4}`)
}

func TestDecodeJSONRefuses(t *testing.T) {
	f := func(schema string, body []byte, text string) {
		t.Helper()
		registry, client := newRegistry(t)
		registry.SeedSchema("s", 1, 5, sr.Schema{Schema: schema})
		got, err := client.DecodeJSON(t.Context(), append(appendHeader(nil, 5), body...))
		if !errors.Is(err, ErrBadRecord) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s of %x: got %s, %v", schema, body, got, err)
		}
	}
	f(`"string"`, []byte{200}, "")
	f(`"string"`, []byte{0, 1}, "follow")
	f(`{"type":"array","items":"null"}`, []byte{0xfe, 0xff, 0xff, 0xff, 0x0f, 0}, "beyond")
	f(`{"type":"enum","name":"E","symbols":["a"]}`, []byte{2}, "symbol")
	f(`["null","int"]`, []byte{4}, "branch")
	f(`{"type":"record","name":"N","fields":[{"name":"n","type":["null","N"]}]}`, append(make([]byte, 0), repeated(2, 200)...), "deep")
	f(`{"type":"string","logicalType":"validated-string","pattern":"a"}`, []byte{2, 'a'}, "validated-string")
	_, client := newRegistry(t)
	if _, err := client.DecodeJSON(t.Context(), []byte("plain text")); !errors.Is(err, ErrBadRecord) {
		t.Errorf("plain text: %v", err)
	}
}

func repeated(b byte, n int) []byte {
	many := make([]byte, n)
	for i := range many {
		many[i] = b
	}
	return many
}
