package schemas

import (
	"fmt"
	"strings"
)

// The symbols of the enumerations: their texts everywhere (Avro, JSON, SQL,
// metrics), in the order of the constants.
const (
	kindSymbols          = "unknown ticker quote trade fixing index"
	rateTypeSymbols      = "none last mid official buy sell close settlement index"
	eventTimeKindSymbols = "unknown source publish value_date fetched"
	rejectReasonSymbols  = "unknown unparsable error_answer bad_number too_large bad_time unknown_symbol no_value " +
		"float unknown_call invalid"
	deadReasonSymbols     = "unknown attempts decode unknown_call refused too_large invalid"
	pollOriginSymbols     = "unknown schedule api backfill replay"
	pollOutcomeSymbols    = "unknown valued partial absent unparsable error_answer failed too_large unknown_call"
	attemptOutcomeSymbols = "unknown ok rate_limited status timeout network too_large setup"
	valueOutcomeSymbols   = "unknown valued absent failed"
	catchupSymbols        = "unknown none latest"
)

// symbolText returns the symbol of a value, or its number as "enum(7)" when it
// has none.
func symbolText[E ~uint8](symbols string, value E) string {
	rest := symbols
	for range value {
		_, after, more := strings.Cut(rest, " ")
		if !more {
			return fmt.Sprintf("enum(%d)", uint8(value))
		}
		rest = after
	}
	symbol, _, _ := strings.Cut(rest, " ")
	return symbol
}

func parseSymbol[E ~uint8](what, symbols, text string) (E, error) {
	rest, more := symbols, true
	for value := E(0); more; value++ {
		var symbol string
		if symbol, rest, more = strings.Cut(rest, " "); symbol == text {
			return value, nil
		}
	}
	return 0, fmt.Errorf("parsing the %s %s: want one of %s", what, quoted(text), strings.ReplaceAll(symbols, " ", ", "))
}

func marshalSymbol[E ~uint8](what, symbols string, value E) ([]byte, error) {
	if int(value) > strings.Count(symbols, " ") {
		return nil, fmt.Errorf("printing the %s %d: there is no such %s", what, uint8(value), what)
	}
	return []byte(symbolText(symbols, value)), nil
}

func unmarshalSymbol[E ~uint8](what, symbols string, text []byte, value *E) error {
	parsed, err := parseSymbol[E](what, symbols, string(text))
	if err == nil {
		*value = parsed
	}
	return err
}

// ParseKind reads the symbol of a kind.
func ParseKind(text string) (Kind, error) { return parseSymbol[Kind]("kind", kindSymbols, text) }

// String returns the symbol.
func (k Kind) String() string { return symbolText(kindSymbols, k) }

// MarshalText returns the symbol, or an error for a value without one.
func (k Kind) MarshalText() ([]byte, error) { return marshalSymbol("kind", kindSymbols, k) }

// UnmarshalText reads the symbol.
func (k *Kind) UnmarshalText(text []byte) error { return unmarshalSymbol("kind", kindSymbols, text, k) }

// ParseRateType reads the symbol of a rate type.
func ParseRateType(text string) (RateType, error) {
	return parseSymbol[RateType]("rate type", rateTypeSymbols, text)
}

// String returns the symbol.
func (r RateType) String() string { return symbolText(rateTypeSymbols, r) }

// MarshalText returns the symbol, or an error for a value without one.
func (r RateType) MarshalText() ([]byte, error) {
	return marshalSymbol("rate type", rateTypeSymbols, r)
}

// UnmarshalText reads the symbol.
func (r *RateType) UnmarshalText(text []byte) error {
	return unmarshalSymbol("rate type", rateTypeSymbols, text, r)
}

// ParseEventTimeKind reads the symbol of a event time kind.
func ParseEventTimeKind(text string) (EventTimeKind, error) {
	return parseSymbol[EventTimeKind]("event time kind", eventTimeKindSymbols, text)
}

// String returns the symbol.
func (e EventTimeKind) String() string { return symbolText(eventTimeKindSymbols, e) }

// MarshalText returns the symbol, or an error for a value without one.
func (e EventTimeKind) MarshalText() ([]byte, error) {
	return marshalSymbol("event time kind", eventTimeKindSymbols, e)
}

// UnmarshalText reads the symbol.
func (e *EventTimeKind) UnmarshalText(text []byte) error {
	return unmarshalSymbol("event time kind", eventTimeKindSymbols, text, e)
}

// ParseRejectReason reads the symbol of a reject reason.
func ParseRejectReason(text string) (RejectReason, error) {
	return parseSymbol[RejectReason]("reject reason", rejectReasonSymbols, text)
}

// String returns the symbol.
func (r RejectReason) String() string { return symbolText(rejectReasonSymbols, r) }

