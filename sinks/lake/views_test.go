package lake

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/schemas"
)

// said is a price in a few words.
type said struct {
	instrument, provider  string
	kind                  schemas.Kind
	rate                  schemas.RateType
	price, bid, ask, size string
	time                  string
	revision              int32
	withdrawn             bool
	recorded              string // default: when it happened
	event                 string // default: of its own
}

func (p said) identity() string {
	if p.event != "" {
		return p.event
	}
	return p.instrument + p.provider + p.time + p.kind.String() + p.rate.String()
}

// tell writes prices in the order in which they were said.
func tell(t *testing.T, l *Lake, topic byte, all ...said) {
	t.Helper()
	s := openSink(t, l)
	for i, p := range all {
		base, quote, _ := strings.Cut(p.instrument, "-")
		price := schemas.Price{
			EventID: schemas.DeriveID("test", p.identity()), ResponseID: schemas.DeriveID("response", p.identity()), Revision: p.revision, Withdrawn: p.withdrawn,
			Provider: p.provider, CallID: p.provider + "-call", Instrument: p.instrument, Base: base, Quote: quote,
			Kind: p.kind, RateType: p.rate, Price: dec(t, p.price), Bid: dec(t, p.bid), Ask: dec(t, p.ask), Size: dec(t, p.size),
			EventTime: utc(p.time), EventTimeKind: schemas.TimeSource, RequestedAt: utc(p.time), FetchedAt: utc(p.time),
		}
		if p.kind == schemas.KindFixing {
			date := schemas.DateOfTime(price.EventTime)
			price.ValueDate = &date
		}
		r := record(t, schemas.TopicPrices, int64(i), price)
		r.TopicID[0] = topic
		r.Timestamp = price.EventTime
		if p.recorded != "" {
			r.Timestamp = utc(p.recorded)
		}
		if err := s.Write(t.Context(), block(r)); err != nil {
			t.Fatal(err)
		}
	}
}

// answers fails unless each query has the answer.
func answers(t *testing.T, l *Lake, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got := ask(t, l, pairs[i]); got != pairs[i+1] {
			t.Errorf("%s\n= %s\nwant %s", pairs[i], got, pairs[i+1])
		}
	}
}

const (
	ticker, quoted, trade, fixing = schemas.KindTicker, schemas.KindQuote, schemas.KindTrade, schemas.KindFixing
	last, none, official          = schemas.RateLast, schemas.RateNone, schemas.RateOfficial
)

