package poller

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

func manySymbols(n int) []schemas.CallSymbol {
	symbols := make([]schemas.CallSymbol, n)
	for i := range symbols {
		symbols[i] = schemas.CallSymbol{Symbol: fmt.Sprintf("S%05d", i), Instrument: fmt.Sprintf("S%05d-USD", i)}
	}
	return symbols
}

// bytesOf is what the broker counts.
func bytesOf(r *stream.Record) int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

// TestLongErrorOfManySymbols: a record above the limit of its topic would be
// tried for ever, and the account with it.
func TestLongErrorOfManySymbols(t *testing.T) {
	f := func(name string, reader Reader, body string) {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, status(200, body))
			r.def.Symbols = manySymbols(3000)
			if reader != nil {
				r.cfg.Reader = reader
			}
			out := r.poll()
			if len(out.polls) != 1 {
				t.Fatal(out.outcome())
			}
			for _, rec := range out.records {
				if n := bytesOf(&rec); rec.Topic == schemas.TopicPolls && n > 1<<20-256 {
					t.Errorf("the record of %s has %d bytes", rec.Topic, n)
				}
			}
			p := out.polls[0]
			if p.Error != body || len(p.Symbols) != 3000 || p.Failed != 3000 {
				t.Errorf("%d symbols, %d failed, error %.100q", len(p.Symbols), p.Failed, p.Error)
			}
			if s := p.Symbols[2999]; s.Symbol != "S02999" || s.Reason == "" || s.Outcome != schemas.ValueFailed {
				t.Errorf("last symbol = %+v", s)
			}
		})
	}
	text := "error " + strings.Repeat("x", 1000)
	f("no symbols from the reader", nil, text)
	f("the error with each symbol", repeating{}, text)
}

// repeating reads every answer as an error that each symbol repeats.
type repeating struct{}

func (repeating) Read(def *schemas.CallDefined, a *schemas.ResponseReceived) schemas.Reading {
	r := schemas.Reading{Outcome: schemas.PollErrorAnswer, Error: string(a.Body)}
	for _, s := range def.Symbols {
		r.Symbols = append(r.Symbols, schemas.SymbolOutcome{Symbol: s.Symbol, Instrument: s.Instrument, Outcome: schemas.ValueFailed, Reason: r.Error})
	}
	return r
}

// rowErrors gives every symbol a reason of its own. It returns the same slice
// again and again.
type rowErrors struct{ symbols []schemas.SymbolOutcome }

func (r rowErrors) Read(*schemas.CallDefined, *schemas.ResponseReceived) schemas.Reading {
	return schemas.Reading{Outcome: schemas.PollPartial, Symbols: r.symbols}
}

func TestOutcomeIsCutToItsLimit(t *testing.T) {
	reader := rowErrors{}
	for i, s := range manySymbols(100) {
		reader.symbols = append(reader.symbols, schemas.SymbolOutcome{
			Symbol: s.Symbol, Outcome: schemas.ValueOutcome(1 + i%3), Reason: fmt.Sprintf("row %d %s", i, strings.Repeat("x", 1000)),
		})
	}
	f := func(limit, wantSymbols int, wantError, wantAttempt string) {
		t.Helper()
		r := newRig(t, inTurn(status(503, ""), status(200, "")))
		r.cfg.Reader = reader
		r.cfg.MaxRecordBytes = limited(schemas.TopicPolls, limit)
		first, second := r.poll(), r.poll()
		p := first.polls[0]
		if n := bytesOf(&first.records[len(first.records)-1]); n > limit {
			t.Errorf("limit %d: the record has %d bytes", limit, n)
		}
		if p.Outcome != schemas.PollPartial || p.Requested != 100 || p.Valued+p.Absent+p.Failed != 100 || len(p.Symbols) != wantSymbols {
			t.Errorf("limit %d: %s with %d symbols", limit, first.outcome(), len(p.Symbols))
		}
		if p.Error != wantError || second.polls[0].Error != wantError || p.Attempts[0].Error != wantAttempt {
			t.Errorf("limit %d: error %q, then %q, of the attempt %q", limit, p.Error, second.polls[0].Error, p.Attempts[0].Error)
		}
		if cut := wantError != ""; strings.Contains(r.log.String(), "shortened") != cut || cut && len(p.Symbols) > 0 && p.Symbols[7].Reason != "" {
			t.Errorf("limit %d: log %s", limit, r.log.String())
		}
		if reader.symbols[7].Reason == "" {
			t.Fatal("the reader's own reading was changed")
		}
	}
	const said = "left out, for the record to fit into %d bytes: the reasons of the symbols"
	f(1<<20, 100, "", "status 503 Service Unavailable")
	f(20_000, 100, fmt.Sprintf(said, 20_000), "status 503 Service Unavailable")
	f(3_000, 0, fmt.Sprintf(said+", the errors of the attempts, the symbols", 3_000), "")
}

