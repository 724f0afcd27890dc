package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/embed/embedtest"
	"github.com/pricelake/pricelake/schemas"
)

// tracing is a lake whose tables are filled by hand.
type tracing struct {
	*rig
	app *App
}

func newTracing(t *testing.T) *tracing {
	t.Helper()
	ch := embedtest.ClickHouse(t)
	r := &tracing{rig: newRig(t)}
	r.config.ClickHouse.Addr, r.config.ClickHouse.User = ch.NativeAddr(), ch.Owner().User
	r.config.ClickHouse.Database = embedtest.Database(t)
	r.app = r.rig.app(ch.Owner().Password)
	r.app.settings.ReaderUser, r.app.settings.ReaderPassword = ch.Reader().User, ch.Reader().Password
	if _, err := r.app.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *tracing) insert(table, columns string, values ...any) {
	r.t.Helper()
	var cells []string
	for _, v := range values {
		cells = append(cells, fmt.Sprint(v))
	}
	statement := fmt.Sprintf("INSERT INTO %s.%s (%s) VALUES (%s)", r.config.ClickHouse.Database, table, columns, strings.Join(cells, ", "))
	if err := embedtest.ClickHouse(r.t).Exec(r.t.Context(), statement); err != nil {
		r.t.Fatal(err)
	}
}

// trace is the trace of a correlation id, a line a step.
func (r *tracing) trace(correlation schemas.ID) string {
	r.t.Helper()
	steps, err := r.app.Trace(r.t.Context(), correlation)
	if err != nil {
		r.t.Fatal(err)
	}
	var lines []string
	for _, s := range steps {
		lines = append(lines, fmt.Sprintf("%s %s %s%s %s", s.At.Format("05.000"), s.Step, s.Instrument, s.Symbol, s.Outcome))
	}
	return strings.Join(lines, "\n")
}

// poll inserts what came of a poll: two attempts, an answer, one price, one
// value that is rejected. Everything but the correlation id is the same each time.
func (r *tracing) poll(correlation schemas.ID) {
	c := func(s string) string { return "'" + s + "'" }
	at := func(ms int) string { return fmt.Sprintf("'2026-01-02 03:04:%02d.%03d'", ms/1000, ms%1000) }
	poll, response := schemas.DeriveID("poll", correlation.String()), schemas.DeriveID("response", correlation.String())
	cor, p, resp := c(correlation.String()), c(poll.String()), c(response.String())
	r.insert("polls", `poll_id, correlation_id, call_id, provider, origin, slot, requested_at, started_at, finished_at, outcome, requested, valued, failed,
		attempts.number, attempts.started_at, attempts.outcome, attempts.error, attempts.status, attempts.response_id, attempts.duration_micros, attempts.waited_micros,
		symbols.symbol, symbols.instrument, symbols.outcome, symbols.reason, recorded_at, _partition, _offset`,
		p, cor, `'it\'s'`, "'kraken'", "'schedule'", at(0), at(1), at(2), at(2000), "'partial'", 2, 1, 1,
		"[1, 2]", "["+at(2)+","+at(1000)+"]", "['timeout', 'ok']", "['no answer', '']", "[0, 200]", "[NULL, "+resp+"]", "[1, 1]", "[0, 0]",
		"['XBTEUR', 'XBTUSD']", "['BTC-EUR', 'BTC-USD']", "['valued', 'failed']", "['', 'no number']", at(2100), 3, 7)
	r.insert("responses", "response_id, poll_id, correlation_id, call_id, provider, attempt, fetched_at, method, url, status, body, body_bytes, retention_days, recorded_at, _partition, _offset",
		resp, p, cor, `'it\'s'`, "'kraken'", 2, at(1500), "'GET'", "'https://api.example.com/'", 200, "''", 123, 1, at(2100), 0, 8)
	r.insert("prices", `event_id, revision, provider, call_id, instrument, kind, rate_type, price, event_time, fetched_at, poll_id, response_id, correlation_id,
		recorded_at, inserted_at, _partition, _offset`, c(schemas.DeriveID("event", correlation.String()).String()), 1, "'kraken'", `'it\'s'`, "'BTC-EUR'", "'ticker'", "'last'", "'76500.000000000000000001'",
		"'2026-01-01 00:00:00'", at(1500), p, resp, cor, at(3000), at(4000), 1, 9)
	r.insert("prices_rejected", "reject_id, reason, detail, provider, call_id, instrument, symbol, fetched_at, poll_id, response_id, correlation_id, recorded_at, _partition, _offset",
		p, "'bad_number'", "'no number'", "'kraken'", `'it\'s'`, "'BTC-USD'", "'XBTUSD'", at(1500), p, resp, cor, at(3001), 0, 4)
}

// deadLetter inserts a letter twice, as a role does that is killed between giving a
// record up and noting that it has.
func (r *tracing) deadLetter(correlation schemas.ID) {
	for offset := range 2 {
		r.insert("dead_letters", "dead_letter_id, origin_topic, origin_partition, origin_offset, role, reason, error, correlation_id, failed_at, _offset",
			"'"+schemas.DeriveID("letter", correlation.String()).String()+"'", "'prices.v1'", 1, 9, "'lake'", "'invalid'", "'too long'", "'"+correlation.String()+"'", "'2026-02-02 03:04:05'", offset)
	}
}

