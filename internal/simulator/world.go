package simulator

import (
	"time"
)

// world is what the providers' answers are made of. Not safe for parallel use;
// the server's lock guards it.
type world struct {
	seed     uint64
	clock    func() time.Time
	frozenAt time.Time            // zero while the market moves
	stamps   map[string]time.Time // newest source time given, by provider and symbol
	ecb, cnb *bank
}

func newWorld(seed uint64, clock func() time.Time) *world {
	return &world{
		seed:   seed,
		clock:  clock,
		stamps: map[string]time.Time{},
		ecb:    newBank("ecb", seed, target(), ecbCurrencies()),
		cnb:    newBank("cnb", seed, czech(), cnbCurrencies()),
	}
}

// marketTime is the instant whose prices are served, in whole microseconds.
func (w *world) marketTime() (at time.Time, frozen bool) {
	if !w.frozenAt.IsZero() {
		return w.frozenAt, true
	}
	return w.now(), false
}

func (w *world) now() time.Time { return w.clock().UTC().Truncate(time.Microsecond) }

// stamp gives the source time of a new statement about a product: now, but later
// than any before, because two statements of one instant would be one event. A
// frozen market says the same at the same instant.
func (w *world) stamp(provider string, p *product) time.Time {
	at, frozen := w.marketTime()
	if frozen {
		return at
	}
	name := provider + " " + p.symbol
	if last := w.stamps[name]; !at.After(last) {
		at = last.Add(time.Microsecond)
	}
	w.stamps[name] = at
	return at
}

// freeze stops the market, or lets it go on from the present.
func (w *world) freeze(frozen bool) {
	switch {
	case !frozen:
		w.frozenAt = time.Time{}
	case w.frozenAt.IsZero():
		at := w.now()
		for _, last := range w.stamps {
			if !at.After(last) {
				at = last.Add(time.Microsecond)
			}
		}
		w.frozenAt = at
	}
}

func (w *world) bank(name string) *bank {
	for _, b := range []*bank{w.ecb, w.cnb} {
		if b.name == name {
			return b
		}
	}
	return nil
}

// bankOf is the bank whose fixings a provider publishes, nil if none.
func (w *world) bankOf(provider string) *bank {
	if provider == "frankfurter" {
		provider = "ecb"
	}
	return w.bank(provider)
}
