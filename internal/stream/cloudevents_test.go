package stream_test

import (
	"reflect"
	"regexp"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
)

func event() stream.CloudEvent {
	return stream.CloudEvent{
		ID:          "4bf92f35-77b3-4da6-a3ce-929d0e0e4736",
		Source:      "/pricelake/scheduler",
		Type:        "pricelake.v1.PollRequested",
		Time:        time.Date(2026, 3, 1, 12, 0, 0, 250_000_000, time.FixedZone("", 3600)),
		Correlation: [16]byte{0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36},
	}
}

func headers(e stream.CloudEvent) map[string]string {
	m := map[string]string{}
	for _, h := range e.Headers() {
		m[h.Key] = string(h.Value)
	}
	return m
}

func TestCloudEventHeaders(t *testing.T) {
	got := headers(event())
	trace := got[stream.HeaderTraceparent]
	delete(got, stream.HeaderTraceparent)
	want := map[string]string{
		"ce_specversion": "1.0",
		"ce_id":          "4bf92f35-77b3-4da6-a3ce-929d0e0e4736",
		"ce_source":      "/pricelake/scheduler",
		"ce_type":        "pricelake.v1.PollRequested",
		"ce_time":        "2026-03-01T11:00:00.25Z",
		"content-type":   "application/avro",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("headers = %v, want %v", got, want)
	}
	if !regexp.MustCompile(`^00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-01$`).MatchString(trace) {
		t.Errorf("traceparent = %q", trace)
	}
}

func TestTraceparentDependsOnEventOnly(t *testing.T) {
	first := headers(event())[stream.HeaderTraceparent]
	later := event()
	later.Time = later.Time.Add(time.Hour)
	if again := headers(later)[stream.HeaderTraceparent]; again != first {
		t.Errorf("a repeat has traceparent %q, the first %q", again, first)
	}
	other := event()
	other.ID = "another"
	if span := headers(other)[stream.HeaderTraceparent]; span == first || span[:35] != first[:35] {
		t.Errorf("another event of the trace has traceparent %q beside %q: want the same trace, another span", span, first)
	}
}

func TestNoTraceWithoutCorrelation(t *testing.T) {
	e := event()
	e.Correlation = [16]byte{}
	if v, ok := headers(e)[stream.HeaderTraceparent]; ok {
		t.Errorf("traceparent = %q for an event without correlation id", v)
	}
}

// TestCorrelation: the id comes back out of the headers, and nothing else is one.
func TestCorrelation(t *testing.T) {
	e := event()
	f := func(headers []stream.Header, want [16]byte) {
		t.Helper()
		r := stream.Record{Headers: headers}
		if got := r.Correlation(); got != want {
			t.Errorf("Correlation = %x of %s, want %x", got, headers, want)
		}
	}
	f(e.Headers(), e.Correlation)
	e.Correlation = [16]byte{}
	f(e.Headers(), [16]byte{})
	text := func(s string) []stream.Header {
		return []stream.Header{{Key: stream.HeaderTraceparent, Value: []byte(s)}}
	}
	f(text(""), [16]byte{})
	f(text("00-"), [16]byte{})
	f(text("00-4bf92f3577b34da6a3ce929d0e0e473"), [16]byte{})
	f(text("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), [16]byte{})
	f(text("00-4bf92f3577b34da6a3ce929d0e0e473x-00f067aa0ba902b7-01"), [16]byte{})
}
