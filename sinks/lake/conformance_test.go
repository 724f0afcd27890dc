package lake

import (
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
	"github.com/pricelake/pricelake/sinks/sinktest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	conform(t, l, openSink(t, l))
}

func conform(t *testing.T, l *Lake, s sinks.Store) {
	var subjects byte
	sinktest.Run(t, func(t *testing.T) *sinktest.Subject {
		subjects += 2
		return &sinktest.Subject{
			Store: s, Topic: schemas.TopicPrices, TopicID: stream.TopicID{15: subjects},
			// Neighbours fall into different months, hence into INSERTs of
			// their own.
			Record: func(offset int64) stream.Record {
				p := somePrice(t, int(offset))
				p.EventTime = p.EventTime.AddDate(0, -int(offset%3), 0)
				return record(t, schemas.TopicPrices, offset, p)
			},
			Bad: func(offset int64) stream.Record { return record(t, schemas.TopicPrices, offset, "{") },
			Rows: func(t *testing.T, p sinks.Partition) map[int64]int {
				rows := map[int64]int{}
				err := l.lineage(t.Context(), "prices", sinks.Range{Partition: p, First: 0, Last: 1 << 40}, func(offset int64) { rows[offset]++ })
				if err != nil {
					t.Fatal(err)
				}
				return rows
			},
		}
	})
}

// Every topic's table takes a record and tells it apart.
func TestEveryTableTakesItsRecord(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	s := openSink(t, l)
	letter, factor := schemas.DeriveID("correlation"), dec(t, "0.01").Decimal
	date := schemas.DateOf(1950, 2, 3)
	values := map[string]any{
		schemas.TopicPrices:   somePrice(t, 1),
		schemas.TopicRejected: schemas.PriceRejected{Reason: schemas.RejectBadNumber, Detail: "no number", FetchedAt: utc("2026-01-05 00:00:00")},
		schemas.TopicPolls: schemas.PollFinished{
			CallID: "c", Slot: utc("2026-01-05 00:00:00"), RequestedAt: utc("2026-01-05 00:00:00"), StartedAt: utc("2026-01-05 00:00:00"), FinishedAt: utc("2026-01-05 00:00:01"),
			Outcome: schemas.PollPartial, Requested: 2, Valued: 1, Absent: 1,
			Attempts: []schemas.PollAttempt{
				{Number: 1, StartedAt: utc("2026-01-05 00:00:00"), Status: 429, Outcome: schemas.AttemptRateLimited, Error: "it's full"},
				{Number: 2, StartedAt: utc("2026-01-05 00:00:00"), Status: 200, Outcome: schemas.AttemptOK, ResponseID: &letter},
			},
			Symbols: []schemas.SymbolOutcome{{Symbol: "X", Instrument: "X-USD", Outcome: schemas.ValueAbsent, Reason: "not there"}},
		},
		schemas.TopicResponses: schemas.ResponseReceived{
			CallID: "c", CallVersion: "v", Slot: time.Now(), RequestedAt: time.Now(), FetchedAt: time.Now(),
			Status: 200, Headers: map[string]string{"etag": "1", "date": "x"}, Body: []byte("\x00\xff{}"),
		},
		schemas.TopicDeadLetters: schemas.DeadLetter{
			OriginTopic: "t", OriginTimestamp: utc("2026-01-05 00:00:00"), Reason: schemas.DeadDecode, FailedAt: utc("2026-01-05 00:00:00"),
			CorrelationID: &letter, Key: []byte("k"), Value: []byte{0, 255}, Headers: map[string][]byte{"h": {1}},
		},
		schemas.TopicInstruments: schemas.InstrumentDefined{Instrument: "BTC-USD", AssetClass: "crypto", MinorUnitFactor: factor, DefinedAt: utc("2026-01-05 00:00:00")},
		schemas.TopicCalls: schemas.CallDefined{
			CallID: "c", Version: "v", Request: schemas.CallRequest{Method: "GET", URL: "http://x", Query: map[string]string{"a": "b"}},
			Symbols: []schemas.CallSymbol{{Symbol: "X", Aliases: []string{"XX", "XXX"}, Factor: factor, ValidFrom: &date}, {Symbol: "Y"}}, DefinedAt: utc("2026-01-05 00:00:00"),
		},
	}
	for _, table := range Tables() {
		if err := s.Write(t.Context(), block(record(t, table.Topic, 1, values[table.Topic]))); err != nil {
			t.Errorf("%s: %v", table.Topic, err)
		}
	}
	for query, want := range map[string]string{
		"SELECT reason, detail FROM prices_rejected":                                                            "bad_number\tno number",
		"SELECT attempts.number, attempts.outcome, attempts.error, attempts.response_id FROM polls":             "[1,2]\t['rate_limited','ok']\t['it\\'s full','']\t[NULL,'" + letter.String() + "']",
		"SELECT outcome, s.symbol, s.outcome FROM polls ARRAY JOIN symbols AS s":                                "partial\tX\tabsent",
		"SELECT hex(body), body_bytes, headers, retention_days FROM responses":                                  "00FF7B7D\t4\t{'date':'x','etag':'1'}\t90",
		"SELECT hex(value), headers, correlation_id FROM dead_letters":                                          "00FF\t{'h':'\x01'}\t" + letter.String(),
		"SELECT instrument, minor_unit_factor FROM instruments":                                                 "BTC-USD\t0.01",
		"SELECT call_id, query, symbols.symbol, symbols.aliases, symbols.factor, symbols.valid_from FROM calls": "c\t{'a':'b'}\t['X','Y']\t[['XX','XXX'],[]]\t[0.01,0]\t['1950-02-03',NULL]",
	} {
		if got := ask(t, l, query); got != want {
			t.Errorf("%s\n= %s\nwant %s", query, got, want)
		}
	}
	stats, err := l.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stats {
		if s.Rows != 1 || s.Newest.IsZero() {
			t.Errorf("stats of %s: %d rows, newest %v", s.Table, s.Rows, s.Newest)
		}
	}
	if got := strings.Count(ask(t, l, "SELECT name FROM system.tables WHERE database = currentDatabase()"), "\n"); got < 15 {
		t.Errorf("%d tables and views", got+1)
	}
}
