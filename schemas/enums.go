package schemas

// The enumerations of the records. Their Avro symbols are the constants' text;
// each has a default symbol, so that a reader of an older schema meets a newer
// symbol as that default instead of an error. The zero value is never a valid
// choice but for the default.

// Kind says what sort of statement a Price is.
type Kind uint8

// RateType says what Price.Price is.
type RateType uint8

// EventTimeKind says where Price.EventTime comes from.
type EventTimeKind uint8

// Quality is a bit set of what was done to, or is doubtful about, a price.
type Quality int32

const (
	// QualityRounded says that the source sent more than 18 decimals and a value
	// was rounded half-even.
	QualityRounded Quality = 1 << iota
	// QualityTimeTruncated says that the source's time was finer than a
	// microsecond.
	QualityTimeTruncated
)

// RejectReason says why a value, or a whole answer, is no price.
type RejectReason uint8

// DeadReason says why a record's work could not be done.
type DeadReason uint8

// PollOrigin says who asked for a poll.
type PollOrigin uint8

// PollOutcome says what a poll brought.
type PollOutcome uint8

// AttemptOutcome says what one HTTP request of a poll brought.
type AttemptOutcome uint8

// ValueOutcome says what became of one requested symbol.
type ValueOutcome uint8

// Catchup says what happens with slots that were missed.
type Catchup uint8

// The values of Kind.
const (
	KindUnknown Kind = iota
	KindTicker       // last price, perhaps with bid and ask
	KindQuote        // bid and ask, no price
	KindTrade        // one trade, with size
	KindFixing       // reference rate of a value date
	KindIndex        // a price computed by the source
)

// The values of RateType.
const (
	RateNone RateType = iota
	RateLast
	RateMid
	RateOfficial
	RateBuy
	RateSell
	RateClose
	RateSettlement
	RateIndex
)

// The values of EventTimeKind.
const (
	TimeUnknown   EventTimeKind = iota
	TimeSource                  // the instant the source gives
	TimePublish                 // when the source says it published
	TimeValueDate               // the value date at 00:00 UTC
	TimeFetched                 // the source gives none: when the answer was read
)

// The values of RejectReason.
const (
	RejectUnknown       RejectReason = iota
	RejectUnparsable                 // the body is not what the mapping reads
	RejectErrorAnswer                // the body says that the call failed
	RejectBadNumber                  // a value is no decimal number
	RejectTooLarge                   // more than 20 integer digits
	RejectBadTime                    // a time or date that cannot be read
	RejectUnknownSymbol              // a symbol that neither the call nor the preset lists, where that is an error
	RejectNoValue                    // none of price, bid, ask
	RejectFloat                      // the mapping computed a float
	RejectUnknownCall                // the call version the answer names is not in the catalog
	RejectInvalid                    // a record that breaks a rule of Price
)

// The values of DeadReason.
const (
	DeadUnknown     DeadReason = iota
	DeadAttempts               // every attempt failed
	DeadDecode                 // the record's bytes cannot be read
	DeadUnknownCall            // the call is not in the catalog
	DeadRefused                // the sink's server refuses the row
	DeadTooLarge               // above the record limit
	DeadInvalid                // breaks a rule
)

// The values of PollOrigin.
const (
	OriginUnknown PollOrigin = iota
	OriginSchedule
	OriginAPI
	OriginBackfill
	OriginReplay
)

// The values of PollOutcome.
const (
	PollUnknown     PollOutcome = iota
	PollValued                  // every requested symbol has a value
	PollPartial                 // some have
	PollAbsent                  // a proper answer without any of them
	PollUnparsable              // an answer with status 2xx that the mapping cannot read
	PollErrorAnswer             // an answer with status 2xx that says the call failed
	PollFailed                  // no attempt brought an answer with status 2xx
	PollTooLarge                // the answer is above the limit
	PollUnknownCall             // the call is not (or no longer) in the catalog
)

// The values of AttemptOutcome.
const (
	AttemptUnknown     AttemptOutcome = iota
	AttemptOK                         // an answer with status 2xx
	AttemptRateLimited                // 429
	AttemptStatus                     // any other status
	AttemptTimeout                    // no whole answer in time
	AttemptNetwork                    // no connection, reset, DNS
	AttemptTooLarge                   // above the body limit
	AttemptSetup                      // the request could not be made (a secret that is missing, say)
)

// The values of ValueOutcome.
const (
	ValueUnknown ValueOutcome = iota
	ValueValued
	ValueAbsent
	ValueFailed
)

// The values of Catchup.
const (
	CatchupUnknown Catchup = iota
	CatchupNone            // missed slots are counted, not asked for
	CatchupLatest          // the latest missed slot is asked for once
)
