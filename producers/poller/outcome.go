package poller

import (
	"slices"
	"time"

	"github.com/pricelake/pricelake/schemas"
)

// opened returns the outcome of a poll as far as its request gives it.
func opened(r *schemas.PollRequested, provider, version string, started time.Time) schemas.PollFinished {
	return schemas.PollFinished{
		PollID:        r.PollID,
		CorrelationID: r.CorrelationID,
		CallID:        r.CallID,
		CallVersion:   version,
		Provider:      provider,
		Account:       r.Account,
		Origin:        r.Origin,
		Slot:          r.Slot,
		RequestedAt:   r.RequestedAt,
		StartedAt:     micros(started),
	}
}

// unknown is the outcome of a request whose call is not in the catalog. Which
// symbols were meant is not known either.
func (p *Poller) unknown(r *schemas.PollRequested, err error) *result {
	now := p.cfg.Now()
	f := opened(r, "", r.CallVersion, now)
	f.FinishedAt = micros(now)
	f.Outcome = schemas.PollUnknownCall
	f.Error = clip(err.Error(), maxErrorBytes)
	return &result{finished: f, dead: schemas.DeadUnknownCall}
}

// reasonWhole is the reason of symbols that failed with their poll. The text of
// the failure stands once, in the poll: a call may have thousands of symbols.
const reasonWhole = "the whole poll failed: see its error"

// once gives the symbols that repeat the error of their poll reasonWhole instead.
func once(symbols []schemas.SymbolOutcome, text string) []schemas.SymbolOutcome {
	if text == "" {
		return symbols
	}
	symbols = slices.Clone(symbols) // they belong to the reader
	for i := range symbols {
		if symbols[i].Reason == text {
			symbols[i].Reason = reasonWhole
		}
	}
	return symbols
}

// allFailed is the outcome of the symbols of a call when no answer could be read
// for them: one entry for each symbol that is valid on the day, as a reading of
// an answer would have.
func allFailed(symbols []schemas.CallSymbol, at time.Time) []schemas.SymbolOutcome {
	day := schemas.DateOfTime(at.UTC())
	outcomes := make([]schemas.SymbolOutcome, 0, len(symbols))
	seen := make(map[string]bool, len(symbols))
	for _, s := range symbols {
		valid := (s.ValidFrom == nil || *s.ValidFrom <= day) && (s.ValidTo == nil || *s.ValidTo >= day)
		if !valid || seen[s.Symbol] {
			continue
		}
		seen[s.Symbol] = true
		outcomes = append(outcomes, schemas.SymbolOutcome{
			Symbol: s.Symbol, Instrument: s.Instrument, Outcome: schemas.ValueFailed, Reason: reasonWhole,
		})
	}
	return outcomes
}

// count makes the counts agree with the symbols: requested is always the sum of
// the other three.
func count(f *schemas.PollFinished) {
	f.Requested, f.Valued, f.Absent, f.Failed = int32(len(f.Symbols)), 0, 0, 0
	for _, s := range f.Symbols {
		switch s.Outcome {
		case schemas.ValueValued:
			f.Valued++
		case schemas.ValueAbsent:
			f.Absent++
		default:
			f.Failed++
		}
	}
}
