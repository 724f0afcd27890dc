package schemas

// Reading is what a call's mapping reads out of one answer: pure data, made by
// producers/mapping, used by the poller (outcomes) and the normalizer (prices).
type Reading struct {
	// Outcome is valued, partial, absent, unparsable or error_answer.
	Outcome PollOutcome
	// Error says why the outcome is unparsable or error_answer.
	Error string
	// Prices have everything the answer and the call say; ids, revision and the
	// fields of the poll are the normalizer's to fill. Order is the answer's.
	Prices []Price
	// Rejected are the parts of the answer that are no price, with the reason.
	// An unparsable answer is one entry without symbol.
	Rejected []PriceRejected
	// Symbols has one entry for each symbol the call lists, in its order.
	Symbols []SymbolOutcome
	// Unlisted counts rows whose symbol the call does not list.
	Unlisted int32
}
