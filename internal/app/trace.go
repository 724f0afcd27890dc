package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks/lake"
)

// Steps of a poll's way through the system.
const (
	StepRequested  = "requested"   // the poll was asked for
	StepAttempt    = "attempt"     // an HTTP request without an answer
	StepResponse   = "response"    // an answer
	StepFinished   = "finished"    // the poll's outcome
	StepSymbol     = "symbol"      // the outcome of one symbol
	StepDeadLetter = "dead_letter" // a record that was given up
	StepPrice      = "price"       // a row of prices
	StepRejected   = "rejected"    // what could not become a price
)

// TraceStep is one thing that became of a poll, as the lake knows it. What a step
// does not have is left out of its JSON.
type TraceStep struct {
	// At is when the poll was asked for, the attempt began, the answer was read to
	// its end, the poll ended, the record was given up, or the broker recorded the
	// price or the rejected value.
	At   time.Time `json:"at"`
	Step string    `json:"step"`
	// ID is the key of the row: of polls, responses, prices, prices_rejected or
	// dead_letters. Attempts and symbols have that of their poll.
	ID         string `json:"id"`
	CallID     string `json:"call_id,omitempty"`
	Provider   string `json:"provider,omitempty"`
	Symbol     string `json:"symbol,omitempty"`
	Instrument string `json:"instrument,omitempty"`
	// Outcome is that of the poll, symbol or attempt, who asked for a poll, what a
	// price is, the reason of a rejected value or a dead letter.
	Outcome string `json:"outcome,omitempty"`
	Detail  string `json:"detail,omitempty"`
	Attempt *int64 `json:"attempt,omitempty"`
	Status  *int64 `json:"status,omitempty"` // of HTTP
	Bytes   *int64 `json:"bytes,omitempty"`  // of the answer's body
	// BodyExpired: the terms of the source no longer let us keep the body.
	BodyExpired bool `json:"body_expired,omitempty"`
	// Price, Bid and Ask are exact.
	Price      string    `json:"price,omitempty"`
	Bid        string    `json:"bid,omitempty"`
	Ask        string    `json:"ask,omitempty"`
	Revision   *int64    `json:"revision,omitempty"`
	EventTime  time.Time `json:"event_time,omitzero"`
	RecordedAt time.Time `json:"recorded_at,omitzero"` // by the broker
	InsertedAt time.Time `json:"inserted_at,omitzero"` // by the lake
	// Topic, Partition and Offset are where the row was loaded from.
	Topic     string `json:"topic,omitempty"`
	Partition *int64 `json:"partition,omitempty"`
	Offset    *int64 `json:"offset,omitempty"`
}

// maxTraceRows bounds what is read of each table. No answer holds that much.
const maxTraceRows = 100_000

// traceTimeout bounds a trace. The ClickHouse client makes 5 s more than a context
// has left the limit of a query, and readers may have no limit above a minute.
const traceTimeout = 50 * time.Second

// Trace returns what the lake knows of one correlation id, in the order of time.
// It asks under the account for readers, for at most 50 s.
func (a *App) Trace(ctx context.Context, correlation schemas.ID) ([]TraceStep, error) {
	ctx, cancel := context.WithTimeout(ctx, traceTimeout)
	defer cancel()
	l, err := lake.Open(a.lakeConfig(readerAccount))
	if err != nil {
		return nil, err
	}
	t := tracer{lake: l, correlation: fmt.Sprintf("correlation_id = toUUID('%s')", correlation)}
	err = errors.Join(t.follow(ctx), l.Close())
	if err != nil {
		return nil, fmt.Errorf("tracing %s: %w", correlation, err)
	}
	if len(t.steps) == 0 {
		return nil, fmt.Errorf("the lake has nothing with correlation id %s: it may not be loaded yet, see the lags in `pricelake status`; "+
			"a poll, response or event id is another id, the row has its correlation_id", correlation)
	}
	slices.SortStableFunc(t.steps, func(x, y TraceStep) int { return x.At.Compare(y.At) })
	return t.steps, nil
}

// tracer collects the steps of one correlation id. No table is ordered by it, so
// it is looked for in the whole of polls only, which has one row a poll; what the
// poll says of itself then bounds what is read of the others by their keys.
type tracer struct {
	lake        *lake.Lake
	correlation string // the condition
	steps       []TraceStep
}

