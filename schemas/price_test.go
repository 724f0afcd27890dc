package schemas

import (
	"strings"
	"testing"
	"time"
)

func TestSameValues(t *testing.T) {
	f := func(name string, same bool, change func(*Price)) {
		t.Helper()
		p, q := identityPrice(), identityPrice()
		change(&q)
		if p.SameValues(&q) != same || q.SameValues(&p) != same {
			t.Errorf("%s: the same: %v", name, !same)
		}
	}
	f("nothing", true, func(*Price) {})
	f("written otherwise", true, func(p *Price) { p.Price.Decimal, _, _ = ParseDecimal("1.000") })
	f("fetched", true, func(p *Price) { p.FetchedAt, p.PollID, p.Revision = time.Now(), ID{1}, 3 })
	f("price", false, func(p *Price) { p.Price.Decimal = DecimalFromInt64(2) })
	f("null price", false, func(p *Price) { p.Price = NullDecimal{} })
	f("a zero bid is not a null", false, func(p *Price) { p.Bid.Valid = true })
	f("ask", false, func(p *Price) { p.Ask.Valid = true })
	f("size", false, func(p *Price) { p.Size.Valid = true })
	f("withdrawn", false, func(p *Price) { p.Withdrawn = true })
}

func TestValidate(t *testing.T) {
	f := func(want string, change func(*Price)) {
		t.Helper()
		p := identityPrice()
		change(&p)
		err := p.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	one := NullDecimal{Decimal: DecimalFromInt64(1), Valid: true}
	quote := func(p *Price) {
		p.Kind, p.RateType, p.Price, p.Bid, p.Ask = KindQuote, RateNone, NullDecimal{}, one, one
		p.ValueDate, p.EventTimeKind = nil, TimeFetched
	}
	f("", func(*Price) {})
	f("", quote)
	f("", func(p *Price) { quote(p); p.Ask = NullDecimal{} })
	f("none of price, bid and ask", func(p *Price) { p.Price = NullDecimal{} })
	f("a quote has the price", func(p *Price) { quote(p); p.Price, p.RateType = one, RateLast })
	f("rate_type", func(p *Price) { p.RateType = RateNone })
	f("rate_type is", func(p *Price) { p.RateType = 99 })
	f("kind is unknown", func(p *Price) { p.Kind = KindUnknown })
	f("kind is", func(p *Price) { p.Kind = KindIndex + 1 })
	f("a trade has no price", func(p *Price) { quote(p); p.Kind = KindTrade })
	f("a fixing has no value_date", func(p *Price) { p.ValueDate, p.EventTimeKind = nil, TimeFetched })
	f("without a value_date", func(p *Price) { p.Kind, p.ValueDate = KindIndex, nil })
	f("event_time_kind is unknown", func(p *Price) { p.EventTimeKind = TimeUnknown })
	f("event_time is missing", func(p *Price) { p.EventTime = time.Time{} })
	f("provider is empty", func(p *Price) { p.Provider = "" })
	f("instrument is empty", func(p *Price) { p.Instrument = "" })
	f("base", func(p *Price) { p.Base = "" })
	f("revision -1", func(p *Price) { p.Revision = -1 })
	f("event_time is missing", func(p *Price) { p.Provider, p.EventTime = "", time.Time{} }) // all at once
	f("provider is empty", func(p *Price) { p.Provider, p.EventTime = "", time.Time{} })
}
