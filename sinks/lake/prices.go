package lake

import (
	"time"

	"github.com/pricelake/pricelake/schemas"
)

// priceFields is the columns of table prices, in the order of its DDL, which is
// that of the schema's fields.
func priceFields() []fieldColumn {
	return []fieldColumn{
		idField("event_id"), int32Field("revision"), boolField("withdrawn"), nameField("provider"), nameField("call_id"),
		nameField("call_version"), nameField("instrument"), nameField("base"), nameField("quote"),
		enumField[schemas.Kind]("kind"), enumField[schemas.RateType]("rate_type"), nameField("session"),
		valueField("price"), valueField("bid"), valueField("ask"), nullDecimalField("size"),
		timeField("event_time"), enumField[schemas.EventTimeKind]("event_time_kind"), nullDateField("value_date"), nullTimeField("published_at"),
		timeField("requested_at"), timeField("fetched_at"), textField("trade_id"), int32Field("quality"),
		idField("poll_id"), idField("response_id"), idField("correlation_id"),
	}
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