func (t *tracer) follow(ctx context.Context) error {
	if err := t.read(ctx, StepRequested, requestedSQL, t.correlation); err != nil {
		return err
	}
	where := []string{t.correlation}
	if len(t.steps) > 0 {
		polls := t.where("call_id", TraceStep.call) + t.where("poll_id", TraceStep.id)
		err := t.read(ctx, StepAttempt, attemptsSQL, t.correlation, polls, " AND isNull(attempts.response_id)")
		if err == nil {
			err = t.read(ctx, StepFinished, finishedSQL, t.correlation, polls)
		}
		if err == nil {
			err = t.read(ctx, StepSymbol, symbolsSQL, t.correlation, polls)
		}
		if err != nil {
			return err
		}
		where = append(where, t.source(), t.where("call_id", TraceStep.call), t.fetched())
	}
	// An answer may be in the lake before the poll it is of is.
	if err := t.read(ctx, StepResponse, responsesSQL, where...); err != nil {
		return err
	}
	if err := t.read(ctx, StepDeadLetter, deadLettersSQL, t.correlation); err != nil {
		return err
	}
	if t.source() == "" {
		// As far as the lake knows nobody was asked; but prices are loaded before
		// the poll that they are of. Only new ones are: no table is ordered by the id.
		return t.read(ctx, StepPrice, pricesSQL, t.correlation, " AND fetched_at > now() - INTERVAL 10 MINUTE")
	}
	if err := t.read(ctx, StepPrice, pricesSQL, t.correlation, t.source(), t.fetched()); err != nil {
		return err
	}
	return t.read(ctx, StepRejected, rejectedSQL, t.correlation, t.source(), t.where("call_id", TraceStep.call), t.fetched())
}

func (s TraceStep) call() string { return s.CallID }
func (s TraceStep) id() string   { return s.ID }

// source is the condition on the provider.
func (t *tracer) source() string {
	return t.where("provider", func(s TraceStep) string { return s.Provider })
}

// where is a condition on a column: one of the values that the steps so far have.
func (t *tracer) where(column string, value func(TraceStep) string) string {
	var values []string
	for _, s := range t.steps {
		if v := value(s); v != "" {
			values = append(values, "'"+strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v)+"'")
		}
	}
	slices.Sort(values)
	values = slices.Compact(values)
	if len(values) == 0 {
		return ""
	}
	return fmt.Sprintf(" AND %s IN (%s)", column, strings.Join(values, ", "))
}

// traceSlack is how far clocks may have been set during a poll.
const traceSlack = time.Hour

// fetched is the condition on when the answer was read.
func (t *tracer) fetched() string {
	from, to := t.steps[0].At, t.steps[0].At
	for _, s := range t.steps {
		if s.Step == StepDeadLetter {
			continue // a record may be given up long after it was written
		}
		if s.At.Before(from) {
			from = s.At
		}
		if s.At.After(to) {
			to = s.At
		}
	}
	return fmt.Sprintf(" AND fetched_at BETWEEN fromUnixTimestamp64Micro(%d, 'UTC') AND fromUnixTimestamp64Micro(%d, 'UTC')",
		from.Add(-traceSlack).UnixMicro(), to.Add(traceSlack).UnixMicro())
}

// read adds the rows of a query, whose columns are named as the fields of a step.
func (t *tracer) read(ctx context.Context, step, statement string, where ...string) error {
	statement = fmt.Sprintf("%s WHERE %s ORDER BY recorded_at, _partition, _offset LIMIT %d", statement, strings.Join(where, ""), maxTraceRows+1)
	var names []string
	rows := 0
	head := func(columns []lake.Column) error {
		for _, c := range columns {
			names = append(names, c.Name)
		}
		return nil
	}
	return t.lake.Query(ctx, statement, head, func(cells []*string) error {
		if rows++; rows > maxTraceRows {
			return fmt.Errorf("there are more than %d steps %q; look at them with `pricelake sql`", maxTraceRows, step)
		}
		s := TraceStep{Step: step}
		columns := s.columns()
		for i, c := range cells {
			if c != nil {
				assign(columns[names[i]], *c)
			}
		}
		t.steps = append(t.steps, s)
		return nil
	})
}

