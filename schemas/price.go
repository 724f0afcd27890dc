package schemas

import (
	"errors"
	"fmt"
)

// SameValues says whether p and q state the same: price, bid, ask, size and
// withdrawn. Of two prices with the same EventID it tells a repeat from a
// revision.
func (p *Price) SameValues(q *Price) bool {
	return p.Price == q.Price && p.Bid == q.Bid && p.Ask == q.Ask && p.Size == q.Size && p.Withdrawn == q.Withdrawn
}

// Validate says which rules of a Price p breaks, all of them at once. It looks
// at what the source and the call say; ids and times of the poll are the
// normalizer's.
func (p *Price) Validate() error {
	var broken []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			broken = append(broken, fmt.Errorf(format, args...))
		}
	}
	want(p.Provider != "", "provider is empty")
	want(p.Instrument != "", "instrument is empty")
	want(p.Base != "" && p.Quote != "", "base %q or quote %q is empty", p.Base, p.Quote)
	want(p.Revision >= 0, "revision %d is negative", p.Revision)
	want(p.Price.Valid || p.Bid.Valid || p.Ask.Valid, "none of price, bid and ask is set")
	want(!p.Price.Valid || p.RateType != RateNone, "rate_type does not say what the price %s is", p.Price)
	want(p.Kind > KindUnknown && p.Kind <= KindIndex, "kind is %s", p.Kind)
	want(p.RateType <= RateIndex, "rate_type is %s", p.RateType)
	want(p.EventTimeKind > TimeUnknown && p.EventTimeKind <= TimeFetched, "event_time_kind is %s", p.EventTimeKind)
	want(!p.EventTime.IsZero(), "event_time is missing")
	want(p.EventTimeKind != TimeValueDate || p.ValueDate != nil, "event_time_kind is value_date without a value_date")
	switch p.Kind {
	case KindQuote:
		want(!p.Price.Valid, "a quote has the price %s", p.Price)
	case KindTrade:
		want(p.Price.Valid, "a trade has no price")
	case KindFixing:
		want(p.ValueDate != nil, "a fixing has no value_date")
	}
	return errors.Join(broken...)
}
