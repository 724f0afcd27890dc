package poller

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// jsonCodec stands for the Avro codec: readable bytes, so that tests can look
// into every record for what must not be there.
type jsonCodec[T any] struct{}

func (jsonCodec[T]) Append(dst []byte, v *T) ([]byte, error) {
	b, err := json.Marshal(v)
	return append(dst, b...), err
}

func (jsonCodec[T]) Decode(_ context.Context, wire []byte, v *T) error {
	if err := json.Unmarshal(wire, v); err != nil {
		return errors.Join(ErrUndecodable, err)
	}
	return nil
}

// catalog has one call.
type catalog struct{ def *schemas.CallDefined }

func (c catalog) Call(_ context.Context, id, version string) (*schemas.CallDefined, error) {
	if c.def == nil || id != c.def.CallID || version != c.def.Version {
		return nil, fmt.Errorf("call %q version %q: %w", id, version, ErrUnknownCall)
	}
	return c.def, nil
}

// bodyReader reads bodies such as "BTC ETH": the symbols that have a value.
type bodyReader struct{}

func (bodyReader) Read(def *schemas.CallDefined, a *schemas.ResponseReceived) schemas.Reading {
	switch {
	case bytes.HasPrefix(a.Body, []byte("<html")):
		return schemas.Reading{Outcome: schemas.PollUnparsable, Error: "it is HTML"}
	case bytes.HasPrefix(a.Body, []byte("error")):
		return schemas.Reading{Outcome: schemas.PollErrorAnswer, Error: string(a.Body)}
	}
	r := schemas.Reading{Outcome: schemas.PollValued}
	for _, s := range def.Symbols {
		o := schemas.SymbolOutcome{Symbol: s.Symbol, Instrument: s.Instrument, Outcome: schemas.ValueValued}
		if !bytes.Contains(a.Body, []byte(s.Symbol)) {
			o.Outcome = schemas.ValueAbsent
			r.Outcome = schemas.PollPartial
		}
		r.Symbols = append(r.Symbols, o)
	}
	return r
}

// rig is a poller before a real HTTP server.
type rig struct {
	t      *testing.T
	server *httptest.Server
	def    schemas.CallDefined
	client ClientConfig
	cfg    Config
	record stream.Record
	reg    *prometheus.Registry

	mu     sync.Mutex
	hits   int
	log    bytes.Buffer
	sleeps []time.Duration
	slept  time.Duration
}

func newRig(t *testing.T, handler http.HandlerFunc) *rig {
	t.Helper()
	r := &rig{t: t, reg: prometheus.NewRegistry()}
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.hits++
		r.mu.Unlock()
		handler(w, req)
	}))
	t.Cleanup(r.server.Close)
	r.def = schemas.CallDefined{
		CallID: "acme-prices", Version: "v1", Provider: "acme", Account: "acme-key", Enabled: true,
		Request: schemas.CallRequest{URL: r.server.URL + "/prices", TimeoutMicros: 5_000_000, BackoffMicros: 100_000},
		Symbols: []schemas.CallSymbol{{Symbol: "BTC", Instrument: "BTC-USD"}, {Symbol: "ETH", Instrument: "ETH-USD"}},
	}
	r.client = ClientConfig{AllowPrivate: []string{"127.0.0.1"}}
	r.cfg = Config{
		Reader:      bodyReader{},
		Requests:    jsonCodec[schemas.PollRequested]{},
		Responses:   jsonCodec[schemas.ResponseReceived]{},
		Polls:       jsonCodec[schemas.PollFinished]{},
		DeadLetters: jsonCodec[schemas.DeadLetter]{},
		Metrics:     NewMetrics(r.reg),
		Log:         slog.New(slog.NewTextHandler(&r.log, nil)),
		Now:         r.now,
		Sleep:       r.sleep,
	}
	r.ask("acme-prices", "v1")
	return r
}

// now is a clock that pauses make go faster.
func (r *rig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Add(r.slept)
}

