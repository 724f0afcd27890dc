package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

func binanceRoutes() []route {
	products := binanceProducts()
	refusals := errorBodies{
		contentType:     typeJSON,
		notFound:        `{"code":-1121,"msg":"Invalid symbol."}`,
		tooManyRequests: `{"code":-1003,"msg":"Too much request weight used; current limit is 6000 request weight per 1 MINUTE."}`,
		serverFailed:    `{"code":-1000,"msg":"An unknown error occurred while processing the request."}`,
	}
	ask := func(_ *world, r *http.Request) (question, *answer) {
		names, listed, err := binanceSymbols(r)
		found, unknown := pickAll(products, names)
		if err != nil || unknown != "" {
			no := refusals.answer(http.StatusNotFound)
			no.status = http.StatusBadRequest
			return question{}, &no
		}
		return question{products: found, listed: listed}, nil
	}
	return []route{{
		provider: "binance", pattern: "/api/v3/ticker/bookTicker",
		contentType: typeJSON, errors: refusals, repeat: TroubleRepeatUntimed, decimals: true,
		ask: ask, render: binanceBook,
	}, {
		provider: "binance", pattern: "/api/v3/ticker/price",
		contentType: typeJSON, errors: refusals, repeat: TroubleRepeatUntimed, decimals: true,
		ask: ask, render: binancePrice,
	}, {
		provider: "binance", pattern: "/api/v3/trades",
		contentType: typeJSON, errors: refusals, repeat: TroubleRepeat,
		ask: func(w *world, r *http.Request) (question, *answer) {
			q, no := ask(w, r)
			if no == nil {
				q.products, q.count = q.products[:1], countIn(r, "limit")
			}
			return q, no
		},
		render: binanceTrades,
	}}
}

// binanceSymbols reads symbol=A, or symbols=["A","B"]; neither means all.
func binanceSymbols(r *http.Request) (names []string, listed bool, err error) {
	values := r.URL.Query()
	if symbol := values.Get("symbol"); symbol != "" {
		return []string{symbol}, false, nil
	}
	if symbols := values.Get("symbols"); symbols != "" {
		if err := json.Unmarshal([]byte(symbols), &names); err != nil {
			return nil, true, fmt.Errorf("reading symbols %q: %w", symbols, err)
		}
	}
	return names, true, nil
}

func binanceBook(w *world, q *question, n int64, o odd) ([]byte, []Price) {
	return binanceList(w, q, n, o, func(p *product, quote quotation, many bool) (string, Price) {
		out := Price{
			Symbol: p.symbol, Kind: "quote", RateType: "none",
			Bid: quote.bid.padded(p.text), Ask: quote.ask.padded(p.text),
		}
		if many {
			out.Bid = quote.bid.manyDecimals(quote.choice)
		}
		bidSize, askSize := decimal{1 + p.size*3, 8}, decimal{1 + p.size*2, 8}
		return fmt.Sprintf(`{"symbol":%q,"bidPrice":%q,"bidQty":%q,"askPrice":%q,"askQty":%q}`,
			p.symbol, out.Bid, bidSize, out.Ask, askSize), out
	})
}

func binancePrice(w *world, q *question, n int64, o odd) ([]byte, []Price) {
	return binanceList(w, q, n, o, func(p *product, quote quotation, many bool) (string, Price) {
		out := Price{Symbol: p.symbol, Kind: "ticker", RateType: "last", Price: quote.last.padded(p.text)}
		if many {
			out.Price = quote.last.manyDecimals(quote.choice)
		}
		return fmt.Sprintf(`{"symbol":%q,"price":%q}`, p.symbol, out.Price), out
	})
}

// binanceList prints one object for each product, in a list if that was asked
// for.
func binanceList(w *world, q *question, n int64, o odd, row func(*product, quotation, bool) (string, Price)) ([]byte, []Price) {
	rows := make([]string, 0, len(q.products))
	prices := make([]Price, 0, len(q.products))
	for _, p := range q.products {
		if p.symbol == o.omit {
			continue
		}
		text, price := row(p, p.quote(w, "binance", n), o.decimals)
		o.decimals = false
		rows, prices = append(rows, text), append(prices, price)
	}
	body := strings.Join(rows, ",")
	if q.listed {
		body = "[" + body + "]"
	}
	return []byte(body), prices
}

func binanceTrades(w *world, q *question, _ int64, _ odd) ([]byte, []Price) {
	p := q.products[0]
	trades := p.trades(w, "binance", q.count)
	rows := make([]string, 0, len(trades))
	prices := make([]Price, 0, len(trades))
	for i := range trades { // oldest first
		t := &trades[i]
		out := tradePrice(p, t, t.price.padded(p.text), t.size.String())
		out.SourceTime = truncate(t.at, time.Millisecond)
		rows = append(rows, fmt.Sprintf(
			`{"id":%d,"price":%q,"qty":%q,"quoteQty":%q,"time":%d,"isBuyerMaker":%t,"isBestMatch":true}`,
			t.id, out.Price, out.Size, decimal{t.price.units * (t.size.units / 1000), t.price.scale + 5}, t.at.UnixMilli(), !t.buy))
		prices = append(prices, out)
	}
	return []byte("[" + strings.Join(rows, ",") + "]"), prices
}
