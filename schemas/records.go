// Package schemas is the shared vocabulary of the path: the records of the topics
// (each .avsc beside the Go type it describes), exact decimals, identifiers,
// dates and enumerations. It knows no broker, no codec and no other package of
// the house.
package schemas

import "time"

// Records of the topics, one type for each .avsc in this folder. Field tags name
// the Avro field; the ClickHouse column, where there is one, has the same name.
// Times are UTC with microseconds. The zero value of a pointer means null.

// Price is what one source said about one instrument at one instant.
// Topics: prices.observed.v1 (revision 0) and prices.v1.
type Price struct {
	EventID       ID            `avro:"event_id" json:"event_id"`
	Revision      int32         `avro:"revision" json:"revision"`
	Withdrawn     bool          `avro:"withdrawn" json:"withdrawn"`
	Provider      string        `avro:"provider" json:"provider"`
	CallID        string        `avro:"call_id" json:"call_id"`
	CallVersion   string        `avro:"call_version" json:"call_version"`
	Instrument    string        `avro:"instrument" json:"instrument"`
	Base          string        `avro:"base" json:"base"`
	Quote         string        `avro:"quote" json:"quote"`
	Kind          Kind          `avro:"kind" json:"kind"`
	RateType      RateType      `avro:"rate_type" json:"rate_type"`
	Session       string        `avro:"session" json:"session"`
	Price         NullDecimal   `avro:"price" json:"price"`
	Bid           NullDecimal   `avro:"bid" json:"bid"`
	Ask           NullDecimal   `avro:"ask" json:"ask"`
	Size          NullDecimal   `avro:"size" json:"size"`
	EventTime     time.Time     `avro:"event_time" json:"event_time"`
	EventTimeKind EventTimeKind `avro:"event_time_kind" json:"event_time_kind"`
	ValueDate     *Date         `avro:"value_date" json:"value_date"`
	PublishedAt   *time.Time    `avro:"published_at" json:"published_at"`
	RequestedAt   time.Time     `avro:"requested_at" json:"requested_at"`
	FetchedAt     time.Time     `avro:"fetched_at" json:"fetched_at"`
	TradeID       string        `avro:"trade_id" json:"trade_id"`
	Quality       Quality       `avro:"quality" json:"quality"`
	PollID        ID            `avro:"poll_id" json:"poll_id"`
	ResponseID    ID            `avro:"response_id" json:"response_id"`
	CorrelationID ID            `avro:"correlation_id" json:"correlation_id"`
}

// PriceRejected is a value, or a whole answer, that could not become a price.
// Topic: prices.rejected.v1.
type PriceRejected struct {
	RejectID      ID           `avro:"reject_id" json:"reject_id"` // hash of response, ordinal
	Reason        RejectReason `avro:"reason" json:"reason"`
	Detail        string       `avro:"detail" json:"detail"`
	Provider      string       `avro:"provider" json:"provider"`
	CallID        string       `avro:"call_id" json:"call_id"`
	CallVersion   string       `avro:"call_version" json:"call_version"`
	Instrument    string       `avro:"instrument" json:"instrument"` // empty: the whole answer, or an unknown symbol
	Symbol        string       `avro:"symbol" json:"symbol"`
	Fragment      string       `avro:"fragment" json:"fragment"` // the offending part of the answer, at most 4 KiB
	FetchedAt     time.Time    `avro:"fetched_at" json:"fetched_at"`
	PollID        ID           `avro:"poll_id" json:"poll_id"`
	ResponseID    ID           `avro:"response_id" json:"response_id"`
	CorrelationID ID           `avro:"correlation_id" json:"correlation_id"`
}

