package schemas

import (
	"testing"
	"time"
)

func identityPrice() Price {
	date := DateOf(2026, 9, 18)
	return Price{
		Provider: "ecb", CallID: "ecb-daily", CallVersion: "1", Instrument: "EUR-USD", Base: "EUR", Quote: "USD",
		Kind: KindFixing, RateType: RateOfficial, ValueDate: &date,
		EventTime: date.Time(), EventTimeKind: TimeValueDate,
		Price: NullDecimal{Decimal: DecimalFromInt64(1), Valid: true},
	}
}

var identitySlot = time.Date(2026, 9, 21, 12, 30, 0, 0, time.UTC)

// TestIDsAreForEver: rows of years ago carry these. If this test fails, the code
// is wrong, never the test.
func TestIDsAreForEver(t *testing.T) {
	f := func(name string, got ID, want string) {
		t.Helper()
		if got.String() != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	fixing := identityPrice()
	f("value date", EventID(&fixing, identitySlot, 0), "01c72440-78db-16bf-ca51-d804e713936a")

	trade := Price{
		Provider: "coinbase-exchange", Instrument: "BTC-USDT", Kind: KindTrade, RateType: RateLast, TradeID: "18502034",
		EventTime: time.Date(2026, 4, 16, 1, 2, 3, 456789000, time.UTC), EventTimeKind: TimeSource,
	}
	f("trade id", EventID(&trade, identitySlot, 3), "00000000-8b72-69ca-ca3b-7b4169328b40")
	trade.TradeID = ""
	f("trade without id", EventID(&trade, identitySlot, 0), "01c3bc9e-a911-ee61-f048-38305f5e81f7")
	f("the next at the same instant", EventID(&trade, identitySlot, 1), "01c3bc9e-ead2-637a-a38e-1e93a17de9e4")

	ticker := trade
	ticker.Kind, ticker.Session = KindTicker, "10:30"
	f("source time", EventID(&ticker, identitySlot, 0), "01c3bc9e-4acf-08e5-b389-bfabd99fff01")
	ticker.EventTimeKind = TimeFetched
	f("slot", EventID(&ticker, identitySlot, 0), "01c7380e-ab5e-616d-495b-586e71499173")

	poll := PollID("kraken-ticker", identitySlot, OriginSchedule)
	f("poll", poll, "1d589a56-66ed-f66e-6d99-2bccabac1234")
	response := ResponseID(poll, 1)
	f("response", response, "4f07207e-387c-0a9b-7ea0-ed6997352e1a")
	f("reject", RejectID(response, 0), "39c1cf4f-6172-7ee8-c051-c5c6b91dc6ae")
	f("dead letter", DeadLetterID("responses.v1", ID{1}, 2, 3), "c3a09618-5e53-c6e9-04d7-69891543e923")
	f("derived", DeriveID("domain", "part"), "25621854-fd94-1b11-205f-07c2500cb8b8")
}

func TestIdentity(t *testing.T) {
	f := func(name string, change func(*Price), want Identity) {
		t.Helper()
		p := identityPrice()
		change(&p)
		if got := p.Identity(); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	f("fixing", func(*Price) {}, IdentityValueDate)
	f("trade", func(p *Price) { p.Kind, p.TradeID = KindTrade, "7" }, IdentityTrade)
	f("a ticker that names the last trade", func(p *Price) {
		p.Kind, p.TradeID, p.ValueDate, p.EventTimeKind = KindTicker, "7", nil, TimeSource
	}, IdentitySourceTime)
	f("published", func(p *Price) { p.ValueDate, p.EventTimeKind = nil, TimePublish }, IdentitySourceTime)
	f("no time", func(p *Price) { p.ValueDate, p.EventTimeKind = nil, TimeFetched }, IdentitySlot)
}

// TestEventIDParts: what is part of the identity changes it, what is not does
// not.
func TestEventIDParts(t *testing.T) {
	base := identityPrice()
	want := EventID(&base, identitySlot, 0)
	f := func(name string, part bool, change func(*Price)) {
		t.Helper()
		p := identityPrice()
		change(&p)
		if same := EventID(&p, identitySlot, 0) == want; same == part {
			t.Errorf("%s: the id is the same: %v", name, same)
		}
	}
	f("provider", true, func(p *Price) { p.Provider = "boc" })
	f("instrument", true, func(p *Price) { p.Instrument = "EUR-GBP" })
	f("kind", true, func(p *Price) { p.Kind = KindIndex })
	f("rate type", true, func(p *Price) { p.RateType = RateMid })
	f("session", true, func(p *Price) { p.Session = "am" })
	f("value date", true, func(p *Price) { d := DateOf(2026, 9, 17); p.ValueDate = &d })
	f("provider and instrument run together", true, func(p *Price) { p.Provider, p.Instrument = "ecbE", "UR-USD" })

	f("price", false, func(p *Price) { p.Price.Decimal = DecimalFromInt64(2) })
	f("bid", false, func(p *Price) { p.Bid.Valid = true })
	f("withdrawn", false, func(p *Price) { p.Withdrawn = true })
	f("call", false, func(p *Price) { p.CallID, p.CallVersion = "ecb-hist", "2" })
	f("fetched", false, func(p *Price) { p.FetchedAt = identitySlot })
	f("poll", false, func(p *Price) { p.PollID[0] = 1 })
	f("revision", false, func(p *Price) { p.Revision = 4 })
	f("quality", false, func(p *Price) { p.Quality = QualityRounded })
	if EventID(&base, identitySlot.Add(time.Minute), 5) != want {
		t.Error("slot and ordinal are part of the identity of a fixing")
	}

	ticker := identityPrice()
	ticker.Kind, ticker.ValueDate, ticker.EventTimeKind = KindTicker, nil, TimeFetched
	if EventID(&ticker, identitySlot, 0) == EventID(&ticker, identitySlot.Add(time.Microsecond), 0) {
		t.Error("two slots of a source without times have one id")
	}
	if EventID(&ticker, identitySlot, 0) != EventID(&ticker, identitySlot, 1) {
		t.Error("the ordinal is part of the identity of a ticker")
	}
	elsewhere := identitySlot.In(time.FixedZone("", 3600))
	if EventID(&ticker, identitySlot, 0) != EventID(&ticker, elsewhere, 0) {
		t.Error("the id depends on the zone a time is written in")
	}
}

// TestEventIDBeginsWithTheMinute: ids of one time are neighbours, whatever the
// time is.
func TestEventIDBeginsWithTheMinute(t *testing.T) {
	f := func(at time.Time, want string) {
		t.Helper()
		p := identityPrice()
		p.ValueDate, p.EventTime, p.EventTimeKind = nil, at, TimeSource
		if got := EventID(&p, identitySlot, 0).String()[:8]; got != want {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
	}
	f(time.Unix(0, 0), "00000000")
	f(time.Unix(60, 0), "00000001")
	f(time.Unix(-60, 0), "00000000")
	f(time.Time{}, "00000000")
	f(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), "fbbb899f")
}

func TestOtherIDs(t *testing.T) {
	seen := map[ID]bool{}
	add := func(ids ...ID) {
		for _, id := range ids {
			if seen[id] || id.IsZero() {
				t.Errorf("%s came twice", id)
			}
			seen[id] = true
		}
	}
	poll := PollID("c", identitySlot, OriginSchedule)
	add(poll, PollID("d", identitySlot, OriginSchedule), PollID("c", identitySlot, OriginAPI), PollID("c", identitySlot.Add(1000), OriginSchedule))
	add(ResponseID(poll, 1), ResponseID(poll, 2), ResponseID(ID{}, 1))
	add(RejectID(poll, 1), RejectID(poll, 2))
	add(DeadLetterID("t", ID{}, 0, 1), DeadLetterID("t", ID{}, 1, 0), DeadLetterID("t", ID{1}, 0, 1), DeadLetterID("u", ID{}, 0, 1))
}

func BenchmarkEventID(b *testing.B) {
	p := identityPrice()
	b.ReportAllocs()
	for b.Loop() {
		EventID(&p, identitySlot, 0)
	}
}