func TestCurrentLatestAndAsKnownAt(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	tell(t, l, 1,
		said{instrument: "BTC-USD", provider: "kraken", kind: ticker, rate: last, price: "100", bid: "99", ask: "101", time: "2026-01-05 10:00:00"},
		// restated twice, later withdrawn, then restated again
		said{instrument: "EUR-USD", provider: "ecb", kind: fixing, rate: official, price: "1.10", time: "2026-01-05 00:00:00", recorded: "2026-01-05 15:00:00"},
		said{instrument: "EUR-USD", provider: "ecb", kind: fixing, rate: official, price: "1.11", time: "2026-01-05 00:00:00", revision: 1, recorded: "2026-01-06 15:00:00"},
		said{instrument: "EUR-USD", provider: "ecb", kind: fixing, rate: official, price: "1.11", time: "2026-01-05 00:00:00", revision: 2, withdrawn: true, recorded: "2026-01-07 15:00:00"},
		said{instrument: "EUR-USD", provider: "ecb", kind: fixing, rate: official, price: "1.12", time: "2026-01-02 00:00:00", recorded: "2026-01-02 15:00:00"},
		// the newest has a null price and was recorded before an older one
		said{instrument: "BTC-USD", provider: "binance", kind: quoted, rate: none, bid: "98", ask: "100.000000000000000001", time: "2026-01-05 11:00:00"},
		said{instrument: "BTC-USD", provider: "binance", kind: quoted, rate: none, bid: "1", ask: "2", time: "2026-01-05 10:59:59", recorded: "2026-01-05 12:00:00"},
		// the newest of one source is withdrawn, and the one before was restated
		said{instrument: "ETH-USD", provider: "kraken", kind: trade, rate: last, price: "7", size: "2", time: "2026-01-05 10:00:00"},
		said{instrument: "ETH-USD", provider: "kraken", kind: trade, rate: last, price: "8", size: "2", time: "2026-01-05 10:00:00", revision: 1, recorded: "2026-01-05 10:01:00"},
		said{instrument: "ETH-USD", provider: "kraken", kind: trade, rate: last, price: "9", size: "2", time: "2026-01-05 10:00:05"},
		said{instrument: "ETH-USD", provider: "kraken", kind: trade, rate: last, price: "9", size: "2", time: "2026-01-05 10:00:05", revision: 1, withdrawn: true, recorded: "2026-01-05 10:02:00"},
	)
	answers(t, l,
		"SELECT instrument, provider, price, revision, event_time FROM prices_current ORDER BY instrument, provider, event_time",
		"BTC-USD\tbinance\t\\N\t0\t2026-01-05 10:59:59.000000\nBTC-USD\tbinance\t\\N\t0\t2026-01-05 11:00:00.000000\nBTC-USD\tkraken\t100\t0\t2026-01-05 10:00:00.000000\n"+
			"ETH-USD\tkraken\t8\t1\t2026-01-05 10:00:00.000000\nEUR-USD\tecb\t1.12\t0\t2026-01-02 00:00:00.000000",
		"SELECT price, revision FROM as_known_at(t = '2026-01-05 15:00:00') WHERE instrument = 'EUR-USD' ORDER BY event_time", "1.12\t0\n1.1\t0",
		"SELECT price, revision FROM as_known_at(t = '2026-01-06 15:00:00') WHERE instrument = 'EUR-USD' ORDER BY event_time", "1.12\t0\n1.11\t1",
		"SELECT price, revision FROM as_known_at(t = '2026-01-07 15:00:00') WHERE instrument = 'EUR-USD' ORDER BY event_time", "1.12\t0",
		"SELECT instrument, provider, rate_type, price, bid, ask, event_time, age_seconds > 0, revision FROM prices_latest ORDER BY instrument, provider",
		"BTC-USD\tbinance\tnone\t\\N\t98\t100.000000000000000001\t2026-01-05 11:00:00.000000\t1\t0\nBTC-USD\tkraken\tlast\t100\t99\t101\t2026-01-05 10:00:00.000000\t1\t0\n"+
			"ETH-USD\tkraken\tlast\t8\t\\N\t\\N\t2026-01-05 10:00:00.000000\t1\t1\nEUR-USD\tecb\tofficial\t1.12\t\\N\t\\N\t2026-01-02 00:00:00.000000\t1\t0",
		"SELECT instrument, value, value_is, provider FROM prices_latest_best ORDER BY instrument",
		"BTC-USD\t99\tmid\tbinance\nETH-USD\t8\tprice\tkraken\nEUR-USD\t1.12\tprice\tecb",
	)
}

// prices_latest must not read the table, prices_current not more than a day of an
// instrument: that is what keeps them fast on 100 million rows.
func TestViewsUseKeysAndProjections(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	tell(t, l, 1, said{instrument: "BTC-USD", provider: "kraken", kind: ticker, rate: last, price: "100", time: "2026-01-05 10:00:00"},
		said{instrument: "EUR-USD", provider: "kraken", kind: ticker, rate: last, price: "100", time: "2026-02-05 10:00:00"})
	if plan := ask(t, l, "EXPLAIN SELECT count() FROM prices_latest"); !strings.Contains(plan, "ReadFromMergeTree (newest)") {
		t.Errorf("prices_latest does not read the projection:\n%s", plan)
	}
	tell(t, l, 2, said{instrument: "OIL-USD", provider: "kraken", kind: ticker, rate: last, price: "100", time: "2026-03-05 10:00:00", withdrawn: true})
	// The plan of the view does not show the queries of its sets.
	const withdrawn = "SELECT instrument, provider, rate_type FROM prices WHERE withdrawn"
	view := ask(t, l, "SELECT as_select FROM system.tables WHERE database = currentDatabase() AND name = 'prices_latest_rates'")
	if words := strings.Join(strings.Fields(strings.ReplaceAll(view, ask(t, l, "SELECT currentDatabase()")+".", "")), " "); !strings.Contains(words, withdrawn) {
		t.Errorf("prices_latest does not ask where something was withdrawn, with %s:\n%s", withdrawn, words)
	}
	if plan := ask(t, l, "EXPLAIN indexes = 1 "+withdrawn); !strings.Contains(plan, "Name: withdrawals") || !strings.Contains(plan, "Parts: 1/3") {
		t.Errorf("what was withdrawn is looked for in more than the part that has it:\n%s", plan)
	}
	if plan := ask(t, l, "EXPLAIN indexes = 1 SELECT * FROM prices_current WHERE instrument = 'BTC-USD' AND event_time >= '2026-01-05 00:00:00' AND event_time < '2026-01-06 00:00:00'"); !strings.Contains(plan, "Parts: 1/3") || !strings.Contains(plan, "PrimaryKey") {
		t.Errorf("prices_current does not let conditions through:\n%s", plan)
	}
	if plan := ask(t, l, "EXPLAIN SELECT _offset FROM prices WHERE _topic_id = '01020300-0000-0000-0000-000000000004' AND _partition = 0 AND _offset BETWEEN 0 AND 10 ORDER BY _offset"); !strings.Contains(plan, "ReadFromMergeTree (records)") {
		t.Errorf("Present does not read the projection:\n%s", plan)
	}
}

