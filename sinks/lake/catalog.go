package lake

import (
	"slices"
	"time"

	"github.com/pricelake/pricelake/schemas"
)

// definition is a record of a compacted topic: what the key was defined as, or
// that it was removed (a null value), in which case only the key is set.
type definition[T any] struct {
	value   T
	removed bool
}

func isRemoved[T any](d *definition[T]) bool { return d.removed }

// instruments is the columns of table instruments_history, in the order of its
// DDL.
func instruments() []column[definition[schemas.InstrumentDefined]] {
	type row = definition[schemas.InstrumentDefined]
	return append([]column[row]{
		texts("instrument", func(d *row) string { return d.value.Instrument }),
		bools("removed", isRemoved[schemas.InstrumentDefined]),
		names("asset_class", func(d *row) string { return d.value.AssetClass }),
		names("base", func(d *row) string { return d.value.Base }),
		names("quote", func(d *row) string { return d.value.Quote }),
		names("unit", func(d *row) string { return d.value.Unit }),
		decimals("minor_unit_factor", func(d *row) schemas.Decimal { return d.value.MinorUnitFactor }),
		names("calendar", func(d *row) string { return d.value.Calendar }),
		texts("description", func(d *row) string { return d.value.Description }),
		times("defined_at", func(d *row) time.Time { return d.value.DefinedAt }),
	}, origins[row]()...)
}

// calls is the columns of table calls_history, in the order of its DDL.
func calls() []column[definition[schemas.CallDefined]] {
	type row = definition[schemas.CallDefined]
	type symbol = schemas.CallSymbol
	return slices.Concat([]column[row]{
		texts("call_id", func(d *row) string { return d.value.CallID }),
		bools("removed", isRemoved[schemas.CallDefined]),
		texts("version", func(d *row) string { return d.value.Version }),
		names("provider", func(d *row) string { return d.value.Provider }),
		names("account", func(d *row) string { return d.value.Account }),
		bools("enabled", func(d *row) bool { return d.value.Enabled }),
		names("method", func(d *row) string { return d.value.Request.Method }),
		texts("url", func(d *row) string { return d.value.Request.URL }),
		textMaps("headers", func(d *row) map[string]string { return d.value.Request.Headers }),
		textMaps("query", func(d *row) map[string]string { return d.value.Request.Query }),
		texts("body", func(d *row) string { return d.value.Request.Body }),
		int64s("timeout_micros", func(d *row) int64 { return d.value.Request.TimeoutMicros }),
		int64s("max_body_bytes", func(d *row) int64 { return d.value.Request.MaxBodyBytes }),
		int32s("max_attempts", func(d *row) int32 { return d.value.Request.MaxAttempts }),
		int64s("backoff_micros", func(d *row) int64 { return d.value.Request.BackoffMicros }),
		int64s("max_backoff_micros", func(d *row) int64 { return d.value.Request.MaxBackoffMicros }),
		int64s("every_micros", func(d *row) int64 { return d.value.Schedule.EveryMicros }),
		int64s("phase_micros", func(d *row) int64 { return d.value.Schedule.PhaseMicros }),
		texts("cron", func(d *row) string { return d.value.Schedule.Cron }),
		texts("zone", func(d *row) string { return d.value.Schedule.Zone }),
		enums("catchup", func(d *row) schemas.Catchup { return d.value.Schedule.Catchup }),
		texts("mapping", func(d *row) string { return d.value.Mapping }),
	}, nested("symbols", func(d *row) []symbol { return d.value.Symbols },
		texts("symbol", func(s *symbol) string { return s.Symbol }),
		listOf("aliases", func(s *symbol) []string { return s.Aliases }, texts("", func(s *string) string { return *s })),
		texts("instrument", func(s *symbol) string { return s.Instrument }),
		texts("base", func(s *symbol) string { return s.Base }),
		texts("quote", func(s *symbol) string { return s.Quote }),
		decimals("factor", func(s *symbol) schemas.Decimal { return s.Factor }),
		nullDates("valid_from", func(s *symbol) *schemas.Date { return s.ValidFrom }),
		nullDates("valid_to", func(s *symbol) *schemas.Date { return s.ValidTo }),
	), []column[row]{
		int32s("retention_days", func(d *row) int32 { return d.value.RetentionDays }),
		texts("terms_url", func(d *row) string { return d.value.TermsURL }),
		texts("attribution", func(d *row) string { return d.value.Attribution }),
		names("redistribution", func(d *row) string { return d.value.Redistribution }),
		times("defined_at", func(d *row) time.Time { return d.value.DefinedAt }),
	}, origins[row]())
}
