package avro

import (
	"bytes"
	"testing"

	"github.com/pricelake/pricelake/schemas"
)

// offline returns a codec that needs no registry: its schema has the id 7.
func offline[T any](t testing.TB, topic string) *Codec[T] {
	t.Helper()
	client, err := NewClient("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	codec, err := NewCodec[T](topic, client)
	if err != nil {
		t.Fatal(err)
	}
	client.remember(7, codec.subject.Schema)
	codec.id.Store(7 + 1)
	return codec
}

// bodyTest returns seeds of a record's body and a test of any body: it is
// refused, or it is read within the bound and then written as bytes that goavro
// reads and that are read as the same record.
func bodyTest[T any](t testing.TB, topic string) (seeds [][]byte, test func(*testing.T, []byte)) {
	codec := offline[T](t, topic)
	for seed := range uint64(3) {
		wire, err := codec.Append(nil, sample[T](seed))
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, wire[wireHeader:])
	}
	return seeds, func(t *testing.T, body []byte) {
		var first, second T
		var err error
		bounded(t, 16*len(body)+1<<20, func() { err = codec.decodeBody(body, &first) })
		if err != nil {
			return
		}
		wire, err := codec.Append(nil, &first)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if err := codec.Decode(t.Context(), wire, &second); err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		again, err := codec.Append(nil, &second)
		if err != nil || !bytes.Equal(wire, again) {
			t.Fatalf("written differently the second time: %v", err)
		}
		if _, err := codec.client.DecodeJSON(t.Context(), wire); err != nil && len(wire) < 1<<10 {
			t.Fatalf("goavro refuses what was written: %v", err)
		}
	}
}

// bounded fails when f allocates more than limit. Other goroutines count too, so
// one measurement below is enough.
func bounded(t *testing.T, limit int, f func()) {
	t.Helper()
	if spent := allocated(f); spent > limit {
		t.Fatalf("%d bytes allocated, more than %d", spent, limit)
	}
}

// FuzzDecode reads the body of every record. The first byte chooses it.
func FuzzDecode(f *testing.F) {
	var tests []func(*testing.T, []byte)
	add := func(seeds [][]byte, test func(*testing.T, []byte)) {
		for _, seed := range seeds {
			f.Add(byte(len(tests)), seed)
		}
		tests = append(tests, test)
	}
	add(bodyTest[schemas.Price](f, schemas.TopicPrices))
	add(bodyTest[schemas.PriceRejected](f, schemas.TopicRejected))
	add(bodyTest[schemas.ResponseReceived](f, schemas.TopicResponses))
	add(bodyTest[schemas.PollRequested](f, schemas.TopicRequests))
	add(bodyTest[schemas.PollFinished](f, schemas.TopicPolls))
	add(bodyTest[schemas.SlotScheduled](f, schemas.TopicSchedules))
	add(bodyTest[schemas.InstrumentDefined](f, schemas.TopicInstruments))
	add(bodyTest[schemas.CallDefined](f, schemas.TopicCalls))
	add(bodyTest[schemas.DeadLetter](f, schemas.TopicDeadLetters))
	add(bodyTest[schemas.RoleSwitched](f, schemas.TopicRoles))
	add(bodyTest[schemas.DeadLetterMarked](f, schemas.TopicDeadLetterMarks))
	for _, body := range hostileBodies() {
		if len(body) < 1<<10 {
			f.Add(byte(4), body)
		}
	}
	f.Fuzz(func(t *testing.T, record byte, body []byte) {
		tests[int(record)%len(tests)](t, body)
	})
}

// FuzzDecodeWire reads whole records: ours, those of an older version, of an
// unknown one, and no records at all.
func FuzzDecodeWire(f *testing.F) {
	codec, older := olderPrice(f)
	ours, err := codec.Append(nil, typicalPrice(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ours)
	f.Add(older)
	f.Add([]byte("{}"))
	f.Add([]byte{0, 0, 0, 0, 8})
	f.Fuzz(func(t *testing.T, wire []byte) {
		if id, _, err := splitWire(wire); err == nil && id != 7 && id != 8 {
			return // would ask the registry each time
		}
		var price schemas.Price
		bounded(t, 2*genericBudget(len(wire)), func() { err = codec.Decode(t.Context(), wire, &price) })
		if err != nil {
			return
		}
		if _, err := codec.Append(nil, &price); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
	})
}

// FuzzDecodeJSON reads bodies of all our schemas and of a stranger's.
func FuzzDecodeJSON(f *testing.F) {
	client, err := NewClient("http://127.0.0.1:1")
	if err != nil {
		f.Fatal(err)
	}
	for i, s := range Schemas() {
		client.remember(i, s.Schema)
		f.Add(byte(i), []byte{0, 0, 0, 0})
	}
	client.remember(len(Schemas()), `{"type":"record","name":"N","fields":[
		{"name":"f","type":"float"},{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":60,"scale":30}},
		{"name":"m","type":{"type":"map","values":["null","string","N"]}},{"name":"t","type":{"type":"int","logicalType":"time-millis"}},
		{"name":"l","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"n","type":{"type":"array","items":"null"}}]}`)
	f.Add(byte(len(Schemas())), []byte{0, 0, 0, 0, 2, 5, 2, 2, 'k', 2, 2, 'v', 0, 4, 6, 0})
	price, _ := offline[schemas.Price](f, schemas.TopicPrices).Append(nil, typicalPrice(f))
	f.Add(byte(7), price[wireHeader:])
	f.Fuzz(func(t *testing.T, schema byte, body []byte) {
		wire := append(appendHeader(nil, uint32(schema)%uint32(len(Schemas())+1)), body...)
		bounded(t, 4*genericBudget(len(body)), func() { _, _ = client.DecodeJSON(t.Context(), wire) })
	})
}