// insertPlain makes an INSERT of so many prices of a hundred instruments, in one instant.
func insertPlain(t *testing.T, l *Lake, rows int) {
	t.Helper()
	err := l.conn.Exec(t.Context(), fmt.Sprintf("INSERT INTO prices (event_id, instrument, provider, rate_type, price, event_time) "+
		"SELECT generateUUIDv4(), toString(number %% 100), 'kraken', 'last', 1, '2026-01-05 10:00:00' FROM numbers(%d)", rows))
	if err != nil {
		t.Fatal(err)
	}
}

// A block of the sink is a part in one file (migration 19); of what ClickHouse merges
// them to, questions read single columns.
func TestBlocksAreOneFile(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	for range 10 {
		insertPlain(t, l, 100_000)
	}
	const parts = "SELECT DISTINCT part_type, level > 0 FROM system.parts WHERE database = currentDatabase() AND table = 'prices' AND active"
	if got := ask(t, l, parts); got != "Compact\t0" {
		t.Errorf("blocks are %q", got)
	}
	if err := l.conn.Exec(t.Context(), "OPTIMIZE TABLE prices FINAL"); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, l, parts); got != "Wide\t1" {
		t.Errorf("merged they are %q", got)
	}
}

func TestOHLC(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	at := func(time, price, size, recorded string) said {
		return said{instrument: "BTC-USD", provider: "coinbase", kind: trade, rate: last, price: price, size: size, time: time, recorded: recorded, event: time + price}
	}
	tell(t, l, 1,
		at("2026-01-05 10:00:59", "12", "1", ""),
		at("2026-01-05 10:00:00", "10", "0.5", "2026-01-05 10:00:02"), // two of one instant: the earlier recorded opens
		at("2026-01-05 10:00:00", "11", "0.25", "2026-01-05 10:00:01"),
		at("2026-01-05 10:00:30", "9.000000000000000001", "1", ""),
		at("2026-01-05 10:01:00", "13", "2", ""),
		said{instrument: "BTC-USD", provider: "binance", kind: quoted, rate: none, bid: "10", ask: "11", time: "2026-01-05 10:00:10"},
	)
	answers(t, l,
		"SELECT provider, bar, open, high, low, close, volume, prices FROM ohlc(seconds = 60) WHERE instrument = 'BTC-USD' ORDER BY provider, bar",
		"binance\t2026-01-05 10:00:00\t10.5\t10.5\t10.5\t10.5\t0\t1\n"+
			"coinbase\t2026-01-05 10:00:00\t11\t12\t9.000000000000000001\t12\t2.75\t4\n"+
			"coinbase\t2026-01-05 10:01:00\t13\t13\t13\t13\t2\t1",
		"SELECT open, close, volume FROM ohlc(seconds = 3600) WHERE provider = 'coinbase'", "11\t13\t4.75",
	)
}

