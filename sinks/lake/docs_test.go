package lake

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/schemas"
)

const sqlDoc = "../../docs/sql.md"

// cookbook is the lake that docs/sql.md asks: every answer there was worked out
// by hand from what stands here.
func cookbook() []said {
	at := func(clock string) string { return "2026-01-05 " + clock }
	btc := said{instrument: "BTC-USD"}
	kraken := func(time, price, bid, ask string) said {
		p := btc
		p.provider, p.kind, p.rate, p.time, p.price, p.bid, p.ask = "kraken", ticker, last, at(time), price, bid, ask
		return p
	}
	coinbase := func(time, price, size string) said {
		p := btc
		p.provider, p.kind, p.rate, p.time, p.price, p.size = "coinbase", trade, last, at(time), price, size
		return p
	}
	binance := func(time, bid, ask string) said {
		p := btc
		p.provider, p.kind, p.rate, p.time, p.bid, p.ask = "binance", quoted, none, at(time), bid, ask
		return p
	}
	ecb := func(quote, day, price, recorded string, revision int32) said {
		return said{instrument: "EUR-" + quote, provider: "ecb", kind: fixing, rate: official, price: price, time: day + " 00:00:00", recorded: recorded, revision: revision}
	}
	bank := func(rate schemas.RateType, price string) said {
		return said{instrument: "USD-CZK", provider: "bank", kind: fixing, rate: rate, price: price, time: at("00:00:00"), recorded: at("08:00:00")}
	}
	withdrawn := ecb("JPY", "2026-01-02", "1600", "2026-01-03 09:00:00", 1)
	withdrawn.withdrawn = true
	return []said{
		kraken("10:00:05", "90000.1", "90000", "90000.2"), kraken("10:01:10", "90010", "90009.5", "90010.5"), kraken("10:04:30", "89990.5", "89990", "89991"),
		coinbase("10:00:02", "90000", "0.5"), coinbase("10:00:40", "90020", "0.25"), coinbase("10:03:15", "89980", "1.25"),
		binance("10:00:01", "89999", "90001"), binance("10:03:00", "89985", "89986"), binance("10:05:00", "90002", "90001"),
		{instrument: "BTC-EUR", provider: "kraken", kind: ticker, rate: last, price: "76500", time: at("10:04:30"), event: "bitcoin in euros"},
		{instrument: "ETH-USD", provider: "kraken", kind: ticker, rate: last, price: "3000", time: "2026-01-04 10:00:00"},
		{instrument: "ETH-USD", provider: "kraken", kind: ticker, rate: last, price: "3150", time: at("10:00:00")},
		ecb("USD", "2026-01-02", "1.17", "2026-01-02 15:00:00", 0), ecb("USD", "2026-01-02", "1.18", at("09:00:00"), 1), ecb("USD", "2026-01-05", "1.2", at("15:00:00"), 0),
		ecb("GBP", "2026-01-02", "0.88", "2026-01-02 15:00:00", 0), ecb("GBP", "2026-01-05", "0.8", at("15:00:00"), 0),
		ecb("JPY", "2026-01-02", "1600", "2026-01-02 15:00:00", 0), withdrawn,
		bank(schemas.RateBuy, "20.5"), bank(schemas.RateSell, "21.5"),
	}
}