// ResponseReceived is one answer of an API, verbatim. Topic: responses.v1.
type ResponseReceived struct {
	ResponseID    ID                `avro:"response_id" json:"response_id"` // hash of poll id, attempt
	PollID        ID                `avro:"poll_id" json:"poll_id"`
	CorrelationID ID                `avro:"correlation_id" json:"correlation_id"`
	CallID        string            `avro:"call_id" json:"call_id"`
	CallVersion   string            `avro:"call_version" json:"call_version"`
	Provider      string            `avro:"provider" json:"provider"`
	Attempt       int32             `avro:"attempt" json:"attempt"` // from 1
	Slot          time.Time         `avro:"slot" json:"slot"`
	RequestedAt   time.Time         `avro:"requested_at" json:"requested_at"` // when this attempt's request was sent
	FetchedAt     time.Time         `avro:"fetched_at" json:"fetched_at"`     // when its body was read to the end
	Method        string            `avro:"method" json:"method"`
	URL           string            `avro:"url" json:"url"` // without secrets
	Status        int32             `avro:"status" json:"status"`
	Headers       map[string]string `avro:"headers" json:"headers"` // the few that matter, lower-case names
	Body          []byte            `avro:"body" json:"body"`       // decompressed, else as it came
}

// PollRequested asks for one API call. Topic: polls.requested.v1.
type PollRequested struct {
	PollID        ID         `avro:"poll_id" json:"poll_id"`
	CorrelationID ID         `avro:"correlation_id" json:"correlation_id"`
	CallID        string     `avro:"call_id" json:"call_id"`
	CallVersion   string     `avro:"call_version" json:"call_version"`
	Account       string     `avro:"account" json:"account"`
	Slot          time.Time  `avro:"slot" json:"slot"`
	RequestedAt   time.Time  `avro:"requested_at" json:"requested_at"`
	Origin        PollOrigin `avro:"origin" json:"origin"`
}

// PollFinished is the outcome of one API call, with an outcome for every
// requested symbol. Topic: polls.finished.v1.
type PollFinished struct {
	PollID        ID              `avro:"poll_id" json:"poll_id"`
	CorrelationID ID              `avro:"correlation_id" json:"correlation_id"`
	CallID        string          `avro:"call_id" json:"call_id"`
	CallVersion   string          `avro:"call_version" json:"call_version"`
	Provider      string          `avro:"provider" json:"provider"`
	Account       string          `avro:"account" json:"account"`
	Origin        PollOrigin      `avro:"origin" json:"origin"`
	Slot          time.Time       `avro:"slot" json:"slot"`
	RequestedAt   time.Time       `avro:"requested_at" json:"requested_at"`
	StartedAt     time.Time       `avro:"started_at" json:"started_at"`
	FinishedAt    time.Time       `avro:"finished_at" json:"finished_at"`
	Outcome       PollOutcome     `avro:"outcome" json:"outcome"`
	Error         string          `avro:"error" json:"error"`         // empty when the poll brought an answer that parses and the record holds all of it
	Requested     int32           `avro:"requested" json:"requested"` // symbols asked for = valued + absent + failed
	Valued        int32           `avro:"valued" json:"valued"`
	Absent        int32           `avro:"absent" json:"absent"`
	Failed        int32           `avro:"failed" json:"failed"`
	Unlisted      int32           `avro:"unlisted" json:"unlisted"` // rows of the answer whose symbol the call does not list
	Attempts      []PollAttempt   `avro:"attempts" json:"attempts"`
	Symbols       []SymbolOutcome `avro:"symbols" json:"symbols"`
}

// PollAttempt is one HTTP request of a poll.
type PollAttempt struct {
	Number         int32          `avro:"number" json:"number"` // from 1
	StartedAt      time.Time      `avro:"started_at" json:"started_at"`
	DurationMicros int64          `avro:"duration_micros" json:"duration_micros"`
	Status         int32          `avro:"status" json:"status"` // 0: no answer
	Outcome        AttemptOutcome `avro:"outcome" json:"outcome"`
	Error          string         `avro:"error" json:"error"`
	ResponseID     *ID            `avro:"response_id" json:"response_id"`     // null: no answer read to its end
	WaitedMicros   int64          `avro:"waited_micros" json:"waited_micros"` // pause before this attempt
}