func (r *rig) sleep(ctx context.Context, d time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sleeps = append(r.sleeps, d)
	r.slept += d
	return ctx.Err()
}

// ask makes the record that asks for a poll.
func (r *rig) ask(callID, version string) {
	slot := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	id := schemas.PollID(callID, slot, schemas.OriginSchedule)
	value, err := json.Marshal(schemas.PollRequested{
		PollID: id, CorrelationID: schemas.DeriveID("correlation", id.String()), CallID: callID, CallVersion: version,
		Account: "acme-key", Slot: slot, RequestedAt: slot.Add(time.Second), Origin: schemas.OriginSchedule,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.record = stream.Record{
		Topic: schemas.TopicRequests, TopicID: stream.TopicID{1, 2, 3}, Partition: 7, Offset: 42,
		Timestamp: slot.Add(time.Second), Key: []byte("acme-key"), Value: value,
		Headers: []stream.Header{{Key: "ce_id", Value: []byte(id.String())}},
	}
}

// outputs are the records of one poll, decoded.
type outputs struct {
	records   []stream.Record
	responses []schemas.ResponseReceived
	polls     []schemas.PollFinished
	dead      []schemas.DeadLetter
}

func (r *rig) poller() *Poller {
	client := NewClient(r.client)
	r.t.Cleanup(client.Close)
	cfg := r.cfg
	cfg.Client = client
	if cfg.Calls == nil {
		cfg.Calls = catalog{&r.def}
	}
	return New(cfg)
}

// handle returns what a record brings.
func (r *rig) handle(ctx context.Context) ([]stream.Record, error) {
	result, err := r.poller().Handle(ctx, r.record)
	return result.Records, err
}

// poll handles the record, and commits what that brings.
func (r *rig) poll() outputs {
	r.t.Helper()
	result, err := r.poller().Handle(r.t.Context(), r.record)
	if err != nil {
		r.t.Fatalf("Handle: %v", err)
	}
	result.Committed()
	return decode(r.t, result.Records)
}

func decode(t *testing.T, records []stream.Record) outputs {
	t.Helper()
	out := outputs{records: records}
	for _, rec := range records {
		switch rec.Topic {
		case schemas.TopicResponses:
			out.responses = append(out.responses, decoded[schemas.ResponseReceived](t, rec.Value))
		case schemas.TopicPolls:
			out.polls = append(out.polls, decoded[schemas.PollFinished](t, rec.Value))
		case schemas.TopicDeadLetters:
			out.dead = append(out.dead, decoded[schemas.DeadLetter](t, rec.Value))
		default:
			t.Errorf("a record for topic %q", rec.Topic)
		}
	}
	return out
}

func decoded[T any](t *testing.T, value []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(value, &v); err != nil {
		t.Fatalf("decoding %s: %v", value, err)
	}
	return v
}

// outcome is what most tests look at.
func (o outputs) outcome() string {
	if len(o.polls) != 1 {
		return fmt.Sprintf("%d outcomes", len(o.polls))
	}
	f := o.polls[0]
	s := fmt.Sprintf("%s %d/%d/%d/%d:", f.Outcome, f.Requested, f.Valued, f.Absent, f.Failed)
	for _, a := range f.Attempts {
		s += " " + a.Outcome.String()
	}
	for _, d := range o.dead {
		s += " dead:" + d.Reason.String()
	}
	return s
}

// counter returns the sum of a metric over its labels.
func (r *rig) counter(name string) float64 {
	r.t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

// inTurn answers the n-th request with the n-th handler, and the last from then
// on.
func inTurn(handlers ...http.HandlerFunc) http.HandlerFunc {
	var mu sync.Mutex
	n := 0
	return func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		h := handlers[min(n, len(handlers)-1)]
		n++
		mu.Unlock()
		h(w, req)
	}
}

// hangUp closes the connection without an answer.
func hangUp(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		conn.Close()
	}
}