func TestFX(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	fix := func(instrument, price, time string) said {
		return said{instrument: instrument, provider: "ecb", kind: fixing, rate: official, price: price, time: time}
	}
	tell(t, l, 1,
		fix("EUR-USD", "1.25", "2026-01-05 00:00:00"), fix("EUR-GBP", "0.8", "2026-01-05 00:00:00"), fix("EUR-JPY", "160", "2026-01-02 00:00:00"),
		fix("EUR-USD", "1.6", "2026-01-20 00:00:00"),
		said{instrument: "USD-CHF", provider: "snb", kind: fixing, rate: official, price: "0.5", time: "2026-01-05 00:00:00"},
		// a provider that is less official says something else at the same instant
		said{instrument: "EUR-USD", provider: "aaa", kind: fixing, rate: schemas.RateMid, price: "9", time: "2026-01-05 00:00:00"},
		said{instrument: "EUR-USD", provider: "bbb", kind: fixing, rate: schemas.RateBuy, price: "9", time: "2026-01-05 01:00:00"},
		// not a rate: no fixing, and the catalog does not call it fx
		said{instrument: "USD-GBP", provider: "kraken", kind: ticker, rate: last, price: "9", time: "2026-01-05 00:00:00"},
		said{instrument: "BTC-USD", provider: "kraken", kind: ticker, rate: last, price: "100000.000000000000000001", bid: "99999", time: "2026-01-05 12:00:00"},
		said{instrument: "BTC-GBP", provider: "kraken", kind: ticker, rate: last, price: "80000", time: "2026-01-05 12:00:00"},
		said{instrument: "BTC-CHF", provider: "kraken", kind: ticker, rate: last, price: "60000", time: "2026-01-05 12:00:00"},
		said{instrument: "BTC-EUR", provider: "kraken", kind: ticker, rate: last, price: "80000", time: "2026-01-05 12:00:00"},
		said{instrument: "BTC-USD", provider: "kraken", kind: ticker, rate: last, price: "1", time: "2026-03-05 12:00:00"},
		said{instrument: "BTC-ZAR", provider: "kraken", kind: ticker, rate: last, price: "1", time: "2026-01-05 12:00:00"},
	)
	asof := func(base, quote, at string) string {
		return "SELECT rate, path, event_time, value_date, age_seconds, providers FROM fx_asof(base = '" + base + "', quote = '" + quote + "', at = '" + at + "')"
	}
	answers(t, l,
		asof("EUR", "USD", "2026-01-06 00:00:00"), "1.25\tEUR-USD\t2026-01-05 00:00:00.000000\t2026-01-05\t86400\t['ecb']",
		asof("USD", "EUR", "2026-01-06 00:00:00"), "0.8\t1/EUR-USD\t2026-01-05 00:00:00.000000\t2026-01-05\t86400\t['ecb']",
		asof("USD", "GBP", "2026-01-06 00:00:00"), "0.64\t1/EUR-USD EUR-GBP\t2026-01-05 00:00:00.000000\t2026-01-05\t86400\t['ecb','ecb']",
		asof("JPY", "GBP", "2026-01-06 00:00:00"), "0.005\t1/EUR-JPY EUR-GBP\t2026-01-02 00:00:00.000000\t2026-01-02\t345600\t['ecb','ecb']",
		asof("CHF", "EUR", "2026-01-06 00:00:00"), "1.6\t1/USD-CHF 1/EUR-USD\t2026-01-05 00:00:00.000000\t2026-01-05\t86400\t['snb','ecb']",
		asof("USD", "USD", "2026-01-06 00:00:00"), "1\tsame\t2026-01-06 00:00:00.000000\t\\N\t0\t[]",
		asof("EUR", "JPY", "2026-01-15 23:59:59"), "160\tEUR-JPY\t2026-01-02 00:00:00.000000\t2026-01-02\t1209599\t['ecb']",
		asof("EUR", "JPY", "2026-01-16 00:00:00"), "", // 14 days
		asof("EUR", "USD", "2026-01-04 23:59:59"), "", // nothing before it was
		asof("EUR", "USD", "2026-01-20 00:00:00"), "1.6\tEUR-USD\t2026-01-20 00:00:00.000000\t2026-01-20\t0\t['ecb']",
		"SELECT quote, price, price_in, bid_in, rate, rate_path, rate_time, rate_age_seconds FROM prices_in(currency = 'EUR') WHERE base = 'BTC' ORDER BY quote, event_time",
		"CHF\t60000\t96000\t\\N\t1.6\t1/USD-CHF 1/EUR-USD\t2026-01-05 00:00:00.000000\t43200\n"+
			"EUR\t80000\t80000\t\\N\t1\tsame\t2026-01-05 12:00:00.000000\t0\n"+
			"GBP\t80000\t100000\t\\N\t1.25\t1/EUR-GBP\t2026-01-05 00:00:00.000000\t43200\n"+
			"USD\t100000.000000000000000001\t80000\t79999.2\t0.8\t1/EUR-USD\t2026-01-05 00:00:00.000000\t43200\n"+
			"USD\t1\t\\N\t\\N\t\\N\t\t\\N\t\\N\n"+
			"ZAR\t1\t\\N\t\\N\t\\N\t\t\\N\t\\N",
	)
}

