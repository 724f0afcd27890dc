package ledgercheck

import "time"

// Lake is what the tables of the lake hold. Enumerations are their text, ids
// any text that is the same wherever the same id is meant.
type Lake struct {
	Responses   []Response
	Polls       []Poll
	Prices      []Price
	Rejected    []Rejected
	DeadLetters []DeadLetter
	// Repeats is the deduplicator's count of dropped repeats since the
	// simulator's start; nil leaves it out of the comparison.
	Repeats *int64
}

// Response is a row of responses.
type Response struct {
	ResponseID string
	PollID     string
	CallID     string
	Attempt    int
	Status     int
	Headers    map[string]string // lower-case names
	BodySHA256 string            // hex, of the body as stored
	Partition  int32             // lineage: _partition and _offset
	Offset     int64
}

// Poll is a row of polls.
type Poll struct {
	PollID        string
	CorrelationID string
	CallID        string
	Slot          time.Time
	StartedAt     time.Time
	FinishedAt    time.Time
	Outcome       string
	Requested     int
	Valued        int
	Absent        int
	Failed        int
	Attempts      []Attempt
	Symbols       []SymbolOutcome
}

// Attempt is one HTTP request of a poll.
type Attempt struct {
	Number     int // from 1
	StartedAt  time.Time
	Duration   time.Duration
	Status     int // 0: no answer
	Outcome    string
	ResponseID string // empty: no answer read to its end
}

// SymbolOutcome says what became of one requested symbol.
type SymbolOutcome struct {
	Symbol  string
	Outcome string
}

// Price is a row of prices. Numbers are decimal text, empty for null.
type Price struct {
	EventID       string
	Revision      int
	Withdrawn     bool
	Provider      string
	CallID        string
	Instrument    string
	Kind          string
	RateType      string
	Price         string
	Bid           string
	Ask           string
	Size          string
	EventTime     time.Time
	EventTimeKind string
	ValueDate     string // 2006-01-02, empty for null
	TradeID       string
	Rounded       bool // the bit of quality
	PollID        string
	ResponseID    string
	FetchedAt     time.Time // zero is never younger than the ledger
}

// Rejected is a row of prices_rejected.
type Rejected struct {
	RejectID   string
	Reason     string
	ResponseID string
	FetchedAt  time.Time
}

// DeadLetter is a row of dead_letters.
type DeadLetter struct {
	DeadLetterID  string
	Reason        string
	CallID        string
	CorrelationID string
	Attempts      int
	FailedAt      time.Time
}

// Call is a call of the catalog.
type Call struct {
	ID          string
	URL         string // as sent to the simulator, with query
	MaxAttempts int    // 0 means 5
	Symbols     []Symbol
}

// Symbol maps a symbol of the provider to an instrument.
type Symbol struct {
	Symbol     string
	Aliases    []string
	Instrument string
}

// Options say what the rows cannot.
type Options struct {
	// InFlight are ids of answers to leave out although the ledger has them
	// whole.
	InFlight []string
	// Slack is how far the clocks of poller and simulator, or the start of an
	// attempt and that of its answer, may lie apart; half a second by default.
	Slack time.Duration
	// Unheard is how many attempts may have timed out that the ledger does not
	// know; none by default. A request waits in the simulator's socket until it is
	// read; on a machine short of time that may be longer than its timeout.
	Unheard int
}