// limited gives one topic a limit and the others room.
func limited(topic string, limit int) func(string) int {
	return func(of string) int {
		if of == topic {
			return limit
		}
		return 64 << 20
	}
}

func TestOutcomeThatCannotFitBecomesADeadLetter(t *testing.T) {
	r := newRig(t, nil)
	r.ask(strings.Repeat("c", 600<<10), "v1") // the call id is value and key
	out := r.poll()
	if len(out.records) != 1 || len(out.dead) != 1 {
		t.Fatalf("%d records: %s", len(out.records), out.outcome())
	}
	d := out.dead[0]
	if d.Reason != schemas.DeadTooLarge || !strings.Contains(d.Error, "the outcome of poll") || !bytes.Equal(d.Value, r.record.Value) {
		t.Errorf("dead letter %s: %.300s", d.Reason, d.Error)
	}
	if n := r.log.Len(); n > 20<<10 {
		t.Errorf("%d bytes were logged", n)
	}
}

// TestAnswerAboveItsLimit: an answer is kept whole or not at all. One of a server
// that is busy is no reason to give the poll up.
func TestAnswerAboveItsLimit(t *testing.T) {
	f := func(code int, want, wantError string) {
		t.Helper()
		r := newRig(t, inTurn(status(code, strings.Repeat("x", 20_000)), status(200, "BTC ETH")))
		r.cfg.MaxRecordBytes = limited(schemas.TopicResponses, 10_000)
		out := r.poll()
		if got := out.outcome(); got != want {
			t.Errorf("status %d: %s, want %s", code, got, want)
		}
		a := out.polls[0].Attempts[0]
		if !strings.HasPrefix(a.Error, wantError) || !strings.Contains(a.Error, "where 10000 are allowed") || a.ResponseID != nil || int(a.Status) != code {
			t.Errorf("status %d: %+v", code, a)
		}
	}
	f(200, "too_large 2/0/0/2: too_large dead:too_large", "an answer whose record has ")
	f(429, "valued 2/2/0/0: rate_limited ok", "status 429 Too Many Requests: an answer whose record has ")
	f(503, "valued 2/2/0/0: status ok", "status 503 Service Unavailable: an answer whose record has ")
	f(404, "failed 2/0/0/2: status dead:attempts", "status 404 Not Found: an answer whose record has ")
}

func TestDeadLetterIsCutToItsLimit(t *testing.T) {
	f := func(limit int, wantError string, wantValue, wantHeaders bool) {
		t.Helper()
		r := newRig(t, nil)
		r.cfg.MaxRecordBytes = limited(schemas.TopicDeadLetters, limit)
		r.cfg.Requests = undecodable{}
		r.record.Value = bytes.Repeat([]byte("v"), 6000)
		r.record.Headers = append(r.record.Headers, stream.Header{Key: "big", Value: bytes.Repeat([]byte("h"), 3000)})
		out := r.poll()
		if n := bytesOf(&out.records[0]); n > limit {
			t.Errorf("limit %d: the record has %d bytes", limit, n)
		}
		d := out.dead[0]
		if (d.Value != nil) != wantValue || wantValue && len(d.Value) != 6000 || (len(d.Headers) == 2) != wantHeaders {
			t.Errorf("limit %d: %d bytes of value, %d headers", limit, len(d.Value), len(d.Headers))
		}
		if string(d.Key) != "acme-key" || d.Reason != schemas.DeadDecode || d.OriginOffset != 42 {
			t.Errorf("limit %d: %+v", limit, d)
		}
		if !strings.Contains(d.Error, wantError) || !strings.HasPrefix(d.Error, "eeee") {
			t.Errorf("limit %d: error %.700s", limit, d.Error)
		}
	}
	f(1<<20, strings.Repeat("e", 4<<10), true, true)
	f(15_000, "left out, for the record to fit into 15000 bytes: the end of a long error", true, true)
	f(9_000, "the end of a long error, the value (", false, true)
	f(3_000, ", the headers", false, false)
}

// undecodable fails with a long text.
type undecodable struct{ Decoder }

func (undecodable) Decode(context.Context, []byte, *schemas.PollRequested) error {
	return fmt.Errorf("%s: %w", strings.Repeat("e", 10_000), ErrUndecodable)
}

// TestDefaultLimits: what a poller makes by default, the topics as they are
// created take.
func TestDefaultLimits(t *testing.T) {
	for _, topic := range []string{schemas.TopicResponses, schemas.TopicPolls, schemas.TopicDeadLetters} {
		if got, most := defaultMaxRecordBytes(topic), kafka.MaxRecordBytes(topic); got > most || got < most-1000 {
			t.Errorf("%s: %d bytes by default where the topic takes %d", topic, got, most)
		}
	}
}
