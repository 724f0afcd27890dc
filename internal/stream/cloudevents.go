package stream

import (
	"encoding/hex"
	"hash/fnv"
	"time"
)

// HeaderTraceparent carries the W3C trace context of a record.
const HeaderTraceparent = "traceparent"

// CloudEvent is what the headers of a record on a low-rate topic say about its
// value: the attributes of CloudEvents 1.0 in the binary mode of its Kafka
// binding.
type CloudEvent struct {
	ID     string    // unique within Source; the id of the record
	Source string    // who says it, a URI reference such as "/pricelake/poller"
	Type   string    // what happened, such as "pricelake.v1.PollFinished"
	Time   time.Time // when it happened
	// Correlation is the id that a poll carries from its request to the row
	// and to the dead letter. It becomes the trace id. Zero: no trace.
	Correlation [16]byte
}

// Headers returns the attributes as record headers, with the media type of the
// value and, when there is a correlation id, traceparent. The same event always
// gives the same headers.
func (e CloudEvent) Headers() []Header {
	hs := make([]Header, 0, 7)
	hs = append(hs,
		Header{"ce_specversion", []byte("1.0")},
		Header{"ce_id", []byte(e.ID)},
		Header{"ce_source", []byte(e.Source)},
		Header{"ce_type", []byte(e.Type)},
		Header{"ce_time", e.Time.UTC().AppendFormat(nil, time.RFC3339Nano)},
		Header{"content-type", []byte("application/avro")},
	)
	if e.Correlation != ([16]byte{}) {
		hs = append(hs, Header{HeaderTraceparent, e.traceparent()})
	}
	return hs
}

// traceparent renders version 00 of https://www.w3.org/TR/trace-context/: the
// correlation id as trace id, a hash of trace and event as span id (so that
// every record of a trace is a span of its own and a repeat is the same span),
// sampled.
func (e CloudEvent) traceparent() []byte {
	h := fnv.New64a()
	h.Write(e.Correlation[:])
	h.Write([]byte(e.Type))
	h.Write([]byte{0})
	h.Write([]byte(e.ID))
	span := h.Sum(nil)
	if [8]byte(span) == ([8]byte{}) {
		span[7] = 1 // all zeros is no span id
	}
	text := append(make([]byte, 0, 55), "00-"...)
	text = hex.AppendEncode(text, e.Correlation[:])
	text = append(text, '-')
	text = hex.AppendEncode(text, span)
	return append(text, "-01"...)
}

// Correlation returns the correlation id that a record's traceparent header
// carries as its trace id: it is known even when the value cannot be read. Zero
// when there is none.
func (r *Record) Correlation() (id [16]byte) {
	const prefix, digits = "00-", 2 * len(id)
	text := r.Header(HeaderTraceparent)
	if len(text) < len(prefix)+digits || string(text[:len(prefix)]) != prefix {
		return id
	}
	if _, err := hex.Decode(id[:], text[len(prefix):len(prefix)+digits]); err != nil {
		return [16]byte{}
	}
	return id
}