// What became of a poll comes in the order of time, and nothing of another poll
// of the same call in the same second does.
func TestTrace(t *testing.T) {
	t.Parallel()
	r := newTracing(t)
	mine, other := schemas.DeriveID("test", "mine"), schemas.DeriveID("test", "other")
	r.poll(mine)
	r.poll(other)
	r.deadLetter(mine)

	want := `00.001 requested  schedule
00.002 attempt  timeout
01.500 response  
02.000 finished  partial
02.000 symbol BTC-EURXBTEUR valued
02.000 symbol BTC-USDXBTUSD failed
03.000 price BTC-EUR last
03.001 rejected BTC-USDXBTUSD bad_number
05.000 dead_letter  invalid`
	if got := r.trace(mine); got != want {
		t.Errorf("the trace is\n%s\nwant\n%s", got, want)
	}
	steps, err := r.app.Trace(t.Context(), mine)
	if err != nil {
		t.Fatal(err)
	}
	step := func(name string) TraceStep {
		return steps[slices.IndexFunc(steps, func(s TraceStep) bool { return s.Step == name })]
	}
	if p := step(StepPrice); p.Price != "76500.000000000000000001" || p.Bid != "" || *p.Revision != 1 || p.ID != schemas.DeriveID("event", mine.String()).String() ||
		p.EventTime.Format("2006-01-02 15:04:05") != "2026-01-01 00:00:00" || p.InsertedAt.Second() != 4 || p.Topic != schemas.TopicPrices || *p.Partition != 1 || *p.Offset != 9 {
		t.Errorf("the price is %+v", p)
	}
	if a := step(StepResponse); *a.Status != 200 || *a.Bytes != 123 || *a.Attempt != 2 || !a.BodyExpired || a.Detail != "GET https://api.example.com/" {
		t.Errorf("the answer is %+v", a)
	}
	if a := step(StepAttempt); *a.Attempt != 1 || a.Status != nil || a.Detail != "no answer" {
		t.Errorf("the attempt without an answer is %+v", a)
	}
	if d := step(StepDeadLetter); *d.Offset != 0 {
		t.Errorf("the dead letter is %+v, want the first row of it", d)
	}
	if f := step(StepFinished); *f.Offset != 7 || f.Detail != "1 of 2 symbols valued, 0 absent, 1 failed" {
		t.Errorf("the poll is %+v", f)
	}
}

// What counts dead letters counts each once, however often it is stored.
func TestCountsOfLetters(t *testing.T) {
	t.Parallel()
	r := newTracing(t)
	r.deadLetter(schemas.DeriveID("test", "one"))
	r.deadLetter(schemas.DeriveID("test", "two"))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var got Counts
	if err := r.app.watchCounts(ctx, func(c Counts) { got = c; stop() }); err != nil {
		t.Fatal(err)
	}
	if got.DeadLetters != 2 {
		t.Errorf("two letters, each with two rows, count as %d", got.DeadLetters)
	}
}

// What is not all there yet is traced as far as it is; nothing is an error that
// says what to try.
func TestTraceOfWhatIsNotLoaded(t *testing.T) {
	t.Parallel()
	r := newTracing(t)
	id, alone := schemas.DeriveID("test", "mine"), schemas.DeriveID("test", "alone")
	if _, err := r.app.Trace(t.Context(), id); err == nil || !strings.Contains(err.Error(), id.String()) || !strings.Contains(err.Error(), "pricelake status") {
		t.Errorf("nothing is there: %v", err)
	}
	fresh := schemas.DeriveID("test", "fresh")
	r.insert("prices", "event_id, revision, provider, call_id, instrument, kind, rate_type, price, event_time, fetched_at, correlation_id, recorded_at",
		"'"+fresh.String()+"'", 1, "'kraken'", "'c'", "'BTC-EUR'", "'ticker'", "'last'", "'1'", "now()", "now()", "'"+fresh.String()+"'", "'2026-01-02 03:04:07'")
	if got, want := r.trace(fresh), "07.000 price BTC-EUR last"; got != want {
		t.Errorf("a price that is loaded before its poll: %q, want %q", got, want)
	}
	r.deadLetter(alone)
	if got, want := r.trace(alone), "05.000 dead_letter  invalid"; got != want {
		t.Errorf("a dead letter alone: %q, want %q", got, want)
	}
	r.poll(id)
	if err := embedtest.ClickHouse(t).Exec(t.Context(), "TRUNCATE TABLE "+r.config.ClickHouse.Database+".polls"); err != nil {
		t.Fatal(err)
	}
	want := `01.500 response  
03.000 price BTC-EUR last
03.001 rejected BTC-USDXBTUSD bad_number`
	if got := r.trace(id); got != want {
		t.Errorf("without the row of polls the trace is\n%s\nwant\n%s", got, want)
	}
}
