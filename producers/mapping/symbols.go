package mapping

import (
	"time"

	"github.com/pricelake/pricelake/schemas"
)

// symbolTable finds the instrument of a symbol on a day. Tickers are used
// again, so one symbol may stand for several instruments at different times.
type symbolTable struct {
	names   []string         // distinct symbols in the call's order
	entries []symbolEntry    // all of the call's, in its order
	of      [][]int          // index in names → entries
	byName  map[string][]int // symbol or alias → entries
}

type symbolEntry struct {
	schemas.CallSymbol
	factor schemas.Decimal // 1 where the call has none
	name   int             // index in names
	number int             // index in entries
}

func newSymbolTable(symbols []schemas.CallSymbol) symbolTable {
	t := symbolTable{byName: map[string][]int{}}
	number := map[string]int{}
	for _, s := range symbols {
		n, ok := number[s.Symbol]
		if !ok {
			n = len(t.names)
			number[s.Symbol] = n
			t.names = append(t.names, s.Symbol)
			t.of = append(t.of, nil)
		}
		entry := symbolEntry{CallSymbol: s, factor: s.Factor, name: n, number: len(t.entries)}
		if entry.factor.IsZero() {
			entry.factor = schemas.DecimalFromInt64(1)
		}
		t.entries = append(t.entries, entry)
		t.of[n] = append(t.of[n], entry.number)
		t.byName[s.Symbol] = append(t.byName[s.Symbol], entry.number)
		for _, alias := range s.Aliases {
			t.byName[alias] = append(t.byName[alias], entry.number)
		}
	}
	return t
}

func (e *symbolEntry) validOn(day schemas.Date) bool {
	return (e.ValidFrom == nil || *e.ValidFrom <= day) && (e.ValidTo == nil || *e.ValidTo >= day)
}

// find returns the entry that a symbol of an answer stands for on a day, nil
// when the call lists none.
func (t *symbolTable) find(symbol string, day schemas.Date) *symbolEntry {
	for _, i := range t.byName[symbol] {
		if t.entries[i].validOn(day) {
			return &t.entries[i]
		}
	}
	return nil
}

// current returns the entry of the n-th symbol that is valid on a day, nil when
// none is.
func (t *symbolTable) current(n int, day schemas.Date) *symbolEntry {
	for _, i := range t.of[n] {
		if t.entries[i].validOn(day) {
			return &t.entries[i]
		}
	}
	return nil
}

// tally collects what becomes of every symbol while rows are read.
type tally struct {
	table  *symbolTable
	prices []int    // by symbol
	failed []string // by symbol: the first reason a row was rejected
	empty  []bool   // by symbol: a row without any value was there
	last   []int    // by symbol: entry of the last row, from 1
}

func newTally(t *symbolTable) *tally {
	n := len(t.names)
	return &tally{table: t, prices: make([]int, n), failed: make([]string, n), empty: make([]bool, n), last: make([]int, n)}
}

// outcomes returns one entry for each symbol that is valid at the time the
// answer was read or that the answer carries.
func (t *tally) outcomes(at time.Time) (out []schemas.SymbolOutcome, valued, absent, failed int) {
	day := dateOf(at)
	for n, symbol := range t.table.names {
		entry := t.table.current(n, day)
		if entry == nil && t.last[n] == 0 {
			continue
		}
		if entry == nil {
			entry = &t.table.entries[t.last[n]-1]
		}
		o := schemas.SymbolOutcome{Symbol: symbol, Instrument: entry.Instrument}
		switch {
		case t.prices[n] > 0:
			o.Outcome, o.Reason = schemas.ValueValued, t.failed[n]
			valued++
		case t.failed[n] != "":
			o.Outcome, o.Reason = schemas.ValueFailed, t.failed[n]
			failed++
		case t.empty[n]:
			o.Outcome, o.Reason = schemas.ValueAbsent, "the answer has the symbol without a value"
			absent++
		default:
			o.Outcome, o.Reason = schemas.ValueAbsent, "the answer does not have the symbol"
			absent++
		}
		out = append(out, o)
	}
	return out, valued, absent, failed
}

// Failed returns the outcome of every symbol of a call when nothing could be
// read for any of them: one failed entry for each symbol valid at the time. It
// is what a poll without a readable answer reports, and has the entries a
// Reading of the same day has.
func (p *Program) Failed(at time.Time, reason string) []schemas.SymbolOutcome {
	day := dateOf(at)
	out := make([]schemas.SymbolOutcome, 0, len(p.symbols.names))
	for n, symbol := range p.symbols.names {
		if entry := p.symbols.current(n, day); entry != nil {
			out = append(out, schemas.SymbolOutcome{Symbol: symbol, Instrument: entry.Instrument,
				Outcome: schemas.ValueFailed, Reason: reason})
		}
	}
	return out
}

func dateOf(t time.Time) schemas.Date { return schemas.DateOfTime(t.UTC()) }
