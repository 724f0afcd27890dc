package schemas

import (
	"encoding"
	"encoding/json"
	"strings"
	"testing"
)

// enumeration is what the test needs of one enumeration.
type enumeration struct {
	symbols   string
	last      uint8 // the last constant
	text      func(uint8) encoding.TextMarshaler
	string    func(uint8) string
	parse     func(string) (uint8, error)
	unmarshal func([]byte) (uint8, error)
}

func describe[E ~uint8, P interface {
	*E
	encoding.TextUnmarshaler
}](symbols string, last E, parse func(string) (E, error)) enumeration {
	return enumeration{
		symbols: symbols,
		last:    uint8(last),
		text:    func(n uint8) encoding.TextMarshaler { return any(E(n)).(encoding.TextMarshaler) },
		string:  func(n uint8) string { return any(E(n)).(interface{ String() string }).String() },
		parse:   func(s string) (uint8, error) { e, err := parse(s); return uint8(e), err },
		unmarshal: func(b []byte) (uint8, error) {
			e := E(77)
			err := P(&e).UnmarshalText(b)
			return uint8(e), err
		},
	}
}

func enumerations() map[string]enumeration {
	return map[string]enumeration{
		"Kind":           describe(kindSymbols, KindIndex, ParseKind),
		"RateType":       describe(rateTypeSymbols, RateIndex, ParseRateType),
		"EventTimeKind":  describe(eventTimeKindSymbols, TimeFetched, ParseEventTimeKind),
		"RejectReason":   describe(rejectReasonSymbols, RejectInvalid, ParseRejectReason),
		"DeadReason":     describe(deadReasonSymbols, DeadInvalid, ParseDeadReason),
		"PollOrigin":     describe(pollOriginSymbols, OriginReplay, ParsePollOrigin),
		"PollOutcome":    describe(pollOutcomeSymbols, PollUnknownCall, ParsePollOutcome),
		"AttemptOutcome": describe(attemptOutcomeSymbols, AttemptSetup, ParseAttemptOutcome),
		"ValueOutcome":   describe(valueOutcomeSymbols, ValueFailed, ParseValueOutcome),
		"Catchup":        describe(catchupSymbols, CatchupLatest, ParseCatchup),
	}
}

func TestEnumTexts(t *testing.T) {
	for name, e := range enumerations() {
		symbols := strings.Split(e.symbols, " ")
		if len(symbols) != int(e.last)+1 {
			t.Errorf("%s has %d symbols for %d constants", name, len(symbols), e.last+1)
		}
		for n, symbol := range symbols {
			n := uint8(n)
			text, err := e.text(n).MarshalText()
			if err != nil || string(text) != symbol || e.string(n) != symbol {
				t.Errorf("%s %d: %q, %q, %v; want %q", name, n, text, e.string(n), err, symbol)
			}
			if got, err := e.parse(symbol); err != nil || got != n {
				t.Errorf("%s: %q is read as %d, %v", name, symbol, got, err)
			}
			if got, err := e.unmarshal([]byte(symbol)); err != nil || got != n {
				t.Errorf("%s: %q is unmarshalled as %d, %v", name, symbol, got, err)
			}
		}
		if _, err := e.text(e.last + 1).MarshalText(); err == nil || e.string(e.last+1) == symbols[0] {
			t.Errorf("%s: a value without a symbol is printed as %q", name, e.string(e.last+1))
		}
		for _, bad := range []string{"", " ", "Unknown", symbols[0] + " ", symbols[0] + " " + symbols[1], "no such symbol"} {
			if got, err := e.parse(bad); err == nil {
				t.Errorf("%s: %q is read as %d", name, bad, got)
			} else if !strings.Contains(err.Error(), symbols[1]) {
				t.Errorf("%s: the error does not say what there is: %v", name, err)
			}
			if got, err := e.unmarshal([]byte(bad)); err == nil || got != 77 {
				t.Errorf("%s: %q is unmarshalled as %d, %v", name, bad, got, err)
			}
		}
	}
}

func TestEnumGolden(t *testing.T) {
	f := func(value any, want string) {
		t.Helper()
		if got, err := json.Marshal(value); err != nil || string(got) != want {
			t.Errorf("%v: got %s, %v; want %s", value, got, err, want)
		}
	}
	// The constants and their symbols, where an order gone wrong would hurt most.
	f([]Kind{KindUnknown, KindTicker, KindQuote, KindTrade, KindFixing, KindIndex},
		`["unknown","ticker","quote","trade","fixing","index"]`)
	f([]EventTimeKind{TimeSource, TimePublish, TimeValueDate, TimeFetched}, `["source","publish","value_date","fetched"]`)
	f([]RejectReason{RejectUnparsable, RejectErrorAnswer, RejectFloat, RejectInvalid}, `["unparsable","error_answer","float","invalid"]`)
	f([]PollOutcome{PollValued, PollAbsent, PollErrorAnswer, PollUnknownCall}, `["valued","absent","error_answer","unknown_call"]`)
	f([]AttemptOutcome{AttemptOK, AttemptRateLimited, AttemptTooLarge, AttemptSetup}, `["ok","rate_limited","too_large","setup"]`)
	f([]RateType{RateNone, RateLast, RateOfficial, RateSettlement}, `["none","last","official","settlement"]`)
}

func FuzzEnumTexts(f *testing.F) {
	for _, seed := range []string{"ticker", "unknown", "none", "error_answer", "ticker quote", ""} {
		f.Add(seed)
	}
	all := enumerations()
	f.Fuzz(func(t *testing.T, text string) {
		for name, e := range all {
			if n, err := e.parse(text); err == nil && e.string(n) != text {
				t.Fatalf("%s: %q is printed as %q", name, text, e.string(n))
			}
		}
	})
}
