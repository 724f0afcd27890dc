package simulator

import (
	"log/slog"
	"time"
)

// HeaderID is the lower-case name of the response header that carries the id of
// the ledger entry.
const HeaderID = "x-simulator-id"

// Config says what the simulator serves. The zero value of a field means its
// default, but for Rates: without rates there is no trouble.
type Config struct {
	// Seed decides the prices and the choices of trouble.
	Seed uint64
	// Clock is the time of prices, fixings and the ledger; time.Now by default.
	Clock func() time.Time
	// Rates says how often each kind of trouble occurs.
	Rates Rates
	// SlowFor is how long a slow answer takes; 2.5 s by default. It should be
	// longer than the timeout of the client.
	SlowFor time.Duration
	// RetryAfter is what a 429 asks for, in whole seconds; 1 s by default.
	RetryAfter time.Duration
	// LedgerEntries and LedgerBytes bound the ledger: the oldest entries are
	// evicted and counted. 20,000 entries and 128 MiB by default, more than an
	// hour of the demo.
	LedgerEntries int
	LedgerBytes   int64
	// StateFile, when set, keeps the restated fixings over a restart. A restated
	// value must stay restated, else the source would seem to take it back.
	StateFile string
	// Hosts are names, beside those of loopback, under which it may be called:
	// requests with another Host are refused.
	Hosts []string
	// Log receives what a person may want to know; discarded by default.
	Log *slog.Logger
}

// Rates gives for each kind of trouble the time between two answers with it.
// Absent or zero means never. A kind is due for the first time between a quarter
// of its period and its period after the first request (a seeded choice), then
// once each period; the next answer for which it makes sense gets it.
type Rates map[Trouble]time.Duration

// DefaultRates makes every kind of trouble occur within 20 s when the requests
// for each kind of answer come at least every 4 s.
func DefaultRates() Rates {
	return Rates{
		TroubleRateLimited:   14 * time.Second,
		TroubleServerError:   15 * time.Second,
		TroubleHTML:          16 * time.Second,
		TroubleMissingSymbol: 12 * time.Second,
		TroubleRepeat:        13 * time.Second,
		TroubleRepeatUntimed: 16 * time.Second,
		TroubleRestated:      14 * time.Second,
		TroubleSlow:          15 * time.Second,
		TroubleManyDecimals:  12 * time.Second,
	}
}

func (c Config) withDefaults() Config {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.SlowFor <= 0 {
		c.SlowFor = 2500 * time.Millisecond
	}
	if c.RetryAfter <= 0 {
		c.RetryAfter = time.Second
	}
	if c.LedgerEntries <= 0 {
		c.LedgerEntries = 20_000
	}
	if c.LedgerBytes <= 0 {
		c.LedgerBytes = 128 << 20
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}
