package simulator

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

func frankfurterRoutes() []route {
	refusals := errorBodies{
		contentType: typeJSON, notFound: `{"message":"not found"}`,
		tooManyRequests: `{"message":"too many requests"}`, serverFailed: `{"message":"internal server error"}`,
	}
	return []route{{
		provider: "frankfurter", pattern: "/v1/{date}",
		contentType: typeJSON, errors: refusals, render: frankfurterRates,
		ask: func(w *world, r *http.Request) (question, *answer) {
			q, ok := askFrankfurter(w, r)
			if !ok {
				no := refusals.answer(http.StatusNotFound)
				return question{}, &no
			}
			return q, nil
		},
	}}
}

// askFrankfurter reads the date and the symbols. Rates against the euro are the
// only ones the bank fixes and the only ones served.
func askFrankfurter(w *world, r *http.Request) (question, bool) {
	values := r.URL.Query()
	if base := values.Get("base"); base != "" && base != "EUR" {
		return question{}, false
	}
	day := w.ecb.calendar.latest(w.now())
	if text := r.PathValue("date"); text != "latest" {
		asked, err := time.Parse(time.DateOnly, text)
		if err != nil || asked.Year() < 1999 {
			return question{}, false
		}
		if asked.Before(day) {
			day = w.ecb.calendar.onOrBefore(asked)
		}
	}
	symbols := codes(w.ecb)
	if text := values.Get("symbols"); text != "" {
		symbols = strings.Split(text, ",")
		for _, code := range symbols {
			if w.ecb.currency(code) == nil {
				return question{}, false
			}
		}
	}
	slices.Sort(symbols)
	return question{bank: w.ecb, symbols: slices.Compact(symbols), days: []time.Time{day}}, true
}

func frankfurterRates(_ *world, q *question, _ int64, o odd) ([]byte, []Price) {
	prices := q.fixings(o, decimal.trimmed)
	rates := make([]string, 0, len(prices))
	for i := range prices {
		rates = append(rates, fmt.Sprintf(`%q:%s`, prices[i].Symbol, prices[i].Price))
	}
	body := fmt.Sprintf(`{"amount":1.0,"base":"EUR","date":%q,"rates":{%s}}`,
		q.days[0].Format(time.DateOnly), strings.Join(rates, ","))
	return []byte(body), prices
}
