package ledgercheck

import (
	"net/url"
	"reflect"
	"slices"

	"github.com/pricelake/pricelake/internal/simulator"
)

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
