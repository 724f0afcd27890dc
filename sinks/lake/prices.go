package lake

import (
	"time"

	"github.com/pricelake/pricelake/schemas"
)

// prices is the columns of table prices, in the order of its DDL.
func prices() []column[schemas.Price] {
	type row = schemas.Price
	return append([]column[row]{
		ids("event_id", func(p *row) schemas.ID { return p.EventID }),
		int32s("revision", func(p *row) int32 { return p.Revision }),
		bools("withdrawn", func(p *row) bool { return p.Withdrawn }),
		names("provider", func(p *row) string { return p.Provider }),
		names("call_id", func(p *row) string { return p.CallID }),
		names("call_version", func(p *row) string { return p.CallVersion }),
		names("instrument", func(p *row) string { return p.Instrument }),
		names("base", func(p *row) string { return p.Base }),
		names("quote", func(p *row) string { return p.Quote }),
		enums("kind", func(p *row) schemas.Kind { return p.Kind }),
		enums("rate_type", func(p *row) schemas.RateType { return p.RateType }),
		names("session", func(p *row) string { return p.Session }),
		nullDecimals("price", func(p *row) schemas.NullDecimal { return p.Price }),
		nullDecimals("bid", func(p *row) schemas.NullDecimal { return p.Bid }),
		nullDecimals("ask", func(p *row) schemas.NullDecimal { return p.Ask }),
		nullDecimals("size", func(p *row) schemas.NullDecimal { return p.Size }),
		times("event_time", func(p *row) time.Time { return p.EventTime }),
		enums("event_time_kind", func(p *row) schemas.EventTimeKind { return p.EventTimeKind }),
		nullDates("value_date", func(p *row) *schemas.Date { return p.ValueDate }),
		nullTimes("published_at", func(p *row) *time.Time { return p.PublishedAt }),
		times("requested_at", func(p *row) time.Time { return p.RequestedAt }),
		times("fetched_at", func(p *row) time.Time { return p.FetchedAt }),
		texts("trade_id", func(p *row) string { return p.TradeID }),
		int32s("quality", func(p *row) int32 { return int32(p.Quality) }),
		ids("poll_id", func(p *row) schemas.ID { return p.PollID }),
		ids("response_id", func(p *row) schemas.ID { return p.ResponseID }),
		ids("correlation_id", func(p *row) schemas.ID { return p.CorrelationID }),
	}, origins[row]()...)
}

// rejected is the columns of table prices_rejected, in the order of its DDL.
func rejected() []column[schemas.PriceRejected] {
	type row = schemas.PriceRejected
	return append([]column[row]{
		ids("reject_id", func(r *row) schemas.ID { return r.RejectID }),
		enums("reason", func(r *row) schemas.RejectReason { return r.Reason }),
		texts("detail", func(r *row) string { return r.Detail }),
		names("provider", func(r *row) string { return r.Provider }),
		names("call_id", func(r *row) string { return r.CallID }),
		names("call_version", func(r *row) string { return r.CallVersion }),
		names("instrument", func(r *row) string { return r.Instrument }),
		texts("symbol", func(r *row) string { return r.Symbol }),
		texts("fragment", func(r *row) string { return r.Fragment }),
		times("fetched_at", func(r *row) time.Time { return r.FetchedAt }),
		ids("poll_id", func(r *row) schemas.ID { return r.PollID }),
		ids("response_id", func(r *row) schemas.ID { return r.ResponseID }),
		ids("correlation_id", func(r *row) schemas.ID { return r.CorrelationID }),
	}, origins[row]()...)
}
