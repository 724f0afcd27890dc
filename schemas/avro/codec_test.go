package avro

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"go.uber.org/goleak"

	"github.com/pricelake/pricelake/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newRegistry starts an empty registry and a client of it.
func newRegistry(t testing.TB) (*srfake.Registry, *Client) {
	t.Helper()
	registry := srfake.NewRegistry()
	server := httptest.NewServer(registry.Handler())
	t.Cleanup(server.Close)
	client, err := NewClient(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return registry, client
}

// newCodec returns a prepared codec whose schema has the id 7.
func newCodec[T any](t testing.TB, topic string) *Codec[T] {
	t.Helper()
	registry, client := newRegistry(t)
	subject := subjectOf(t, topic)
	registry.SeedSchema(subject.Name, 1, 7, sr.Schema{Schema: subject.Schema, Type: sr.TypeAvro})
	codec, err := NewCodec[T](topic, client)
	if err != nil {
		t.Fatal(err)
	}
	if err := codec.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return codec
}

// everyRecord runs a test for every topic with its record.
func everyRecord(t *testing.T, test func(t *testing.T, topic string)) {
	for _, s := range Schemas() {
		t.Run(s.Topic, func(t *testing.T) { test(t, s.Topic) })
	}
}

// TestAgainstGoavro: our bytes are goavro's bytes, and what goavro wrote is read
// as the same record.
func TestAgainstGoavro(t *testing.T) {
	everyRecord(t, func(t *testing.T, topic string) {
		switch topic {
		case schemas.TopicCalls:
			againstGoavro[schemas.CallDefined](t, topic)
		case schemas.TopicInstruments:
			againstGoavro[schemas.InstrumentDefined](t, topic)
		case schemas.TopicSchedules:
			againstGoavro[schemas.SlotScheduled](t, topic)
		case schemas.TopicRequests:
			againstGoavro[schemas.PollRequested](t, topic)
		case schemas.TopicPolls:
			againstGoavro[schemas.PollFinished](t, topic)
		case schemas.TopicResponses:
			againstGoavro[schemas.ResponseReceived](t, topic)
		case schemas.TopicObserved, schemas.TopicPrices:
			againstGoavro[schemas.Price](t, topic)
		case schemas.TopicRejected:
			againstGoavro[schemas.PriceRejected](t, topic)
		case schemas.TopicDeadLetters:
			againstGoavro[schemas.DeadLetter](t, topic)
		case schemas.TopicDeadLetterMarks:
			againstGoavro[schemas.DeadLetterMarked](t, topic)
		case schemas.TopicRoles:
			againstGoavro[schemas.RoleSwitched](t, topic)
		default:
			t.Fatalf("no test for topic %s", topic)
		}
	})
}

func againstGoavro[T any](t *testing.T, topic string) {
	codec := newCodec[T](t, topic)
	oracle, err := goavro.NewCodec(codec.subject.Schema)
	if err != nil {
		t.Fatalf("goavro refuses the schema: %v", err)
	}
	shape, err := newShape(codec.subject.Schema)
	if err != nil {
		t.Fatal(err)
	}
	var decoded T // kept between the rounds: nothing of the last record may stay
	for seed := range uint64(300) {
		record := sample[T](seed)
		wire, err := codec.Append([]byte("before"), record)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(wire, []byte("before\x00\x00\x00\x00\x07")) {
			t.Fatalf("wire starts with %q", wire[:11])
		}
		wire = wire[len("before"):]
		want, err := oracle.BinaryFromNative(nil, native(reflect.ValueOf(record).Elem(), shape))
		if err != nil {
			t.Fatalf("goavro refuses %+v: %v", record, err)
		}
		if !bytes.Equal(wire[wireHeader:], want) {
			t.Fatalf("seed %d: %+v\n ours   %x\n goavro %x", seed, record, wire[wireHeader:], want)
		}
		if err := codec.Decode(t.Context(), wire, &decoded); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(&decoded, record) {
			t.Fatalf("seed %d:\n got  %+v\n want %+v", seed, decoded, *record)
		}
		if err := shape.check(wire[wireHeader:], genericBudget(len(wire))); err != nil {
			t.Fatalf("seed %d: refused as a generic record: %v", seed, err)
		}
	}
}

// TestGoavroReadsZero: goavro reads the zero it cannot write.
func TestGoavroReadsZero(t *testing.T) {
	codec := newCodec[schemas.Price](t, schemas.TopicPrices)
	wire, err := codec.Append(nil, &schemas.Price{Price: schemas.NullDecimal{Valid: true}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := codec.client.DecodeJSON(t.Context(), wire)
	if err != nil || !bytes.Contains(text, []byte(`"price":"0","bid":null`)) {
		t.Fatalf("got %s, %v", text, err)
	}
}

func TestZeroRecord(t *testing.T) {
	codec := newCodec[schemas.Price](t, schemas.TopicPrices)
	wire, err := codec.Append(nil, &schemas.Price{})
	if err != nil {
		t.Fatal(err)
	}
	decoded := *sample[schemas.Price](1)
	if err := codec.Decode(t.Context(), wire, &decoded); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(decoded, schemas.Price{}) || !decoded.EventTime.IsZero() {
		t.Fatalf("got %+v", decoded)
	}
}

// TestDecodeKeepsNothing: a record that was read stays as it is when the bytes
// it came from, or the struct it was read into, are used again.
func TestDecodeKeepsNothing(t *testing.T) {
	codec := newCodec[schemas.Price](t, schemas.TopicPrices)
	one, two := sample[schemas.Price](11), sample[schemas.Price](12)
	date, published := schemas.Date(7), time.UnixMicro(8).UTC()
	one.ValueDate, one.PublishedAt = &date, &published
	var read schemas.Price
	wire, _ := codec.Append(nil, one)
	if err := codec.Decode(t.Context(), wire, &read); err != nil {
		t.Fatal(err)
	}
	first := read
	clear(wire)
	wire, _ = codec.Append(nil, two)
	if err := codec.Decode(t.Context(), wire, &read); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(&first, one) {
		t.Fatalf("the first record became %+v", first)
	}
}

func TestAppendRefuses(t *testing.T) {
	codec := newCodec[schemas.Price](t, schemas.TopicPrices)
	f := func(name string, spoil func(*schemas.Price), want error) {
		t.Helper()
		p := sample[schemas.Price](3)
		spoil(p)
		dst, err := codec.Append([]byte("kept"), p)
		if !errors.Is(err, want) || string(dst) != "kept" {
			t.Errorf("%s: got %q, %v", name, dst, err)
		}
	}
	f("kind", func(p *schemas.Price) { p.Kind = schemas.KindIndex + 1 }, errNotEnum)
	f("rate type", func(p *schemas.Price) { p.RateType = 200 }, errNotEnum)
	f("year 10000", func(p *schemas.Price) { p.EventTime = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, errTime)
	f("year 0", func(p *schemas.Price) { p.EventTime = time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC) }, errTime)
	f("year 300000", func(p *schemas.Price) { p.EventTime = time.Date(300000, 1, 1, 0, 0, 0, 0, time.UTC) }, errTime)
	f("date", func(p *schemas.Price) { d := schemas.Date(maxDate + 1); p.ValueDate = &d }, errTime)

	ends := sample[schemas.Price](3)
	ends.EventTime = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	if _, err := codec.Append(nil, ends); err != nil {
		t.Error(err)
	}

	responses := newCodec[schemas.ResponseReceived](t, schemas.TopicResponses)
	crowded := &schemas.ResponseReceived{Headers: map[string]string{}}
	for i := range mapLimit + 1 {
		crowded.Headers[string(rune(i+'a'))] = ""
	}
	if _, err := responses.Append(nil, crowded); err == nil {
		t.Error("a map above the limit was written")
	}
}

func TestAppendReplacesInvalidText(t *testing.T) {
	codec := newCodec[schemas.PriceRejected](t, schemas.TopicRejected)
	wire, err := codec.Append(nil, &schemas.PriceRejected{Fragment: "a\xffb"})
	if err != nil {
		t.Fatal(err)
	}
	var got schemas.PriceRejected
	if err := codec.Decode(t.Context(), wire, &got); err != nil || got.Fragment != "a\uFFFDb" {
		t.Fatalf("got %q, %v", got.Fragment, err)
	}
}

func TestMapsAreWrittenInOrder(t *testing.T) {
	codec := newCodec[schemas.ResponseReceived](t, schemas.TopicResponses)
	headers := map[string]string{"b": "2", "a": "1", "d": "4", "c": "3"}
	first, _ := codec.Append(nil, &schemas.ResponseReceived{Headers: headers})
	for range 20 {
		if again, _ := codec.Append(nil, &schemas.ResponseReceived{Headers: headers}); !bytes.Equal(first, again) {
			t.Fatal("equal records have different bytes")
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	codec := newCodec[schemas.PollFinished](t, schemas.TopicPolls)
	good, err := codec.Append(nil, sample[schemas.PollFinished](5))
	if err != nil {
		t.Fatal(err)
	}
	f := func(name string, wire []byte) {
		t.Helper()
		var v schemas.PollFinished
		if err := codec.Decode(t.Context(), wire, &v); !errors.Is(err, ErrBadRecord) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	f("nothing", nil)
	f("no body", good[:wireHeader])
	f("magic", append([]byte{1}, good[1:]...))
	f("trailing byte", append(bytes.Clone(good), 0))
	for cut := wireHeader; cut < len(good); cut++ {
		f("cut short", good[:cut])
	}
	var v schemas.PollFinished
	unknown := append([]byte{0, 0, 0, 0, 99}, good[wireHeader:]...)
	if err := codec.Decode(t.Context(), unknown, &v); !errors.Is(err, ErrNotFound) || errors.Is(err, ErrBadRecord) {
		t.Errorf("unknown id: got %v", err)
	}
}

// hostile bodies claim much and hold little.
func hostileBodies() map[string][]byte {
	head := func() []byte { // PollFinished up to its lists
		c := coder{}
		c.pollFinished(&schemas.PollFinished{})
		return c.data[:len(c.data)-2]
	}
	block := func(count int64, item []byte, times int) []byte {
		c := coder{data: head()}
		c.data = append(c.data, 0) // no attempts
		for range times {
			c.long(&count)
			for range count {
				c.data = append(c.data, item...)
			}
		}
		c.data = append(c.data, 0)
		return c.data
	}
	claim := func(count int64) []byte {
		c := coder{data: head()}
		c.long(&count)
		return append(c.data, make([]byte, 100)...)
	}
	longText := coder{data: make([]byte, 32)} // two ids
	length := int64(1) << 40
	longText.long(&length)
	return map[string][]byte{
		"one block of empty symbols":    block(1<<17, []byte{0, 0, 0, 0}, 1),
		"many blocks of one":            block(1, []byte{0, 0, 0, 0}, 1<<17),
		"symbols with texts of a byte":  block(1<<17, []byte{2, 'a', 2, 'b', 0, 2, 'c'}, 1),
		"a count of 2^31":               claim(1 << 31),
		"a count of 2^62":               claim(1 << 62),
		"the smallest count":            claim(-1 << 63),
		"a negative count":              claim(-1 << 40),
		"a text of 2^40 bytes":          longText.data,
		"many attempts with a response": attempts(head(), 1<<13),
	}
}

func attempts(head []byte, n int64) []byte {
	c := coder{data: head}
	c.long(&n)
	for range n {
		c.pollAttempt(&schemas.PollAttempt{ResponseID: &schemas.ID{}, StartedAt: time.UnixMicro(0)})
	}
	return append(c.data, 0, 0)
}

func TestDecodeIsBounded(t *testing.T) {
	codec := newCodec[schemas.PollFinished](t, schemas.TopicPolls)
	for name, body := range hostileBodies() {
		t.Run(name, func(t *testing.T) {
			wire := append(appendHeader(nil, 7), body...)
			spent := allocated(func() {
				var v schemas.PollFinished
				_ = codec.Decode(t.Context(), wire, &v)
			})
			if limit := 16*len(wire) + 1<<20; spent > limit {
				t.Errorf("%d bytes of input took %d, more than %d", len(wire), spent, limit)
			}
			t.Logf("%d bytes of input, %d allocated", len(wire), spent)
			spent = allocated(func() { _, _ = codec.client.DecodeJSON(t.Context(), wire) })
			if limit := 5 * genericBudget(len(wire)); spent > limit {
				t.Errorf("%d bytes of input took %d as JSON, more than %d", len(wire), spent, limit)
			}
			t.Logf("%d allocated as JSON, budget %d", spent, genericBudget(len(wire)))
		})
	}
}

// allocated returns the bytes that f allocates, live or not. Other goroutines
// count too, so it is the least of some runs when the first is much.
func allocated(f func()) int {
	least := 1 << 62
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		if least = min(least, int(after.TotalAlloc-before.TotalAlloc)); least < 1<<20 {
			break
		}
	}
	return least
}

func TestNewCodec(t *testing.T) {
	_, client := newRegistry(t)
	if _, err := NewCodec[schemas.Price]("prices.v9", client); err == nil {
		t.Error("made a codec of a topic that does not exist")
	}
	if _, err := NewCodec[schemas.Price](schemas.TopicPolls, client); err == nil {
		t.Error("made a codec of prices for polls")
	}
	if _, err := NewCodec[string](schemas.TopicPolls, client); err == nil {
		t.Error("made a codec of strings")
	}
	codec, err := NewCodec[schemas.Price](schemas.TopicPrices, client)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := codec.Append(nil, &schemas.Price{}); err == nil {
		t.Error("wrote before Prepare")
	}
	if err := codec.Prepare(t.Context()); !errors.Is(err, ErrNotFound) {
		t.Errorf("prepared with an empty registry: %v", err)
	}
}