// columns says where each column of an answer goes.
func (s *TraceStep) columns() map[string]any {
	return map[string]any{
		"at": &s.At, "id": &s.ID, "call_id": &s.CallID, "provider": &s.Provider, "symbol": &s.Symbol, "instrument": &s.Instrument,
		"outcome": &s.Outcome, "detail": &s.Detail, "attempt": &s.Attempt, "status": &s.Status, "bytes": &s.Bytes, "expired": &s.BodyExpired,
		"price": &s.Price, "bid": &s.Bid, "ask": &s.Ask, "revision": &s.Revision, "event": &s.EventTime,
		"recorded": &s.RecordedAt, "inserted": &s.InsertedAt, "topic": &s.Topic, "_partition": &s.Partition, "_offset": &s.Offset,
	}
}

func assign(to any, value string) {
	switch to := to.(type) {
	case *string:
		*to = value
	case **int64:
		n, _ := strconv.ParseInt(value, 10, 64) // ClickHouse's own number
		*to = &n
	case *time.Time:
		*to = micros(value)
	case *bool:
		*to = value == "1"
	}
}

// What is read of each table; times in microseconds, as status reads them.
const (
	lineageSQL = `, toUnixTimestamp64Micro(recorded_at) AS recorded, toUnixTimestamp64Micro(inserted_at) AS inserted, _partition, _offset`

	requestedSQL = `SELECT toUnixTimestamp64Micro(requested_at) AS at, poll_id AS id, call_id, provider, origin AS outcome,
	concat('slot ', toString(slot)) AS detail FROM polls`
	attemptsSQL = `SELECT toUnixTimestamp64Micro(attempts.started_at) AS at, poll_id AS id, call_id, provider, attempts.number AS attempt,
	attempts.outcome AS outcome, attempts.error AS detail, nullIf(attempts.status, 0) AS status FROM polls ARRAY JOIN attempts`
	finishedSQL = `SELECT toUnixTimestamp64Micro(finished_at) AS at, poll_id AS id, call_id, provider, outcome,
	concat(toString(valued), ' of ', toString(requested), ' symbols valued, ', toString(absent), ' absent, ', toString(failed), ' failed',
	if(error = '', '', concat('; ', error))) AS detail, '` + schemas.TopicPolls + `' AS topic` + lineageSQL + ` FROM polls`
	symbolsSQL = `SELECT toUnixTimestamp64Micro(finished_at) AS at, poll_id AS id, call_id, provider, symbols.symbol AS symbol,
	symbols.instrument AS instrument, symbols.outcome AS outcome, symbols.reason AS detail FROM polls ARRAY JOIN symbols`
	responsesSQL = `SELECT toUnixTimestamp64Micro(fetched_at) AS at, response_id AS id, call_id, provider, attempt, status, body_bytes AS bytes,
	concat(method, ' ', url) AS detail, toDateTime(fetched_at) + toIntervalDay(retention_days) < now() AS expired,
	'` + schemas.TopicResponses + `' AS topic` + lineageSQL + ` FROM responses`
	// A letter may have two rows: one of a role that was killed before it noted it.
	deadLettersSQL = `SELECT DISTINCT ON (dead_letter_id) toUnixTimestamp64Micro(failed_at) AS at, dead_letter_id AS id, call_id, reason AS outcome,
	concat(role, ' gave up ', origin_topic, '[', toString(origin_partition), ']@', toString(origin_offset), ': ', error) AS detail,
	'` + schemas.TopicDeadLetters + `' AS topic` + lineageSQL + ` FROM dead_letters`
	pricesSQL = `SELECT toUnixTimestamp64Micro(recorded_at) AS at, event_id AS id, call_id, provider, instrument,
	if(withdrawn, 'withdrawn', if(rate_type = 'none', toString(kind), toString(rate_type))) AS outcome, price, bid, ask, revision,
	toUnixTimestamp64Micro(event_time) AS event, '` + schemas.TopicPrices + `' AS topic` + lineageSQL + ` FROM prices`
	rejectedSQL = `SELECT toUnixTimestamp64Micro(recorded_at) AS at, reject_id AS id, call_id, provider, symbol, instrument, reason AS outcome, detail,
	'` + schemas.TopicRejected + `' AS topic` + lineageSQL + ` FROM prices_rejected`
)
