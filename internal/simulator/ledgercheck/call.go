package ledgercheck

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"time"

	"github.com/pricelake/pricelake/internal/simulator"
	"github.com/pricelake/pricelake/schemas"
)

// CallOf is a call of the catalog as this package wants it: the whole address,
// and the symbols valid on the day of at.
func CallOf(def *schemas.CallDefined, at time.Time) (Call, error) {
	u, err := url.Parse(def.Request.URL)
	if err != nil {
		return Call{}, fmt.Errorf("reading the address of call %q: %w", def.CallID, err)
	}
	query := u.Query()
	for name, value := range def.Request.Query {
		query.Set(name, value)
	}
	u.RawQuery = query.Encode()
	out := Call{ID: def.CallID, URL: u.String(), MaxAttempts: int(def.Request.MaxAttempts)}
	day := schemas.DateOfTime(at.UTC())
	for _, s := range def.Symbols {
		if s.ValidFrom != nil && day < *s.ValidFrom || s.ValidTo != nil && day > *s.ValidTo {
			continue
		}
		out.Symbols = append(out.Symbols, Symbol{Symbol: s.Symbol, Aliases: s.Aliases, Instrument: s.Instrument})
	}
	return out, nil
}

// asks reports whether the entry answers a request of the call.
func (c *Call) asks(e *simulator.Entry) bool {
	u, err := url.Parse(c.URL)
	if err != nil || u.Path != "/"+e.Provider+e.Path {
		return false
	}
	asked, err := url.ParseQuery(e.Query)
	return err == nil && reflect.DeepEqual(asked, u.Query())
}

// symbolOf finds the symbol that a price of the ledger is about; nil when the
// call does not list it.
func (c *Call) symbolOf(p *simulator.Price) *Symbol {
	for i := range c.Symbols {
		if s := &c.Symbols[i]; s.names(p.Symbol) || p.Asked != "" && s.names(p.Asked) {
			return s
		}
	}
	return nil
}

func (s *Symbol) names(text string) bool { return s.Symbol == text || slices.Contains(s.Aliases, text) }

// present lists the symbols of the call that the answer holds.
func (c *Call) present(e *simulator.Entry) map[string]bool {
	out := map[string]bool{}
	for i := range e.Prices {
		if s := c.symbolOf(&e.Prices[i]); s != nil {
			out[s.Symbol] = true
		}
	}
	return out
}
