package simulator

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Trouble is what is odd about one answer. An answer has at most one.
type Trouble string

// The kinds of trouble.
const (
	TroubleNone          Trouble = "none"
	TroubleRateLimited   Trouble = "rate_limited"   // status 429 with Retry-After
	TroubleServerError   Trouble = "server_error"   // status 500
	TroubleHTML          Trouble = "html"           // status 200 with an HTML page
	TroubleMissingSymbol Trouble = "missing_symbol" // one symbol of several is left out
	TroubleRepeat        Trouble = "repeat"         // the previous answer again, byte for byte, source time included: the same events
	TroubleRepeatUntimed Trouble = "repeat_untimed" // the same where the answer holds no time: new events with the same values
	TroubleRestated      Trouble = "restated"       // a fixing served before has another value from now on
	TroubleSlow          Trouble = "slow"           // the answer takes Config.SlowFor
	TroubleManyDecimals  Trouble = "many_decimals"  // one value has 20 decimals
)

// Troubles lists every kind but none, in a fixed order.
func Troubles() []Trouble {
	return []Trouble{
		TroubleRateLimited, TroubleServerError, TroubleHTML, TroubleMissingSymbol, TroubleRepeat,
		TroubleRepeatUntimed, TroubleRestated, TroubleSlow, TroubleManyDecimals,
	}
}

func (t Trouble) check() error {
	if !slices.Contains(Troubles(), t) {
		return fmt.Errorf("checking trouble %q: write one of %q", string(t), Troubles())
	}
	return nil
}

// Force asks for trouble on coming requests, before any that is due. It waits
// for a request for which the trouble makes sense.
type Force struct {
	Provider string  `json:"provider,omitempty"` // empty: any
	Path     string  `json:"path,omitempty"`     // prefix of the path after the provider; empty: any
	Trouble  Trouble `json:"trouble"`
	Times    int     `json:"times,omitempty"` // 0 means once
}

func (f *Force) matches(provider, path string) bool {
	return (f.Provider == "" || f.Provider == provider) && strings.HasPrefix(path, f.Path)
}

// schedule decides which answer gets which trouble. Not safe for parallel use.
type schedule struct {
	seed   uint64
	rates  Rates
	due    map[Trouble]time.Time
	forced []Force
}

func newSchedule(seed uint64, rates Rates) *schedule {
	s := &schedule{seed: seed}
	s.setRates(rates)
	return s
}

// setRates replaces all rates; the phases begin anew at the next request.
func (s *schedule) setRates(rates Rates) {
	s.rates = rates
	s.due = nil
}

func (s *schedule) start(now time.Time) {
	s.due = make(map[Trouble]time.Time, len(s.rates))
	for kind, every := range s.rates {
		if every <= 0 {
			continue
		}
		late := every - every/4
		phase := every/4 + time.Duration(mix(s.seed, "phase "+string(kind))%uint64(late))
		s.due[kind] = now.Add(phase)
	}
}

func (s *schedule) force(f Force) {
	f.Times = max(f.Times, 1)
	s.forced = append(s.forced, f)
}

// pick takes the trouble of one request: a forced one, or else the one that has
// been due longest among those that fit.
func (s *schedule) pick(now time.Time, provider, path string, fits func(Trouble) bool) Trouble {
	for i := range s.forced {
		f := &s.forced[i]
		if !f.matches(provider, path) || !fits(f.Trouble) {
			continue
		}
		kind := f.Trouble
		if f.Times--; f.Times == 0 {
			s.forced = slices.Delete(s.forced, i, i+1)
		}
		return kind
	}
	if s.due == nil {
		s.start(now)
	}
	chosen := TroubleNone
	for _, kind := range Troubles() {
		due, ok := s.due[kind]
		if !ok || due.After(now) || !fits(kind) {
			continue
		}
		if chosen == TroubleNone || due.Before(s.due[chosen]) {
			chosen = kind
		}
	}
	if chosen != TroubleNone {
		s.postpone(chosen, now)
	}
	return chosen
}

// postpone moves a kind to its next turn; turns that passed unused are dropped,
// so that a quiet time is not followed by a burst.
func (s *schedule) postpone(kind Trouble, now time.Time) {
	every := s.rates[kind]
	late := now.Sub(s.due[kind])
	s.due[kind] = s.due[kind].Add(every * (late/every + 1))
}