// MarshalText returns the symbol, or an error for a value without one.
func (r RejectReason) MarshalText() ([]byte, error) {
	return marshalSymbol("reject reason", rejectReasonSymbols, r)
}

// UnmarshalText reads the symbol.
func (r *RejectReason) UnmarshalText(text []byte) error {
	return unmarshalSymbol("reject reason", rejectReasonSymbols, text, r)
}

// ParseDeadReason reads the symbol of a dead letter reason.
func ParseDeadReason(text string) (DeadReason, error) {
	return parseSymbol[DeadReason]("dead letter reason", deadReasonSymbols, text)
}

// String returns the symbol.
func (d DeadReason) String() string { return symbolText(deadReasonSymbols, d) }

// MarshalText returns the symbol, or an error for a value without one.
func (d DeadReason) MarshalText() ([]byte, error) {
	return marshalSymbol("dead letter reason", deadReasonSymbols, d)
}

// UnmarshalText reads the symbol.
func (d *DeadReason) UnmarshalText(text []byte) error {
	return unmarshalSymbol("dead letter reason", deadReasonSymbols, text, d)
}

// ParsePollOrigin reads the symbol of a poll origin.
func ParsePollOrigin(text string) (PollOrigin, error) {
	return parseSymbol[PollOrigin]("poll origin", pollOriginSymbols, text)
}

// String returns the symbol.
func (p PollOrigin) String() string { return symbolText(pollOriginSymbols, p) }

// MarshalText returns the symbol, or an error for a value without one.
func (p PollOrigin) MarshalText() ([]byte, error) {
	return marshalSymbol("poll origin", pollOriginSymbols, p)
}

// UnmarshalText reads the symbol.
func (p *PollOrigin) UnmarshalText(text []byte) error {
	return unmarshalSymbol("poll origin", pollOriginSymbols, text, p)
}

// ParsePollOutcome reads the symbol of a poll outcome.
func ParsePollOutcome(text string) (PollOutcome, error) {
	return parseSymbol[PollOutcome]("poll outcome", pollOutcomeSymbols, text)
}

// String returns the symbol.
func (p PollOutcome) String() string { return symbolText(pollOutcomeSymbols, p) }

// MarshalText returns the symbol, or an error for a value without one.
func (p PollOutcome) MarshalText() ([]byte, error) {
	return marshalSymbol("poll outcome", pollOutcomeSymbols, p)
}

// UnmarshalText reads the symbol.
func (p *PollOutcome) UnmarshalText(text []byte) error {
	return unmarshalSymbol("poll outcome", pollOutcomeSymbols, text, p)
}

// ParseAttemptOutcome reads the symbol of a attempt outcome.
func ParseAttemptOutcome(text string) (AttemptOutcome, error) {
	return parseSymbol[AttemptOutcome]("attempt outcome", attemptOutcomeSymbols, text)
}

// String returns the symbol.
func (a AttemptOutcome) String() string { return symbolText(attemptOutcomeSymbols, a) }

// MarshalText returns the symbol, or an error for a value without one.
func (a AttemptOutcome) MarshalText() ([]byte, error) {
	return marshalSymbol("attempt outcome", attemptOutcomeSymbols, a)
}

// UnmarshalText reads the symbol.
func (a *AttemptOutcome) UnmarshalText(text []byte) error {
	return unmarshalSymbol("attempt outcome", attemptOutcomeSymbols, text, a)
}

// ParseValueOutcome reads the symbol of a value outcome.
func ParseValueOutcome(text string) (ValueOutcome, error) {
	return parseSymbol[ValueOutcome]("value outcome", valueOutcomeSymbols, text)
}

// String returns the symbol.
func (v ValueOutcome) String() string { return symbolText(valueOutcomeSymbols, v) }

// MarshalText returns the symbol, or an error for a value without one.
func (v ValueOutcome) MarshalText() ([]byte, error) {
	return marshalSymbol("value outcome", valueOutcomeSymbols, v)
}

// UnmarshalText reads the symbol.
func (v *ValueOutcome) UnmarshalText(text []byte) error {
	return unmarshalSymbol("value outcome", valueOutcomeSymbols, text, v)
}

// ParseCatchup reads the symbol of a catch-up rule.
func ParseCatchup(text string) (Catchup, error) {
	return parseSymbol[Catchup]("catch-up rule", catchupSymbols, text)
}

// String returns the symbol.
func (c Catchup) String() string { return symbolText(catchupSymbols, c) }

// MarshalText returns the symbol, or an error for a value without one.
func (c Catchup) MarshalText() ([]byte, error) {
	return marshalSymbol("catch-up rule", catchupSymbols, c)
}

// UnmarshalText reads the symbol.
func (c *Catchup) UnmarshalText(text []byte) error {
	return unmarshalSymbol("catch-up rule", catchupSymbols, text, c)
}
