package lake

import (
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/schemas"
)

// Bars begin where the interval says, before 1970 as after, count restated
// prices once, withdrawn ones not, and take no price from half a quote.
func TestBarsAtTheirEdges(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	gold := func(price, time string) said {
		return said{instrument: "XAU-USD", provider: "lbma", kind: fixing, rate: official, price: price, time: time}
	}
	oil := func(price, time string, revision int32, withdrawn bool) said {
		return said{instrument: "WTI-USD", provider: "eia", kind: ticker, rate: last, price: price, time: time, revision: revision, withdrawn: withdrawn}
	}
	tell(t, l, 1,
		gold("35.2", "1968-03-14 10:30:00"), gold("38", "1968-03-15 10:30:00"), gold("37.9", "1968-03-15 15:00:00"), gold("35", "1969-12-31 23:59:59"), gold("36", "1970-01-01 00:00:00"),
		oil("18.27", "2020-04-20 12:00:00", 0, false), oil("-37.63", "2020-04-20 12:30:00", 0, false), oil("-36.98", "2020-04-20 12:30:00", 1, false),
		oil("10", "2020-04-20 12:45:00", 0, false), oil("10", "2020-04-20 12:45:00", 1, true),
		oil("1", "2020-04-20 12:59:59", 0, false), oil("2", "2020-04-20 13:00:00", 0, false),
		said{instrument: "WTI-USD", provider: "half", kind: quoted, rate: none, bid: "1", time: "2020-04-20 12:00:00"},
		said{instrument: "WTI-USD", provider: "below", kind: quoted, rate: none, bid: "-3", ask: "-1.000000000000000001", time: "2020-04-20 12:00:00"},
	)
	answers(t, l,
		"SELECT toDate32(bar), open, high, low, close, prices FROM ohlc(seconds = 86400) WHERE instrument = 'XAU-USD' ORDER BY bar",
		"1968-03-14\t35.2\t35.2\t35.2\t35.2\t1\n1968-03-15\t38\t38\t37.9\t37.9\t2\n1969-12-31\t35\t35\t35\t35\t1\n1970-01-01\t36\t36\t36\t36\t1",
		"SELECT toString(bar), open, close, prices, filled FROM ohlc_filled(seconds = 86400, start = '1968-03-14 00:00:00', end = '1968-03-18 00:00:00') WHERE instrument = 'XAU-USD' ORDER BY bar",
		"1968-03-14 00:00:00\t35.2\t35.2\t1\tfalse\n1968-03-15 00:00:00\t38\t37.9\t2\tfalse\n1968-03-16 00:00:00\t37.9\t37.9\t0\ttrue\n1968-03-17 00:00:00\t37.9\t37.9\t0\ttrue",
		"SELECT toString(bar), close FROM ohlc_filled(seconds = 86400, start = '1969-12-31 00:00:00', end = '1970-01-02 00:00:00') WHERE instrument = 'XAU-USD' ORDER BY bar",
		"1969-12-31 00:00:00\t35\n1970-01-01 00:00:00\t36",
		"SELECT provider, toString(bar), open, high, low, close, prices FROM ohlc(seconds = 3600) WHERE instrument = 'WTI-USD' ORDER BY provider, bar",
		"below\t2020-04-20 12:00:00\t-2\t-2\t-2\t-2\t1\n"+
			"eia\t2020-04-20 12:00:00\t18.27\t18.27\t-36.98\t1\t3\neia\t2020-04-20 13:00:00\t2\t2\t2\t2\t1",
	)
}

// Bars without gaps begin with the first that there is, or with what was known
// in the 14 days before, and end before the end; every bar is there once.
func TestFilledBarsAtTheirEdges(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	of := func(provider, price, time string) said {
		return said{instrument: "BTC-USD", provider: provider, kind: trade, rate: last, price: price, size: "1", time: time}
	}
	tell(t, l, 1,
		of("early", "1", "2026-01-05 09:59:59"), of("early", "2", "2026-01-05 10:02:30"),
		of("late", "3", "2026-01-05 10:01:00"), of("late", "4", "2026-01-05 10:04:00"), // the end is not within
		of("fortnight", "5", "2025-12-22 10:00:00"), of("older", "6", "2025-12-22 09:59:59"),
		of("after", "7", "2026-01-05 10:04:00"),
	)
	filled := func(seconds, start, end string) string {
		return "SELECT provider, groupArray((substring(toString(bar), 12, 5), toString(open), toString(close), toString(volume), prices, filled)) FROM (SELECT * FROM ohlc_filled(seconds = " + seconds +
			", start = '2026-01-05 " + start + "', end = '2026-01-05 " + end + "') ORDER BY bar) GROUP BY provider ORDER BY provider"
	}
	answers(t, l,
		filled("60", "10:00:00", "10:04:00"),
		"early\t[('10:00','1','1','0',0,true),('10:01','1','1','0',0,true),('10:02','2','2','1',1,false),('10:03','2','2','0',0,true)]\n"+
			"fortnight\t[('10:00','5','5','0',0,true),('10:01','5','5','0',0,true),('10:02','5','5','0',0,true),('10:03','5','5','0',0,true)]\n"+
			"late\t[('10:01','3','3','1',1,false),('10:02','3','3','0',0,true),('10:03','3','3','0',0,true)]",
		// Bounds within a bar: from the next whole bar to before the end, with what is
		// known of the 14 days before the bound.
		filled("120", "10:00:30", "10:03:30"), "early\t[('10:02','2','2','1',1,false)]\nlate\t[('10:02','3','3','0',0,true)]",
		filled("60", "10:00:00", "10:00:00"), "",
		filled("60", "10:04:00", "10:00:00"), "",
		// As many as there are, none twice.
		"SELECT count(), uniqExact(bar) FROM ohlc_filled(seconds = 1, start = '2026-01-05 10:00:00', end = '2026-01-05 11:00:00') WHERE provider = 'early'", "3600\t3600",
	)
}

