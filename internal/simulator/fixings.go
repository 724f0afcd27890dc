package simulator

import (
	"time"
)

func codes(b *bank) []string {
	out := make([]string, 0, len(b.currencies))
	for i := range b.currencies {
		out = append(out, b.currencies[i].code)
	}
	return out
}

// fixings are the asked currencies of the asked days, day by day.
func (q *question) fixings(o odd, print func(decimal) string) []Price {
	prices := make([]Price, 0, len(q.symbols)*len(q.days))
	for _, day := range q.days {
		for _, code := range q.symbols {
			if code == o.omit {
				continue
			}
			value, restated := q.bank.value(q.bank.currency(code), day)
			prices = append(prices, Price{
				Symbol: code, Kind: "fixing", RateType: "official", Price: print(value),
				ValueDate: day.Format(time.DateOnly), Restated: restated,
			})
		}
	}
	return prices
}
