package simulator

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// route is one address of a provider.
type route struct {
	provider string
	pattern  string // of the path after the provider, as http.ServeMux reads it
	// ask reads a request: what is asked for, or the provider's refusal.
	ask func(w *world, r *http.Request) (question, *answer)
	// render makes the n-th answer to its address.
	render func(w *world, q *question, n int64, o odd) ([]byte, []Price)

	contentType string
	errors      errorBodies
	repeat      Trouble // which kind a repetition is: repeat, repeat_untimed, or none where it is the rule
	decimals    bool    // many_decimals makes sense
}

// question is what one request asks for: products or fixings.
type question struct {
	products []*product
	listed   bool // the answer is a list even for one product
	count    int  // of trades

	bank    *bank
	symbols []string // currencies
	days    []time.Time
}

// odd is what to do differently in one answer.
type odd struct {
	omit     string // symbol to leave out
	decimals bool   // print one value with 20 decimals
}

// omittable lists the symbols of which one may be left out. Of the currencies
// USD and GBP stay: mappings take their absence for a cut body.
func (q *question) omittable() []string {
	var out []string
	if q.bank != nil {
		for _, code := range []string{"JPY", "CHF", "CAD", "AUD"} {
			if len(q.symbols) > 1 && slices.Contains(q.symbols, code) {
				out = append(out, code)
			}
		}
		return out
	}
	if len(q.products) > 1 && q.count == 0 {
		for _, p := range q.products {
			out = append(out, p.symbol)
		}
	}
	return out
}

// pick finds a product by the name in requests or in answers.
func pick(products []product, name string) *product {
	for i := range products {
		if p := &products[i]; p.symbol == name || p.asked != "" && p.asked == name {
			return p
		}
	}
	return nil
}

// pickAll finds several; without names it gives all. unknown is the first name
// that no product has.
func pickAll(products []product, names []string) (found []*product, unknown string) {
	if len(names) == 0 {
		for i := range products {
			found = append(found, &products[i])
		}
	}
	for _, name := range names {
		p := pick(products, strings.TrimSpace(name))
		if p == nil {
			return nil, name
		}
		if !slices.Contains(found, p) {
			found = append(found, p)
		}
	}
	return found, ""
}

// countIn reads how many trades a request wants: 100 by default, 1,000 at most.
func countIn(r *http.Request, name string) int {
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil || n < 1 {
		return 100
	}
	return min(n, 1000)
}

// askedFor is the name in requests where it is another than in answers.
func (p *product) askedFor() string {
	if p.asked == p.symbol {
		return ""
	}
	return p.asked
}

func routes() []route {
	return slices.Concat(coinbaseRoutes(), krakenRoutes(), binanceRoutes(), ecbRoutes(), frankfurterRoutes(), cnbRoutes())
}