// A conversion is exact to the last decimal, and null where it does not fit.
func TestPricesInIsExact(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	fix := func(instrument, price string) said {
		return said{instrument: instrument, provider: "ecb", kind: fixing, rate: official, price: price, time: "2026-01-05 00:00:00"}
	}
	of := func(instrument, price string) said {
		return said{instrument: instrument, provider: "kraken", kind: ticker, rate: last, price: price, time: "2026-01-05 12:00:00"}
	}
	tell(t, l, 1,
		fix("EUR-USD", "1.2"), fix("EUR-AAA", "0.333333333333333333"), fix("EUR-BBB", "99999999999999999999.999999999999999999"),
		of("A-USD", "3150"), of("B-AAA", "1"), of("C-AAA", "0.000000000000000001"), of("D-EUR", "-36.98"), of("E-BBB", "99999999999999999999.999999999999999999"),
		of("F-EUR", "99999999999999999999.999999999999999999"), of("G-EUR", "1.000000000000000001"),
	)
	answers(t, l,
		"SELECT base, price_in FROM prices_in(currency = 'EUR') WHERE provider = 'kraken' ORDER BY base",
		"A\t2625\nB\t3.000000000000000003\nC\t0.000000000000000003\nD\t-36.98\nE\t1\nF\t99999999999999999999.999999999999999999\nG\t1.000000000000000001",
		"SELECT base, price_in FROM prices_in(currency = 'USD') WHERE provider = 'kraken' ORDER BY base",
		"A\t3150\nB\t3.600000000000000003\nC\t0.000000000000000003\nD\t-44.376\nE\t1.2\nF\t\\N\nG\t1.200000000000000001",
		"SELECT base, price_in FROM prices_in(currency = 'BBB') WHERE provider = 'kraken' AND base IN ('F', 'G') ORDER BY base",
		"F\t\\N\nG\t\\N",
	)
}

// What prices_in computes with is not among its columns.
func TestColumnsOfPricesIn(t *testing.T) {
	t.Parallel()
	var names []string
	err := openLake(t).Query(t.Context(), "SELECT * FROM prices_in(currency = 'EUR')", func(columns []Column) error {
		for _, c := range columns {
			names = append(names, c.Name)
		}
		return nil
	}, func([]*string) error { return nil })
	want := "instrument base quote provider rate_type kind event_time price bid ask currency price_in bid_in ask_in " +
		"rate rate_path rate_time rate_age_seconds value_date event_id revision"
	if got := strings.Join(names, " "); err != nil || got != want {
		t.Errorf("columns %s (%v), want %s", got, err, want)
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	s := openSink(t, l)
	now := time.Now().UTC().Truncate(time.Minute)
	write := func(topic string, offset int64, v any) {
		t.Helper()
		if err := s.Write(t.Context(), block(record(t, topic, offset, v))); err != nil {
			t.Fatal(err)
		}
	}
	every := int64(60_000_000)
	call := schemas.CallDefined{CallID: "c", Provider: "p", Enabled: true, Schedule: schemas.CallSchedule{EveryMicros: every}, DefinedAt: now}
	write(schemas.TopicCalls, 1, call)
	removed := record(t, schemas.TopicCalls, 2, "")
	removed.Key, removed.Value = []byte("c"), nil
	if err := s.Write(t.Context(), block(removed)); err != nil {
		t.Fatal(err)
	}
	answers(t, l, "SELECT count() FROM calls", "0", "SELECT removed FROM calls_history ORDER BY _offset", "false\ntrue")
	write(schemas.TopicCalls, 3, call)
	for i, p := range []struct {
		minutesAgo int
		outcome    schemas.PollOutcome
	}{{20, schemas.PollValued}, {19, schemas.PollPartial}, {18, schemas.PollFailed}, {14, schemas.PollValued}, {13, schemas.PollFailed}} {
		slot := now.Add(-time.Duration(p.minutesAgo) * time.Minute)
		write(schemas.TopicPolls, int64(i), schemas.PollFinished{CallID: "c", Provider: "p", Slot: slot, RequestedAt: slot, StartedAt: slot, FinishedAt: slot.Add(time.Second), Outcome: p.outcome})
	}
	answers(t, l,
		"SELECT call_id, interval_seconds, last_outcome, age_seconds BETWEEN 800 AND 960, stale FROM freshness", "c\t60\tfailed\t1\ttrue",
		"SELECT reason, slots, dateDiff('minute', from_slot, to_slot), dateDiff('minute', from_slot, now()) BETWEEN 13 AND 19 FROM gaps ORDER BY from_slot",
		"failed\t1\t0\t1\nnot_polled\t3\t2\t1\nfailed\t1\t0\t1",
	)
}
