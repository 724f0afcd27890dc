package simulator

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

func cnbRoutes() []route {
	return []route{{
		provider:    "cnb",
		pattern:     "/cs/financni-trhy/devizovy-trh/kurzy-devizoveho-trhu/kurzy-devizoveho-trhu/denni_kurz.txt",
		contentType: typeText,
		errors: errorBodies{
			contentType: typeText, notFound: "not found\n",
			tooManyRequests: "too many requests\n", serverFailed: "internal server error\n",
		},
		ask: func(w *world, _ *http.Request) (question, *answer) {
			day := w.cnb.calendar.latest(w.now())
			return question{bank: w.cnb, symbols: codes(w.cnb), days: []time.Time{day}}, nil
		},
		render: cnbDaily,
	}}
}

// cnbDaily prints the rates for one, a hundred or a thousand units with a
// decimal comma.
func cnbDaily(_ *world, q *question, _ int64, o odd) ([]byte, []Price) {
	var body strings.Builder
	day := q.days[0]
	fmt.Fprintf(&body, "%s #%d\nzemě|měna|množství|kód|kurz\n", day.Format("02.01.2006"), q.bank.calendar.number(day))
	prices := q.fixings(o, decimal.String)
	for i := range prices {
		p := &prices[i]
		c := q.bank.currency(p.Symbol)
		p.Text = strings.ReplaceAll(p.Price, ".", ",")
		fmt.Fprintf(&body, "%s|%d|%s|%s\n", c.lead, c.amount, c.code, p.Text)
		p.Price = perUnit(q.bank, c, day)
	}
	return []byte(body.String()), prices
}

// perUnit is the value for one unit of the currency.
func perUnit(b *bank, c *currency, day time.Time) string {
	value, _ := b.value(c, day)
	value.scale += len(strconv.Itoa(c.amount)) - 1
	return value.String()
}
