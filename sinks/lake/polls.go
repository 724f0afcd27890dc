package lake

import (
	"math"
	"slices"
	"time"

	"github.com/pricelake/pricelake/schemas"
)

// polls is the columns of table polls, in the order of its DDL.
func polls() []column[schemas.PollFinished] {
	type row = schemas.PollFinished
	return slices.Concat([]column[row]{
		ids("poll_id", func(p *row) schemas.ID { return p.PollID }),
		ids("correlation_id", func(p *row) schemas.ID { return p.CorrelationID }),
		names("call_id", func(p *row) string { return p.CallID }),
		names("call_version", func(p *row) string { return p.CallVersion }),
		names("provider", func(p *row) string { return p.Provider }),
		names("account", func(p *row) string { return p.Account }),
		enums("origin", func(p *row) schemas.PollOrigin { return p.Origin }),
		times("slot", func(p *row) time.Time { return p.Slot }),
		times("requested_at", func(p *row) time.Time { return p.RequestedAt }),
		times("started_at", func(p *row) time.Time { return p.StartedAt }),
		times("finished_at", func(p *row) time.Time { return p.FinishedAt }),
		enums("outcome", func(p *row) schemas.PollOutcome { return p.Outcome }),
		texts("error", func(p *row) string { return p.Error }),
		int32s("requested", func(p *row) int32 { return p.Requested }),
		int32s("valued", func(p *row) int32 { return p.Valued }),
		int32s("absent", func(p *row) int32 { return p.Absent }),
		int32s("failed", func(p *row) int32 { return p.Failed }),
		int32s("unlisted", func(p *row) int32 { return p.Unlisted }),
	}, nested("attempts", func(p *row) []schemas.PollAttempt { return p.Attempts },
		int32s("number", func(a *schemas.PollAttempt) int32 { return a.Number }),
		times("started_at", func(a *schemas.PollAttempt) time.Time { return a.StartedAt }),
		int64s("duration_micros", func(a *schemas.PollAttempt) int64 { return a.DurationMicros }),
		int32s("status", func(a *schemas.PollAttempt) int32 { return a.Status }),
		enums("outcome", func(a *schemas.PollAttempt) schemas.AttemptOutcome { return a.Outcome }),
		texts("error", func(a *schemas.PollAttempt) string { return a.Error }),
		nullIDs("response_id", func(a *schemas.PollAttempt) *schemas.ID { return a.ResponseID }),
		int64s("waited_micros", func(a *schemas.PollAttempt) int64 { return a.WaitedMicros }),
	), nested("symbols", func(p *row) []schemas.SymbolOutcome { return p.Symbols },
		texts("symbol", func(s *schemas.SymbolOutcome) string { return s.Symbol }),
		texts("instrument", func(s *schemas.SymbolOutcome) string { return s.Instrument }),
		enums("outcome", func(s *schemas.SymbolOutcome) schemas.ValueOutcome { return s.Outcome }),
		texts("reason", func(s *schemas.SymbolOutcome) string { return s.Reason }),
	), origins[row]())
}

// Retention returns for how many days the body of an answer to a version of a
// call may be kept; 0 leaves it to the lake's default.
type Retention func(callID, callVersion string) (days int32)

// responses returns the columns of table responses, in the order of its DDL.
func responses(retention Retention) func() []column[schemas.ResponseReceived] {
	return func() []column[schemas.ResponseReceived] { return responseColumns(retention) }
}

func responseColumns(retention Retention) []column[schemas.ResponseReceived] {
	type row = schemas.ResponseReceived
	return append([]column[row]{
		ids("response_id", func(r *row) schemas.ID { return r.ResponseID }),
		ids("poll_id", func(r *row) schemas.ID { return r.PollID }),
		ids("correlation_id", func(r *row) schemas.ID { return r.CorrelationID }),
		names("call_id", func(r *row) string { return r.CallID }),
		names("call_version", func(r *row) string { return r.CallVersion }),
		names("provider", func(r *row) string { return r.Provider }),
		int32s("attempt", func(r *row) int32 { return r.Attempt }),
		times("slot", func(r *row) time.Time { return r.Slot }),
		times("requested_at", func(r *row) time.Time { return r.RequestedAt }),
		times("fetched_at", func(r *row) time.Time { return r.FetchedAt }),
		names("method", func(r *row) string { return r.Method }),
		texts("url", func(r *row) string { return r.URL }),
		int32s("status", func(r *row) int32 { return r.Status }),
		textMaps("headers", func(r *row) map[string]string { return r.Headers }),
		bytesOf("body", func(r *row) []byte { return r.Body }),
		int64s("body_bytes", func(r *row) int64 { return int64(len(r.Body)) }),
		uint16s("retention_days", func(r *row) uint16 { return clampDays(retention(r.CallID, r.CallVersion)) }),
	}, origins[row]()...)
}

// deadLetters is the columns of table dead_letters, in the order of its DDL.
func deadLetters() []column[schemas.DeadLetter] {
	type row = schemas.DeadLetter
	return append([]column[row]{
		ids("dead_letter_id", func(d *row) schemas.ID { return d.DeadLetterID }),
		names("origin_topic", func(d *row) string { return d.OriginTopic }),
		ids("origin_topic_id", func(d *row) schemas.ID { return d.OriginTopicID }),
		int32s("origin_partition", func(d *row) int32 { return d.OriginPartition }),
		int64s("origin_offset", func(d *row) int64 { return d.OriginOffset }),
		times("origin_timestamp", func(d *row) time.Time { return d.OriginTimestamp }),
		names("role", func(d *row) string { return d.Role }),
		enums("reason", func(d *row) schemas.DeadReason { return d.Reason }),
		texts("error", func(d *row) string { return d.Error }),
		int32s("attempts", func(d *row) int32 { return d.Attempts }),
		names("call_id", func(d *row) string { return d.CallID }),
		nullIDs("correlation_id", func(d *row) *schemas.ID { return d.CorrelationID }),
		times("failed_at", func(d *row) time.Time { return d.FailedAt }),
		bytesOf("key", func(d *row) []byte { return d.Key }),
		bytesOf("value", func(d *row) []byte { return d.Value }),
		byteMaps("headers", func(d *row) map[string][]byte { return d.Headers }),
	}, origins[row]()...)
}

// clampDays fits days into the column: 0 or less is the default, and nothing is
// kept longer than the column can say.
func clampDays(days int32) uint16 {
	if days <= 0 {
		days = defaultRetentionDays
	}
	return uint16(min(days, math.MaxUint16))
}