// fill makes the lake of the cookbook. Only polls are of today, because the views
// freshness and gaps look back from now.
func fill(t *testing.T, l *Lake) {
	t.Helper()
	tell(t, l, 1, cookbook()...)
	s := openSink(t, l)
	write := func(topic string, offset int64, v any) {
		t.Helper()
		if err := s.Write(t.Context(), block(record(t, topic, offset, v))); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now().UTC().Truncate(time.Minute)
	write(schemas.TopicCalls, 1, schemas.CallDefined{CallID: "kraken-ticker", Version: "v1", Provider: "kraken", Enabled: true, Redistribution: "no",
		Schedule: schemas.CallSchedule{EveryMicros: 60_000_000}, DefinedAt: now,
		Symbols: []schemas.CallSymbol{{Symbol: "XBTUSD", Instrument: "BTC-USD"}, {Symbol: "XBTCHF", Instrument: "BTC-CHF"}}})
	write(schemas.TopicCalls, 2, schemas.CallDefined{CallID: "ecb-daily", Version: "v1", Provider: "ecb", Enabled: true, Redistribution: "free",
		Schedule: schemas.CallSchedule{Cron: "5 15 * * 1-5"}, DefinedAt: now, Symbols: []schemas.CallSymbol{{Symbol: "USD", Instrument: "EUR-USD"}}})
	write(schemas.TopicInstruments, 1, schemas.InstrumentDefined{Instrument: "BTC-USD", AssetClass: "crypto", DefinedAt: now})
	ok := schemas.PollAttempt{Status: 200, Outcome: schemas.AttemptOK}
	limited := schemas.PollAttempt{Status: 429, Outcome: schemas.AttemptRateLimited}
	broken := schemas.PollAttempt{Status: 500, Outcome: schemas.AttemptStatus, Error: "status 500"}
	for i, p := range []struct {
		call, provider string
		minutesAgo     int
		outcome        schemas.PollOutcome
		attempts       []schemas.PollAttempt
		absent         string
	}{
		{"ecb-daily", "ecb", 60, schemas.PollValued, []schemas.PollAttempt{ok}, ""},
		{"kraken-ticker", "kraken", 12, schemas.PollValued, []schemas.PollAttempt{ok}, ""},
		{"kraken-ticker", "kraken", 11, schemas.PollFailed, []schemas.PollAttempt{limited, broken}, ""},
		{"kraken-ticker", "kraken", 10, schemas.PollPartial, []schemas.PollAttempt{ok}, "XBTCHF"},
		{"kraken-ticker", "kraken", 6, schemas.PollFailed, []schemas.PollAttempt{broken}, ""},
	} {
		at := now.Add(-time.Duration(p.minutesAgo) * time.Minute)
		poll := schemas.PollFinished{CallID: p.call, Provider: p.provider, Slot: at, RequestedAt: at, StartedAt: at, FinishedAt: at, Outcome: p.outcome, Error: p.attempts[len(p.attempts)-1].Error}
		for n, a := range p.attempts {
			a.Number, a.StartedAt = int32(n+1), at
			poll.Attempts = append(poll.Attempts, a)
		}
		if p.absent != "" {
			poll.Symbols = []schemas.SymbolOutcome{{Symbol: p.absent, Instrument: "BTC-CHF", Outcome: schemas.ValueAbsent}}
		}
		write(schemas.TopicPolls, int64(i), poll)
	}
	write(schemas.TopicResponses, 1, schemas.ResponseReceived{ResponseID: schemas.DeriveID("response", "bitcoin in euros"), CallID: "kraken-ticker", Provider: "kraken", Slot: now, RequestedAt: now, FetchedAt: now,
		URL: "https://api.example.com/ticker?pair=XBTEUR", Status: 200, Body: []byte(`{"c":["76500"]}`)})
	write(schemas.TopicRejected, 1, schemas.PriceRejected{Provider: "kraken", CallID: "kraken-ticker", Reason: schemas.RejectBadNumber, Detail: `"n/a" is no number`, Fragment: `{"c":["n/a"]}`, FetchedAt: now})
	for offset := range int64(2) { // one letter, stored twice: its role was killed before it had noted it
		write(schemas.TopicDeadLetters, offset, schemas.DeadLetter{OriginTopic: schemas.TopicRequests, OriginTimestamp: now, Role: "poller", Reason: schemas.DeadAttempts, Error: "status 500", FailedAt: now})
	}
}

// question is an example of docs/sql.md: a statement and the table that answers
// it, row by row, the names of the columns first.
type question struct {
	sql    string
	answer [][]string
}

// questions returns the examples of a document.
func questions(t *testing.T, text string) []question {
	t.Helper()
	var all []question
	for _, m := range regexp.MustCompile("(?s)```sql\n(.*?);\n```\n((?:\\|[^\n]*\\|\n)*)").FindAllStringSubmatch(text, -1) {
		q := question{sql: m[1]}
		for i, line := range strings.Split(strings.TrimSpace(m[2]), "\n") {
			if i == 1 {
				continue // the rule under the header
			}
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for j := range cells {
				cells[j] = strings.TrimSpace(cells[j])
			}
			q.answer = append(q.answer, cells)
		}
		all = append(all, q)
	}
	if len(all) < 25 || len(all) != strings.Count(text, "```sql") {
		t.Errorf("%d questions, of %d pieces of SQL", len(all), strings.Count(text, "```sql"))
	}
	return all
}

// ask asks a question and returns the answer as docs/sql.md shows it: NULL for
// null, whole seconds without a fraction.
func (q question) ask(t *testing.T, l *Lake) [][]string {
	t.Helper()
	var got [][]string
	err := l.Query(t.Context(), q.sql, func(columns []Column) error {
		var names []string
		for _, c := range columns {
			names = append(names, c.Name)
		}
		got = append(got, names)
		return nil
	}, func(row []*string) error {
		var cells []string
		for _, v := range row {
			if v == nil {
				cells = append(cells, "NULL")
				continue
			}
			cells = append(cells, strings.TrimSuffix(*v, ".000000"))
		}
		got = append(got, cells)
		return nil
	})
	if err != nil {
		t.Errorf("%s\n%v", q.sql, err)
	}
	return got
}

// Every question of docs/sql.md has the answer that stands below it, of one who
// may only read as well.
func TestCookbook(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(sqlDoc)
	if err != nil {
		t.Fatal(err)
	}
	l := openLake(t)
	fill(t, l)
	for _, q := range questions(t, string(text)) {
		if got := q.ask(t, l); !reflect.DeepEqual(got, q.answer) {
			t.Errorf("%s\nis answered by\n%s\nwant\n%s", q.sql, shown(got), shown(q.answer))
		}
	}
}

func shown(rows [][]string) string {
	var b strings.Builder
	for _, cells := range rows {
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	return b.String()
}

// Every table, view and column is described in docs/sql.md, in the words of its
// COMMENT.
func TestDocumentedTables(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(sqlDoc)
	if err != nil {
		t.Fatal(err)
	}
	l := openLake(t)
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