// Rates: nothing of zero or less, nothing withdrawn, the restated value, the
// middle where there is no price, other instruments when the catalog calls them
// fx, and from that on only.
func TestRatesAtTheirEdges(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	fix := func(instrument, price, time string, revision int32, withdrawn bool) said {
		return said{instrument: instrument, provider: "ecb", kind: fixing, rate: official, price: price, time: time, revision: revision, withdrawn: withdrawn}
	}
	tell(t, l, 1,
		fix("EUR-USD", "1.25", "2026-01-05 00:00:00", 0, false),
		fix("EUR-USD", "0", "2026-01-06 00:00:00", 0, false), fix("EUR-USD", "-1", "2026-01-07 00:00:00", 0, false),
		fix("EUR-USD", "9", "2026-01-08 00:00:00", 0, false), fix("EUR-USD", "9", "2026-01-08 00:00:00", 1, true),
		fix("EUR-GBP", "9", "2026-01-05 00:00:00", 0, false), fix("EUR-GBP", "0.8", "2026-01-05 00:00:00", 1, false),
		said{instrument: "USD-CHF", provider: "broker", kind: quoted, rate: none, bid: "0.4", ask: "0.6", time: "2026-01-05 00:00:00"},
		said{instrument: "USD-SEK", provider: "broker", kind: quoted, rate: none, bid: "0.4", time: "2026-01-05 00:00:00"},
		// both directions are stated: the newer counts
		fix("AUD-EUR", "0.5", "2026-01-05 00:00:00", 0, false), fix("EUR-AUD", "4", "2026-01-06 00:00:00", 0, false),
		fix("CAD-EUR", "0.5", "2026-01-06 00:00:00", 0, false), fix("EUR-CAD", "4", "2026-01-05 00:00:00", 0, false),
		fix("NZD-EUR", "0.5", "2026-01-05 00:00:00", 0, false), fix("EUR-NZD", "4", "2026-01-05 00:00:00", 0, false),
		said{instrument: "A-AUD", provider: "test", kind: ticker, rate: last, price: "1", time: "2026-01-07 00:00:00"},
		said{instrument: "A-CAD", provider: "test", kind: ticker, rate: last, price: "1", time: "2026-01-07 00:00:00"},
		said{instrument: "A-NZD", provider: "test", kind: ticker, rate: last, price: "1", time: "2026-01-07 00:00:00"},
		said{instrument: "A-CHF", provider: "test", kind: ticker, rate: last, price: "1", time: "2026-01-07 00:00:00"},
		said{instrument: "A-USD", provider: "test", kind: ticker, rate: last, price: "1", time: "2026-01-09 00:00:00"},
	)
	asof := func(base, quote string) string {
		return "SELECT rate, path FROM fx_asof(base = '" + base + "', quote = '" + quote + "', at = '2026-01-09 00:00:00')"
	}
	inEuros := "SELECT quote, price_in, rate, rate_path FROM prices_in(currency = 'EUR') WHERE provider = 'test' ORDER BY quote"
	answers(t, l,
		asof("EUR", "USD"), "1.25\tEUR-USD", asof("EUR", "GBP"), "0.8\tEUR-GBP", asof("CHF", "USD"), "", asof("USD", "CHF"), "",
		asof("AUD", "EUR"), "0.25\t1/EUR-AUD", asof("EUR", "AUD"), "4\tEUR-AUD",
		asof("CAD", "EUR"), "0.5\tCAD-EUR", asof("EUR", "CAD"), "2\t1/CAD-EUR",
		asof("NZD", "EUR"), "0.5\tNZD-EUR", asof("EUR", "NZD"), "4\tEUR-NZD", // of one instant the direct one
		inEuros, "AUD\t0.25\t0.25\t1/EUR-AUD\nCAD\t0.5\t0.5\tCAD-EUR\nCHF\t\\N\t\\N\t\nNZD\t0.5\t0.5\tNZD-EUR\nUSD\t0.8\t0.8\t1/EUR-USD",
	)
	s := openSink(t, l)
	for offset, instrument := range []string{"USD-CHF", "USD-SEK"} {
		if err := s.Write(t.Context(), block(record(t, schemas.TopicInstruments, int64(offset), schemas.InstrumentDefined{Instrument: instrument, AssetClass: "fx", DefinedAt: utc("2026-01-01 00:00:00")}))); err != nil {
			t.Fatal(err)
		}
	}
	answers(t, l,
		asof("USD", "CHF"), "0.5\tUSD-CHF", asof("CHF", "USD"), "2\t1/USD-CHF", asof("CHF", "GBP"), "", // two legs at most
		asof("USD", "SEK"), "",
		inEuros+" LIMIT 1 OFFSET 2", "CHF\t1.6\t1.6\t1/USD-CHF 1/EUR-USD",
	)
}