// SymbolOutcome says what became of one requested symbol.
type SymbolOutcome struct {
	Symbol     string       `avro:"symbol" json:"symbol"`
	Instrument string       `avro:"instrument" json:"instrument"`
	Outcome    ValueOutcome `avro:"outcome" json:"outcome"`
	Reason     string       `avro:"reason" json:"reason"`
}

// SlotScheduled is the last slot asked for of a call. Topic: schedules.v1, key
// call_id, compacted.
type SlotScheduled struct {
	CallID      string    `avro:"call_id" json:"call_id"`
	Slot        time.Time `avro:"slot" json:"slot"`
	PollID      ID        `avro:"poll_id" json:"poll_id"`
	ScheduledAt time.Time `avro:"scheduled_at" json:"scheduled_at"`
	Missed      int64     `avro:"missed" json:"missed"` // slots passed over since the one before
}

// DeadLetterMarked says that somebody decided that nothing more is to be done
// about a dead letter, or took that back. Topic: deadletters.marks.v1, key
// dead_letter_id, compacted. The letter stays where it is.
type DeadLetterMarked struct {
	DeadLetterID ID        `avro:"dead_letter_id" json:"dead_letter_id"`
	Dropped      bool      `avro:"dropped" json:"dropped"`
	Reason       string    `avro:"reason" json:"reason"`
	MarkedBy     string    `avro:"marked_by" json:"marked_by"` // user@host
	MarkedAt     time.Time `avro:"marked_at" json:"marked_at"`
}

// RoleSwitched says that a role was paused or resumed, in every process that
// runs it. Topic: roles.v1, key role, compacted. A role without a record is not
// paused.
type RoleSwitched struct {
	Role       string    `avro:"role" json:"role"`
	Paused     bool      `avro:"paused" json:"paused"`
	Reason     string    `avro:"reason" json:"reason"`
	SwitchedBy string    `avro:"switched_by" json:"switched_by"` // user@host
	SwitchedAt time.Time `avro:"switched_at" json:"switched_at"`
}

// InstrumentDefined is one instrument of the catalog. Topic:
// catalog.instruments.v1, key instrument, compacted; null value = removed.
type InstrumentDefined struct {
	Instrument      string    `avro:"instrument" json:"instrument"`
	AssetClass      string    `avro:"asset_class" json:"asset_class"`
	Base            string    `avro:"base" json:"base"`
	Quote           string    `avro:"quote" json:"quote"`
	Unit            string    `avro:"unit" json:"unit"`
	MinorUnitFactor Decimal   `avro:"minor_unit_factor" json:"minor_unit_factor"` // 1, or 0.01 where the source quotes pence
	Calendar        string    `avro:"calendar" json:"calendar"`
	Description     string    `avro:"description" json:"description"`
	DefinedAt       time.Time `avro:"defined_at" json:"defined_at"`
}

// CallDefined is one call of the catalog, self-contained: request, account,
// schedule, mapping and symbols. Topic: catalog.calls.v1, key call_id,
// compacted; null value = removed.
type CallDefined struct {
	CallID         string       `avro:"call_id" json:"call_id"`
	Version        string       `avro:"version" json:"version"` // hash of everything but DefinedAt
	Provider       string       `avro:"provider" json:"provider"`
	Account        string       `avro:"account" json:"account"` // whose rate limit it uses
	Enabled        bool         `avro:"enabled" json:"enabled"`
	Request        CallRequest  `avro:"request" json:"request"`
	Schedule       CallSchedule `avro:"schedule" json:"schedule"`
	Mapping        string       `avro:"mapping" json:"mapping"` // JSON of producers/mapping.Mapping
	Symbols        []CallSymbol `avro:"symbols" json:"symbols"`
	RetentionDays  int32        `avro:"retention_days" json:"retention_days"` // of the answers' bodies in the lake; 0 = the lake's default
	TermsURL       string       `avro:"terms_url" json:"terms_url"`
	Attribution    string       `avro:"attribution" json:"attribution"`
	Redistribution string       `avro:"redistribution" json:"redistribution"`
	DefinedAt      time.Time    `avro:"defined_at" json:"defined_at"`
}

