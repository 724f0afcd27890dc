package simulator

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const coinbaseTime = "2006-01-02T15:04:05.000000Z"

func coinbaseRoutes() []route {
	products := coinbaseProducts()
	refusals := errorBodies{
		contentType:     typeJSON,
		notFound:        `{"message":"NotFound"}`,
		tooManyRequests: `{"message":"Public rate limit exceeded"}`,
		serverFailed:    `{"message":"Internal server error"}`,
	}
	ask := func(r *http.Request) (question, *answer) {
		p := pick(products, r.PathValue("product"))
		if p == nil {
			no := refusals.answer(http.StatusNotFound)
			return question{}, &no
		}
		return question{products: []*product{p}}, nil
	}
	return []route{{
		provider: "coinbase-exchange", pattern: "/products/{product}/ticker",
		contentType: typeJSON, errors: refusals, repeat: TroubleRepeat, decimals: true,
		ask:    func(_ *world, r *http.Request) (question, *answer) { return ask(r) },
		render: coinbaseTicker,
	}, {
		provider: "coinbase-exchange", pattern: "/products/{product}/trades",
		contentType: typeJSON, errors: refusals, repeat: TroubleRepeat,
		ask: func(_ *world, r *http.Request) (question, *answer) {
			q, no := ask(r)
			q.count = countIn(r, "limit")
			return q, no
		},
		render: coinbaseTrades,
	}}
}

func coinbaseTicker(w *world, q *question, n int64, o odd) ([]byte, []Price) {
	p := q.products[0]
	const provider = "coinbase-exchange"
	quote, last := p.quote(w, provider, n), p.trades(w, provider, 1)[0]
	at := w.stamp(provider, p)
	price := quote.last.trimmed()
	if o.decimals {
		price = quote.last.manyDecimals(quote.choice)
	}
	out := Price{
		Symbol: p.symbol, Kind: "ticker", RateType: "last", SourceTime: &at,
		Price: price, Bid: quote.bid.trimmed(), Ask: quote.ask.trimmed(),
	}
	body := fmt.Sprintf(`{"ask":%q,"bid":%q,"volume":%q,"trade_id":%d,"price":%q,"size":%q,"time":%q,"rfq_volume":%q}`,
		out.Ask, out.Bid, volume(p, quote.choice), last.id, out.Price, last.size, at.Format(coinbaseTime), "12.730215")
	return []byte(body), []Price{out}
}

func coinbaseTrades(w *world, q *question, _ int64, _ odd) ([]byte, []Price) {
	p := q.products[0]
	trades := p.trades(w, "coinbase-exchange", q.count)
	rows := make([]string, 0, len(trades))
	prices := make([]Price, 0, len(trades))
	for i := len(trades) - 1; i >= 0; i-- { // newest first
		t := &trades[i]
		out := tradePrice(p, t, t.price.padded(8), t.size.String())
		maker := "buy"
		if t.buy {
			maker = "sell"
		}
		rows = append(rows, fmt.Sprintf(`{"trade_id":%d,"side":%q,"size":%q,"price":%q,"time":%q}`,
			t.id, maker, out.Size, out.Price, t.at.Format(coinbaseTime)))
		prices = append(prices, out)
	}
	return []byte("[" + strings.Join(rows, ",") + "]"), prices
}

func tradePrice(p *product, t *trade, price, size string) Price {
	at := t.at
	return Price{
		Symbol: p.symbol, Asked: p.askedFor(), Kind: "trade", RateType: "last", SourceTime: &at,
		Price: price, Size: size, TradeID: strconv.FormatInt(t.id, 10),
	}
}

// volume is a traded amount of 24 hours, made up.
func volume(p *product, choice uint64) decimal {
	return decimal{p.size*150_000 + int64(choice%1_000_000_007), 8}
}

// truncate cuts a time to what a provider prints.
func truncate(at time.Time, to time.Duration) *time.Time {
	cut := at.Truncate(to)
	return &cut
}
