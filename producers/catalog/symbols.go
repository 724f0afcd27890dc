package catalog

import (
	"fmt"
	"strings"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/producers/providers"
	"github.com/pricelake/pricelake/schemas"
)

// symbols fills the symbol map and returns the distinct symbols to ask for.
func (c *callBuilder) symbols() []string {
	given := c.in.Symbols
	var known providers.Symbols
	if c.provider != nil {
		known = c.provider.SymbolsOf(c.endpoint)
	}
	whole := len(given) == 0
	switch {
	case whole && c.endpoint == nil:
		c.report("the symbols are missing", "write symbols: {SYMBOL: INSTRUMENT}", "symbols")
		return nil
	case whole && c.endpoint.Batch == 1 && len(known) > 1:
		c.report("this preset asks for one symbol a call", "write symbols: ["+known[0].Key+"], and one call per symbol", "symbols")
		return nil
	case whole:
		given = known
	}
	var names []string
	for _, e := range given {
		list := e.Value
		own, isKnown := known.Get(e.Key)
		switch {
		case len(list) == 0 && !isKnown:
			c.report(fmt.Sprintf("the preset does not know the symbol %q", e.Key),
				notKnownHint(e.Key, known), "symbols")
			continue
		case len(list) == 0:
			list = own
		case isKnown:
			list = inherit(list, own)
		}
		names = append(names, e.Key)
		for _, s := range list {
			c.def.Symbols = append(c.def.Symbols, c.symbol(e.Key, s, whole))
		}
	}
	c.missingInstruments(whole)
	c.twice()
	return names
}

func notKnownHint(symbol string, known providers.Symbols) string {
	keys := make([]string, len(known))
	for i, e := range known {
		keys[i] = e.Key
	}
	hint := fmt.Sprintf("write %s: INSTRUMENT", symbol)
	if close, ok := config.Closest(symbol, keys); ok {
		hint = fmt.Sprintf("did you mean %q? Otherwise %s", close, hint)
	}
	return hint
}

// inherit gives a symbol written in short what the preset knows about it.
func inherit(list, own config.List[providers.Symbol]) config.List[providers.Symbol] {
	if len(list) != 1 || len(own) != 1 || list[0].Instrument != own[0].Instrument {
		return list
	}
	s, o := list[0], own[0]
	if s.Aliases == nil {
		s.Aliases = o.Aliases
	}
	if s.Factor == nil {
		s.Factor = o.Factor
	}
	if s.ValidFrom == nil && s.ValidTo == nil {
		s.ValidFrom, s.ValidTo = o.ValidFrom, o.ValidTo
	}
	return config.List[providers.Symbol]{s}
}

func (c *callBuilder) symbol(name string, s providers.Symbol, whole bool) schemas.CallSymbol {
	out := schemas.CallSymbol{Symbol: name, Aliases: s.Aliases, Instrument: s.Instrument,
		Factor: schemas.DecimalFromInt64(1), ValidFrom: s.ValidFrom, ValidTo: s.ValidTo}
	if name == "" || strings.ContainsAny(name, "{}\r\n\t") {
		c.report(fmt.Sprintf("%q is no proper symbol", name), "write the provider's symbol", "symbols", name)
	}
	in, ok := c.instruments[s.Instrument]
	switch {
	case ok:
		out.Base, out.Quote, out.Factor = in.Base, in.Quote, in.MinorUnitFactor
	case s.Instrument == "":
		c.report("the instrument is missing", "write "+name+": INSTRUMENT", "symbols", name)
	case !whole:
		c.report(fmt.Sprintf("unknown instrument %q", s.Instrument), unknownHint(s.Instrument, sortedKeys(c.instruments)), "symbols", name)
	}
	if s.Factor != nil {
		if out.Factor = *s.Factor; out.Factor.Sign() <= 0 {
			c.report("the factor is not above zero", "write 0.01 where the source quotes pence, else leave it out", "symbols", name, "factor")
		}
	}
	if s.ValidFrom != nil && s.ValidTo != nil && *s.ValidTo < *s.ValidFrom {
		c.report("valid_to is before valid_from", "write the days the other way round", "symbols", name, "valid_to")
	}
	return out
}

func unknownHint(name string, known []string) string {
	const declare = "declare it under instruments, or write include_instruments: [crypto, fx]"
	if close, ok := config.Closest(name, known); ok {
		return fmt.Sprintf("did you mean %q? Otherwise %s", close, declare)
	}
	return declare
}

// missingInstruments reports once what a call with all of a preset's symbols
// lacks.
func (c *callBuilder) missingInstruments(whole bool) {
	if !whole {
		return
	}
	var missing []string
	for _, s := range c.def.Symbols {
		if _, ok := c.instruments[s.Instrument]; !ok {
			missing = append(missing, s.Instrument)
		}
	}
	if len(missing) > 0 {
		list := strings.Join(missing[:min(len(missing), 5)], ", ")
		if len(missing) > 5 {
			list += ", …"
		}
		c.report(fmt.Sprintf("the preset's symbols stand for %d unknown instruments: %s", len(missing), list),
			"write include_instruments: [crypto, fx], or symbols: with the ones you want", "symbols")
	}
}

// twice reports symbols that stand for two instruments at one time, and
// instruments that two symbols stand for: their prices would be taken for
// corrections of each other.
func (c *callBuilder) twice() {
	for i := range c.def.Symbols {
		for j := range i {
			a, b := &c.def.Symbols[j], &c.def.Symbols[i]
			if !overlap(a, b) {
				continue
			}
			if name, ok := sharedName(a, b); ok {
				c.report(fmt.Sprintf("the symbol %s is mapped twice, to %s and to %s", name, a.Instrument, b.Instrument),
					"keep one, or give both valid_from and valid_to", "symbols", b.Symbol)
			} else if a.Instrument == b.Instrument && a.Instrument != "" {
				c.report(fmt.Sprintf("the symbols %s and %s stand for the same instrument %s", a.Symbol, b.Symbol, a.Instrument),
					"keep one, write the other as its alias, or give both valid_from and valid_to", "symbols", b.Symbol)
			}
		}
	}
}

func overlap(a, b *schemas.CallSymbol) bool {
	before := func(x, y *schemas.CallSymbol) bool {
		return x.ValidTo != nil && y.ValidFrom != nil && *x.ValidTo < *y.ValidFrom
	}
	return !before(a, b) && !before(b, a)
}

func sharedName(a, b *schemas.CallSymbol) (string, bool) {
	for _, x := range append([]string{a.Symbol}, a.Aliases...) {
		for _, y := range append([]string{b.Symbol}, b.Aliases...) {
			if x == y {
				return x, true
			}
		}
	}
	return "", false
}
