package lake

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/schemas"
)

const sqlDoc = "../../docs/sql.md"

// fill puts enough into the lake for every example of docs/sql.md to answer.
func fill(t *testing.T, l *Lake) {
	t.Helper()
	day := time.Now().UTC().Truncate(24 * time.Hour)
	ago := func(d time.Duration) string {
		return time.Now().UTC().Add(-d).Truncate(time.Minute).Format(time.DateTime)
	}
	date := day.Format(time.DateTime)
	tell(t, l, 1,
		said{instrument: "BTC-USD", provider: "kraken", kind: ticker, rate: last, price: "73380.6", bid: "73380.6", ask: "73380.7", time: ago(2 * time.Minute)},
		said{instrument: "BTC-USD", provider: "coinbase", kind: trade, rate: last, price: "73271.63", size: "2", time: ago(3 * time.Minute)},
		said{instrument: "BTC-USD", provider: "binance", kind: quoted, rate: none, bid: "73380.6", ask: "73380.7", time: ago(2 * time.Minute)},
		said{instrument: "EUR-USD", provider: "ecb", kind: fixing, rate: official, price: "1.17", time: date, recorded: date},
		said{instrument: "EUR-USD", provider: "ecb", kind: fixing, rate: official, price: "1.18", time: date, revision: 1},
		said{instrument: "EUR-GBP", provider: "ecb", kind: fixing, rate: official, price: "0.87", time: date},
	)
	s := openSink(t, l)
	write := func(topic string, offset int64, v any) {
		t.Helper()
		if err := s.Write(t.Context(), block(record(t, topic, offset, v))); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now().UTC()
	write(schemas.TopicCalls, 1, schemas.CallDefined{CallID: "kraken-ticker", Version: "v1", Provider: "kraken", Enabled: true, Schedule: schemas.CallSchedule{EveryMicros: 60_000_000}, DefinedAt: now,
		Symbols: []schemas.CallSymbol{{Symbol: "XBTUSD", Instrument: "BTC-USD"}}})
	write(schemas.TopicInstruments, 1, schemas.InstrumentDefined{Instrument: "BTC-USD", AssetClass: "crypto", DefinedAt: now})
	for i, outcome := range []schemas.PollOutcome{schemas.PollValued, schemas.PollFailed, schemas.PollPartial} {
		at := now.Add(time.Duration(i-4) * time.Minute)
		id := schemas.DeriveID("response", fmt.Sprint(i))
		write(schemas.TopicPolls, int64(i), schemas.PollFinished{CallID: "kraken-ticker", Provider: "kraken", Slot: at, RequestedAt: at, StartedAt: at, FinishedAt: at, Outcome: outcome,
			Attempts: []schemas.PollAttempt{{Number: 1, StartedAt: at, Status: 429, Outcome: schemas.AttemptRateLimited}, {Number: 2, StartedAt: at, Status: 200, Outcome: schemas.AttemptOK, ResponseID: &id}},
			Symbols:  []schemas.SymbolOutcome{{Symbol: "XBTUSD", Instrument: "BTC-USD", Outcome: schemas.ValueAbsent}}})
	}
	write(schemas.TopicResponses, 1, schemas.ResponseReceived{ResponseID: schemas.DeriveID("response"), CallID: "kraken-ticker", Provider: "kraken", Slot: now, RequestedAt: now, FetchedAt: now, Status: 200, Body: []byte(`{"result":{}}`)})
	write(schemas.TopicRejected, 1, schemas.PriceRejected{Provider: "kraken", CallID: "kraken-ticker", Reason: schemas.RejectBadNumber, Detail: "n/a", Fragment: "{}", FetchedAt: now})
	write(schemas.TopicDeadLetters, 1, schemas.DeadLetter{OriginTopic: schemas.TopicRequests, OriginTimestamp: now, Role: "poller", Reason: schemas.DeadAttempts, Error: "status 500", FailedAt: now})
}

// documentedSQL returns the statements of a document.
func documentedSQL(t *testing.T, text string) []string {
	t.Helper()
	var all []string
	for _, block := range regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(text, -1) {
		for _, statement := range strings.Split(block[1], ";\n") {
			if strings.TrimSpace(statement) != "" {
				all = append(all, statement)
			}
		}
	}
	if len(all) < 18 {
		t.Errorf("only %d examples", len(all))
	}
	return all
}

// Every example of docs/sql.md runs and answers with a row; every table, view and
// column is described there in the words of its COMMENT.
func TestDocumentedSQL(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(sqlDoc)
	if err != nil {
		t.Fatal(err)
	}
	l := openLake(t)
	fill(t, l)
	for _, statement := range documentedSQL(t, string(text)) {
		if ask(t, l, statement) == "" {
			t.Errorf("no row comes of\n%s", statement)
		}
	}
	for _, table := range strings.Split(ask(t, l, "SELECT name FROM system.tables WHERE database = currentDatabase() AND name != 'migrations'"), "\n") {
		if !strings.Contains(string(text), "`"+table+"`") {
			t.Errorf("%s is not described", table)
		}
	}
	for _, row := range strings.Split(ask(t, l, `
		SELECT table || ': | '||'`+"`"+`'||name||'`+"`"+` | '||if(type LIKE '%Enum8%', 'enum', type)||' | '||comment||' |'
		FROM system.columns WHERE database = currentDatabase() AND comment != '' AND table IN
			(SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'MergeTree') ORDER BY table, position`), "\n") {
		_, line, _ := strings.Cut(row, ": ")
		if name, _, _ := strings.Cut(line[2:], " |"); strings.Contains(name, ".") {
			line = name // the columns of a Nested structure share a line
		}
		if !strings.Contains(string(text), line) {
			t.Errorf("not described: %s", row)
		}
	}
}