// CallRequest is the HTTP request of a call. Values of Headers and Query that
// start with env: or file: are secret references, resolved when the request is
// sent and nowhere else.
type CallRequest struct {
	Method           string            `avro:"method" json:"method"`
	URL              string            `avro:"url" json:"url"`
	Headers          map[string]string `avro:"headers" json:"headers"`
	Query            map[string]string `avro:"query" json:"query"`
	Body             string            `avro:"body" json:"body"`
	TimeoutMicros    int64             `avro:"timeout_micros" json:"timeout_micros"` // one attempt, until the body is read
	MaxBodyBytes     int64             `avro:"max_body_bytes" json:"max_body_bytes"` // decompressed
	MaxAttempts      int32             `avro:"max_attempts" json:"max_attempts"`
	BackoffMicros    int64             `avro:"backoff_micros" json:"backoff_micros"` // mean pause before the second attempt; doubles
	MaxBackoffMicros int64             `avro:"max_backoff_micros" json:"max_backoff_micros"`
}

// CallSchedule says when a call is due. Exactly one of EveryMicros and Cron is
// set.
type CallSchedule struct {
	EveryMicros int64   `avro:"every_micros" json:"every_micros"`
	PhaseMicros int64   `avro:"phase_micros" json:"phase_micros"` // offset of the slots from the epoch, hash of the call id
	Cron        string  `avro:"cron" json:"cron"`                 // five fields
	Zone        string  `avro:"zone" json:"zone"`                 // IANA name
	Catchup     Catchup `avro:"catchup" json:"catchup"`
}

// CallSymbol maps a symbol of the provider to an instrument.
type CallSymbol struct {
	Symbol     string   `avro:"symbol" json:"symbol"`
	Aliases    []string `avro:"aliases" json:"aliases"` // other spellings in answers (Kraken: XXBTZUSD)
	Instrument string   `avro:"instrument" json:"instrument"`
	Base       string   `avro:"base" json:"base"`
	Quote      string   `avro:"quote" json:"quote"`
	Factor     Decimal  `avro:"factor" json:"factor"` // minor-unit factor of the instrument: values are multiplied by it
	ValidFrom  *Date    `avro:"valid_from" json:"valid_from"`
	ValidTo    *Date    `avro:"valid_to" json:"valid_to"`
}

// DeadLetter is work that could not be done, with the original record. Topic:
// deadletters.v1, key origin topic/partition/offset.
type DeadLetter struct {
	DeadLetterID    ID                `avro:"dead_letter_id" json:"dead_letter_id"` // hash of the origin
	OriginTopic     string            `avro:"origin_topic" json:"origin_topic"`
	OriginTopicID   ID                `avro:"origin_topic_id" json:"origin_topic_id"`
	OriginPartition int32             `avro:"origin_partition" json:"origin_partition"`
	OriginOffset    int64             `avro:"origin_offset" json:"origin_offset"`
	OriginTimestamp time.Time         `avro:"origin_timestamp" json:"origin_timestamp"`
	Role            string            `avro:"role" json:"role"`
	Reason          DeadReason        `avro:"reason" json:"reason"`
	Error           string            `avro:"error" json:"error"`
	Attempts        int32             `avro:"attempts" json:"attempts"`
	CallID          string            `avro:"call_id" json:"call_id"`
	CorrelationID   *ID               `avro:"correlation_id" json:"correlation_id"`
	FailedAt        time.Time         `avro:"failed_at" json:"failed_at"`
	Key             []byte            `avro:"key" json:"key"`
	Value           []byte            `avro:"value" json:"value"`
	Headers         map[string][]byte `avro:"headers" json:"headers"`
}