// The newest value of all sources is neither half a quote nor one that claims to
// be of the future; the newest of each source is whatever it last said.
func TestLatestAtItsEdges(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	in := func(d time.Duration) string { return time.Now().UTC().Add(d).Format(time.DateTime) }
	btc := func(provider, price, time string) said {
		return said{instrument: "BTC-USD", provider: provider, kind: ticker, rate: last, price: price, time: time}
	}
	tell(t, l, 1,
		btc("past", "1", in(-time.Hour)), btc("soon", "2", in(2*time.Minute)), btc("future", "3", in(time.Hour)),
		said{instrument: "BTC-USD", provider: "half", kind: quoted, rate: none, ask: "4", time: in(3 * time.Minute)},
		said{instrument: "ETH-USD", provider: "half", kind: quoted, rate: none, ask: "4", time: in(-time.Minute)},
		// every statement of a source withdrawn: it has none
		btc("gone", "5", "2026-01-05 10:00:00"),
		said{instrument: "BTC-USD", provider: "gone", kind: ticker, rate: last, price: "5", time: "2026-01-05 10:00:00", revision: 1, withdrawn: true},
	)
	answers(t, l,
		"SELECT instrument, value, provider FROM prices_latest_best", "BTC-USD\t2\tsoon",
		"SELECT instrument, provider, ask, age_seconds < 0 FROM prices_latest ORDER BY instrument, provider",
		"BTC-USD\tfuture\t\\N\t1\nBTC-USD\thalf\t4\t1\nBTC-USD\tpast\t\\N\t0\nBTC-USD\tsoon\t\\N\t1\nETH-USD\thalf\t4\t0",
	)
}

// A call without polls is stale, one that is off or has no interval never; a
// slot that was asked for twice and brought a value once has no gap, and what
// lies before the first and after the last slot is none either.
func TestWatchAtItsEdges(t *testing.T) {
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
	minute := schemas.CallSchedule{EveryMicros: 60_000_000}
	for i, call := range []schemas.CallDefined{
		{CallID: "cron", Enabled: true, Schedule: schemas.CallSchedule{Cron: "0 * * * *"}},
		{CallID: "fresh", Enabled: true, Schedule: minute}, {CallID: "never", Enabled: true, Schedule: minute},
		{CallID: "off", Schedule: minute}, {CallID: "old", Enabled: true, Schedule: minute},
	} {
		call.Provider, call.DefinedAt = "p", now
		write(schemas.TopicCalls, int64(i), call)
	}
	polls := []struct {
		call    string
		ago     time.Duration
		outcome schemas.PollOutcome
	}{
		{"fresh", 5 * time.Minute, schemas.PollFailed}, {"fresh", 5 * time.Minute, schemas.PollValued}, // twice
		{"fresh", 4 * time.Minute, schemas.PollPartial}, {"fresh", 2 * time.Minute, schemas.PollUnparsable}, {"fresh", time.Minute, schemas.PollValued},
		{"old", 8 * 24 * time.Hour, schemas.PollValued}, {"old", 31 * 24 * time.Hour, schemas.PollFailed},
		{"cron", 10 * time.Hour, schemas.PollValued}, {"cron", 2 * time.Hour, schemas.PollAbsent},
	}
	for i, p := range polls {
		at := now.Add(-p.ago)
		write(schemas.TopicPolls, int64(i), schemas.PollFinished{PollID: schemas.DeriveID("poll", p.call, at.String(), p.outcome.String()), CallID: p.call, Provider: "p",
			Slot: at, RequestedAt: at, StartedAt: at, FinishedAt: at.Add(time.Duration(i+1) * time.Millisecond), Outcome: p.outcome, Error: strings.Repeat("x", i%2)})
	}
	answers(t, l,
		"SELECT call_id, last_outcome, isNull(last_value_at), stale FROM freshness ORDER BY call_id",
		"cron\tabsent\t0\tfalse\nfresh\tvalued\t0\tfalse\nnever\tunknown\t1\ttrue\noff\tunknown\t1\tfalse\nold\tunknown\t1\ttrue",
		"SELECT call_id, reason, slots, dateDiff('minute', from_slot, to_slot) FROM gaps ORDER BY call_id, from_slot",
		"cron\tabsent\t1\t0\nfresh\tnot_polled\t1\t0\nfresh\tunparsable\t1\t0",
	)
}
