package simulator

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

func krakenRoutes() []route {
	products := krakenProducts()
	refusals := errorBodies{
		contentType:     typeJSON,
		notFound:        `{"error":["EGeneral:Unknown method"]}`,
		tooManyRequests: `{"error":["EAPI:Rate limit exceeded"]}`,
		serverFailed:    `{"error":["EService:Unavailable"]}`,
	}
	ask := func(r *http.Request) (question, *answer) {
		var names []string
		if pair := r.URL.Query().Get("pair"); pair != "" {
			names = strings.Split(pair, ",")
		}
		found, unknown := pickAll(products, names)
		if unknown != "" {
			return question{}, &answer{
				status: http.StatusOK, contentType: typeJSON, errorAnswer: true,
				body: []byte(`{"error":["EQuery:Unknown asset pair"]}`),
			}
		}
		return question{products: found}, nil
	}
	return []route{{
		provider: "kraken", pattern: "/0/public/Ticker",
		contentType: typeJSON, errors: refusals, repeat: TroubleRepeatUntimed, decimals: true,
		ask:    func(_ *world, r *http.Request) (question, *answer) { return ask(r) },
		render: krakenTicker,
	}, {
		provider: "kraken", pattern: "/0/public/Trades",
		contentType: typeJSON, errors: refusals, repeat: TroubleRepeat,
		ask: func(_ *world, r *http.Request) (question, *answer) {
			q, no := ask(r)
			if no == nil {
				q.products, q.count = q.products[:1], countIn(r, "count")
			}
			return q, no
		},
		render: krakenTrades,
	}}
}

func krakenTicker(w *world, q *question, n int64, o odd) ([]byte, []Price) {
	const provider = "kraken"
	rows := make([]string, 0, len(q.products))
	prices := make([]Price, 0, len(q.products))
	for _, p := range q.products {
		if p.symbol == o.omit {
			continue
		}
		quote := p.quote(w, provider, n)
		out := Price{
			Symbol: p.symbol, Asked: p.askedFor(), Kind: "ticker", RateType: "last",
			Price: quote.last.padded(p.text), Bid: quote.bid.padded(p.text), Ask: quote.ask.padded(p.text),
		}
		if o.decimals {
			out.Price, o.decimals = quote.last.manyDecimals(quote.choice), false
		}
		rows = append(rows, krakenRow(p, &out, quote))
		prices = append(prices, out)
	}
	return []byte(`{"error":[],"result":{` + strings.Join(rows, ",") + `}}`), prices
}

// krakenRow prints one pair: ask, bid, last, volume, average, number of trades,
// low, high (each for today and for 24 hours) and open.
func krakenRow(p *product, out *Price, quote quotation) string {
	low := decimal{quote.bid.units - quote.bid.units/40, p.tick}.padded(p.text)
	high := decimal{quote.ask.units + quote.ask.units/50, p.tick}.padded(p.text)
	middle := decimal{quote.last.units - quote.last.units/300, p.tick}.padded(p.text)
	size := decimal{1 + p.size, 8}
	return fmt.Sprintf(
		`%q:{"a":[%q,"1","1.000"],"b":[%q,"2","2.000"],"c":[%q,%q],"v":[%q,%q],"p":[%q,%q],"t":[6405,21103],"l":[%q,%q],"h":[%q,%q],"o":%q}`,
		p.symbol, out.Ask, out.Bid, out.Price, size, volume(p, quote.choice), volume(p, quote.choice),
		middle, middle, low, low, high, high, middle)
}

func krakenTrades(w *world, q *question, _ int64, _ odd) ([]byte, []Price) {
	p := q.products[0]
	trades := p.trades(w, "kraken", q.count)
	rows := make([]string, 0, len(trades))
	prices := make([]Price, 0, len(trades))
	for i := range trades { // oldest first
		t := &trades[i]
		out := tradePrice(p, t, t.price.padded(p.text), t.size.String())
		side := "s"
		if t.buy {
			side = "b"
		}
		rows = append(rows, fmt.Sprintf(`[%q,%q,%s,%q,"m","",%d]`,
			out.Price, out.Size, krakenTime(t.at), side, t.id))
		prices = append(prices, out)
	}
	cursor := strconv.FormatInt(trades[len(trades)-1].at.UnixNano(), 10)
	body := fmt.Sprintf(`{"error":[],"result":{%q:[%s],"last":%q}}`, p.symbol, strings.Join(rows, ","), cursor)
	return []byte(body), prices
}

// krakenTime prints seconds as a JSON number with seven decimals.
func krakenTime(at time.Time) string {
	return decimal{at.UnixMicro() * 10, 7}.String()
}
