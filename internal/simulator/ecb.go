package simulator

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

func ecbRoutes() []route {
	refusals := errorBodies{
		contentType: typeText, notFound: "not found\n",
		tooManyRequests: "too many requests\n", serverFailed: "internal server error\n",
	}
	ask := func(span int) func(w *world, r *http.Request) (question, *answer) {
		return func(w *world, _ *http.Request) (question, *answer) {
			last := w.ecb.calendar.latest(w.now())
			days := w.ecb.calendar.back(last, last.AddDate(0, 0, -span))
			return question{bank: w.ecb, symbols: codes(w.ecb), days: days}, nil
		}
	}
	return []route{{
		provider: "ecb", pattern: "/stats/eurofxref/eurofxref-daily.xml",
		contentType: typeXML, errors: refusals, ask: ask(0), render: ecbDaily,
	}, {
		provider: "ecb", pattern: "/stats/eurofxref/eurofxref-hist-90d.xml",
		contentType: typeXML, errors: refusals, ask: ask(90), render: ecbHistory,
	}}
}

const (
	ecbHead = `<?xml version="1.0" encoding="UTF-8"?>%[1]s<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" ` +
		`xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">%[1]s%[2]s<gesmes:subject>Reference rates</gesmes:subject>%[1]s%[2]s` +
		`<gesmes:Sender>%[1]s%[2]s%[2]s<gesmes:name>European Central Bank</gesmes:name>%[1]s%[2]s</gesmes:Sender>%[1]s%[2]s<Cube>`
	ecbTail = `</Cube>%[1]s</gesmes:Envelope>`
)

// ecbDaily prints as the bank does: indented, single quotes, all decimals.
func ecbDaily(_ *world, q *question, _ int64, o odd) ([]byte, []Price) {
	var body strings.Builder
	fmt.Fprintf(&body, ecbHead, "\n", "\t")
	fmt.Fprintf(&body, "\n\t\t<Cube time='%s'>", q.days[0].Format(time.DateOnly))
	prices := q.fixings(o, decimal.String)
	for i := range prices {
		fmt.Fprintf(&body, "\n\t\t\t<Cube currency='%s' rate='%s'/>", prices[i].Symbol, prices[i].Price)
	}
	body.WriteString("\n\t\t</Cube>\n\t")
	fmt.Fprintf(&body, ecbTail, "\n")
	return []byte(body.String()), prices
}

// ecbHistory prints as the bank does: on few lines, double quotes, no trailing
// zeros, newest day first.
func ecbHistory(_ *world, q *question, _ int64, o odd) ([]byte, []Price) {
	var body strings.Builder
	fmt.Fprintf(&body, ecbHead, "", "")
	prices := q.fixings(o, decimal.trimmed)
	day := ""
	for i := range prices {
		if prices[i].ValueDate != day {
			if day != "" {
				body.WriteString("</Cube>\n")
			}
			day = prices[i].ValueDate
			fmt.Fprintf(&body, `<Cube time="%s">`, day)
		}
		fmt.Fprintf(&body, `<Cube currency="%s" rate="%s"/>`, prices[i].Symbol, prices[i].Price)
	}
	body.WriteString("</Cube>")
	fmt.Fprintf(&body, ecbTail, "")
	return []byte(body.String()), prices
}
