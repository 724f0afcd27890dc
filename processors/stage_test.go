package processors_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/processors"
	"github.com/pricelake/pricelake/schemas"
)

var errAgain = errors.New("the other side is away")

// words answers "a b" with a and b, "" with nothing, and does as it is told by
// what begins with an exclamation mark.
func words(_ context.Context, in string) ([]string, error) {
	switch in {
	case "!reject":
		return []string{"half"}, fmt.Errorf("reading it twice: %w", processors.Reject(schemas.DeadInvalid, errors.New("no such word")))
	case "!again":
		return nil, errAgain
	}
	return strings.Fields(in), nil
}

// picky refuses to write one word.
type picky struct{ jsonCodec[string] }

func (p picky) Append(dst []byte, v *string) ([]byte, error) {
	if *v == "unwritable" {
		return nil, errors.New("breaks a rule of the schema")
	}
	return p.jsonCodec.Append(dst, v)
}

// fitting is the length of the longest word that the topic takes.
const fitting = 150_000

func wordStage(reg prometheus.Registerer, same bool) *processors.Stage[string, string] {
	return &processors.Stage[string, string]{
		Decoder:   jsonCodec[string]{},
		Processor: processors.Func[string, string](words),
		Outlet:    &processors.Topic[string]{Name: "out", Encoder: picky{}, Key: func(s *string) string { return *s }, SamePartition: same},
		Dead:      &processors.DeadLetters{Role: "worder", Encoder: jsonCodec[schemas.DeadLetter]{}},
		Metrics:   processors.NewMetrics(reg, "worder"),
		MaxRecordBytes: func(topic string) int {
			if topic != "out" {
				return 1
			}
			return 2*fitting + 2 // as key and, in quotes, as value
		},
		Now: func() time.Time { return at },
	}
}

func open(t testing.TB, s *processors.Stage[string, string]) stream.Stage {
	t.Helper()
	p, err := s.Open(t.Context(), stream.TopicPartition{Topic: "in", Partition: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func text(rs []stream.Record) []string {
	var ts []string
	for _, r := range rs {
		if r.Topic == schemas.TopicDeadLetters {
			ts = append(ts, "dead "+string(r.Key))
			continue
		}
		ts = append(ts, fmt.Sprintf("%s/%d %s %s", r.Topic, r.Partition, r.Key, r.Value))
	}
	return ts
}

func TestStage(t *testing.T) {
	for _, c := range []struct {
		name string
		same bool
		in   []string
		want []string
		tell map[string]float64
	}{
		{"one and many, in order", false, []string{`"a"`, `"b c"`}, []string{`out/-1 a "a"`, `out/-1 b "b"`, `out/-1 c "c"`},
			map[string]float64{"records_total published": 2, "outputs_total": 3}},
		{"same partition", true, []string{`"a"`}, []string{`out/3 a "a"`},
			map[string]float64{"records_total published": 1, "outputs_total": 1}},
		{"filtered", false, []string{`""`, `"a"`}, []string{`out/-1 a "a"`},
			map[string]float64{"records_total published": 1, "records_total filtered": 1, "outputs_total": 1}},
		{"rejected", false, []string{`"a"`, `"!reject"`, `"b"`}, []string{`out/-1 a "a"`, "dead in/3/101", `out/-1 b "b"`},
			map[string]float64{"records_total published": 2, "records_total dead": 1, "outputs_total": 2, "dead_letters_total invalid": 1}},
		{"unreadable", false, []string{`"a`, `"b"`}, []string{"dead in/3/100", `out/-1 b "b"`},
			map[string]float64{"records_total published": 1, "records_total dead": 1, "outputs_total": 1, "dead_letters_total decode": 1}},
		{"unwritable, with what it had made", false, []string{`"a unwritable b"`, `"c"`}, []string{"dead in/3/100", `out/-1 c "c"`},
			map[string]float64{"records_total published": 1, "records_total dead": 1, "outputs_total": 1, "dead_letters_total invalid": 1}},
		{"too large, with what it had made", false, []string{`"a ` + strings.Repeat("b", fitting+1) + `"`, `"c"`}, []string{"dead in/3/100", `out/-1 c "c"`},
			map[string]float64{"records_total published": 1, "records_total dead": 1, "outputs_total": 1, "dead_letters_total too_large": 1}},
		{"as large as the topic takes", false, []string{`"` + strings.Repeat("b", fitting) + `"`}, []string{"out/-1 " + strings.Repeat("b", fitting) + ` "` + strings.Repeat("b", fitting) + `"`},
			map[string]float64{"records_total published": 1, "outputs_total": 1}},
		{"nothing", false, nil, nil, map[string]float64{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			s := open(t, wordStage(reg, c.same))
			out, err := s.Handle(t.Context(), batch(c.in...))
			if err != nil {
				t.Fatal(err)
			}
			if got := text(out.Records); !slices.Equal(got, c.want) {
				t.Errorf("published %q, want %q", got, c.want)
			}
			if got := counters(t, reg); len(got) > 0 {
				t.Errorf("counted %v before the transaction committed", got)
			}
			if err := out.Committed(t.Context(), out.Records); err != nil {
				t.Fatal(err)
			}
			want := map[string]float64{}
			for name, v := range c.tell {
				want["pricelake_processor_"+name] = v
			}
			if got := counters(t, reg); !maps.Equal(got, want) {
				t.Errorf("counted %v, want %v", got, want)
			}
		})
	}
}

func TestStageTriesAgain(t *testing.T) {
	s := open(t, wordStage(prometheus.NewRegistry(), false))
	out, err := s.Handle(t.Context(), batch(`"a"`, `"!again"`, `"b"`))
	if !errors.Is(err, errAgain) || !strings.Contains(err.Error(), "in[3]@101") {
		t.Errorf("got %v, want the processor's error with the record's place", err)
	}
	if len(out.Records) > 0 || out.Committed != nil {
		t.Error("part of a batch came out with an error")
	}
}

func TestDeadLetterShowsItsOrigin(t *testing.T) {
	s := open(t, wordStage(prometheus.NewRegistry(), false))
	b := batch(`"!reject"`)
	correlation := schemas.ID{0xaa, 15: 0xbb}
	b.Records[0].Headers = stream.CloudEvent{ID: "x", Source: "/here", Type: "t", Time: at, Correlation: correlation}.Headers()
	out, err := s.Handle(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	var got schemas.DeadLetter
	if err := (jsonCodec[schemas.DeadLetter]{}).Decode(t.Context(), out.Records[0].Value, &got); err != nil {
		t.Fatal(err)
	}
	headers := map[string][]byte{}
	for _, h := range b.Records[0].Headers {
		headers[h.Key] = h.Value
	}
	want := schemas.DeadLetter{
		DeadLetterID:    schemas.DeadLetterID("in", schemas.ID{9}, 3, 100),
		OriginTopic:     "in",
		OriginTopicID:   schemas.ID{9},
		OriginPartition: 3,
		OriginOffset:    100,
		OriginTimestamp: at,
		Role:            "worder",
		Reason:          schemas.DeadInvalid,
		Error:           "reading it twice: no such word",
		Attempts:        1,
		CorrelationID:   &correlation,
		FailedAt:        at,
		Key:             []byte("key"),
		Value:           []byte(`"!reject"`),
		Headers:         headers,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	if got := string(out.Records[0].Header("ce_id")); got != want.DeadLetterID.String() {
		t.Errorf("its ce_id is %q", got)
	}
	again, err := s.Handle(t.Context(), b)
	if err != nil || !reflect.DeepEqual(again.Records, out.Records) {
		t.Errorf("the same record made another dead letter, %v", err)
	}
}

func TestDeadLetterSurvivesHostileOrigins(t *testing.T) {
	for name, change := range map[string]func(r *stream.Record){
		"no value":          func(r *stream.Record) { r.Value = nil },
		"short traceparent": func(r *stream.Record) { r.Headers = []stream.Header{{Key: "traceparent", Value: []byte("00-12")}} },
		"traceparent of zeros": func(r *stream.Record) {
			r.Headers = []stream.Header{{Key: "traceparent", Value: []byte("00-" + strings.Repeat("0", 32) + "-1-01")}}
		},
		"traceparent that is no hex": func(r *stream.Record) {
			r.Headers = []stream.Header{{Key: "traceparent", Value: []byte("00-" + strings.Repeat("x", 32) + "-1-01")}}
		},
		"a header that is no text": func(r *stream.Record) { r.Headers = []stream.Header{{Key: "\xff", Value: nil}} },
	} {
		t.Run(name, func(t *testing.T) {
			d := &processors.DeadLetters{Role: "worder", Encoder: jsonCodec[schemas.DeadLetter]{}}
			r := batch("x").Records[0]
			change(&r)
			out, err := d.Record(new(processors.Buffer), &r, schemas.DeadDecode, errors.New(strings.Repeat("é", 5000)+"\xff"))
			if err != nil {
				t.Fatal(err)
			}
			var got schemas.DeadLetter
			if err := (jsonCodec[schemas.DeadLetter]{}).Decode(t.Context(), out.Value, &got); err != nil {
				t.Fatal(err)
			}
			if got.CorrelationID != nil || len(got.Error) > 4<<10 || strings.Contains(got.Error, "\uFFFD") {
				t.Errorf("correlation id %v, error of %d bytes", got.CorrelationID, len(got.Error))
			}
		})
	}
}

// What came out of a batch must not change when the next one is handled.
func TestStageOutputsStay(t *testing.T) {
	s := open(t, wordStage(prometheus.NewRegistry(), false))
	long := strings.Repeat("long ", 40_000) // many times a buffer's chunk
	first, err := s.Handle(t.Context(), batch(`"a b"`, `"`+long+`"`, `"`+strings.Repeat("x", 100_000)+` c"`))
	if err != nil {
		t.Fatal(err)
	}
	before := text(first.Records)
	if _, err := s.Handle(t.Context(), batch(`"d e"`, `"`+strings.ToUpper(long)+`"`)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(before, text(first.Records)) {
		t.Error("records of the first batch were overwritten by the second")
	}
	if got := len(first.Records); got != 2+40_000+2 {
		t.Errorf("%d records", got)
	}
}

func TestRejected(t *testing.T) {
	if processors.Reject(schemas.DeadInvalid, nil) != nil {
		t.Error("rejecting no error made one")
	}
	if _, final := processors.Rejected(nil); final {
		t.Error("no error is a rejection")
	}
	if _, final := processors.Rejected(errAgain); final {
		t.Error("any error is a rejection")
	}
	err := processors.Reject(schemas.DeadDecode, errAgain)
	if reason, final := processors.Rejected(fmt.Errorf("outer: %w", err)); !final || reason != schemas.DeadDecode {
		t.Errorf("got %v, %v", reason, final)
	}
	if !errors.Is(err, errAgain) {
		t.Error("the cause is lost")
	}
}
