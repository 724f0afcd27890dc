package bench

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pricelake/pricelake/schemas"
)

// The market of a measurement: calls of five providers, each of which brings a
// batch of prices at once, as those of real APIs do.
const (
	marketInstruments = 1000
	marketProviders   = 5
	batchPrices       = 50 // of one answer
	pollEvery         = 5 * time.Second
)

// market makes prices as the deduplicator publishes them. The same market makes
// the same prices.
type market struct {
	random      *rand.Rand
	instruments []instrument
	start       time.Time
	made        int64
	answer      schemas.Price // what all prices of the answer under way have in common
}

type instrument struct {
	name, base, quote string
	decimals          int   // of its prices
	price             int64 // in its last decimal
}

// newMarket makes a market whose first price is of start.
func newMarket(start time.Time) *market {
	m := &market{random: rand.New(rand.NewPCG(1, 2)), start: start}
	quotes := []string{"USD", "EUR", "USDT", "GBP", "BTC"}
	for i := range marketInstruments {
		base := fmt.Sprintf("%c%c%c", 'A'+i%26, 'A'+i/26%26, 'A'+(i*7)%26)
		quote := quotes[i%len(quotes)]
		m.instruments = append(m.instruments, instrument{name: fmt.Sprintf("%s%d-%s", base, i, quote), base: base, quote: quote,
			decimals: 2 + i%7, price: 1_000 + m.random.Int64N(90_000_000)})
	}
	return m
}

// providerName is who is asked. What they say differs as it does with real ones:
// three give tickers, one quotes, one trades.
func providerName(i int) string {
	return [marketProviders]string{"binance", "kraken", "coinbase-exchange", "bitstamp", "bitfinex"}[i]
}

// next fills p with the market's next price.
func (m *market) next(p *schemas.Price) {
	at := int(m.made % batchPrices)
	if at == 0 {
		m.poll()
	}
	poll := m.made / batchPrices
	perProvider := int64(marketInstruments / batchPrices)
	in := &m.instruments[int(poll%perProvider)*batchPrices+at]
	m.made++
	*p = m.answer
	p.Instrument, p.Base, p.Quote = in.name, in.base, in.quote
	in.price = max(1_000, in.price+m.random.Int64N(201)-100)
	p.EventTime = p.FetchedAt.Add(-time.Duration(m.random.IntN(900_000)) * time.Microsecond)
	spread := 1 + m.random.Int64N(50)
	switch p.Kind {
	case schemas.KindTrade:
		p.Price, p.Size = in.amount(in.price), in.amount(1+m.random.Int64N(1_000_000))
		p.TradeID = fmt.Sprint(18_502_034 + m.made)
	case schemas.KindQuote:
		p.Bid, p.Ask = in.amount(in.price-spread), in.amount(in.price+spread)
	default:
		p.Price, p.Bid, p.Ask = in.amount(in.price), in.amount(in.price-spread), in.amount(in.price+spread)
	}
	p.EventID = schemas.EventID(p, m.start, at)
}

// poll begins the next answer.
func (m *market) poll() {
	poll := m.made / batchPrices
	perRound := int64(marketInstruments / batchPrices * marketProviders)
	provider := int(poll / (perRound / marketProviders) % marketProviders)
	round := poll / perRound
	asked := m.start.Add(time.Duration(round)*pollEvery + time.Duration(poll%perRound)*40*time.Millisecond)
	callID := fmt.Sprintf("%s-tickers-%d", providerName(provider), poll%(perRound/marketProviders))
	m.answer = schemas.Price{
		Provider: providerName(provider), CallID: callID, CallVersion: "3f9c2a7be1d04458",
		Kind: schemas.KindTicker, RateType: schemas.RateLast, EventTimeKind: schemas.TimeSource,
		RequestedAt: asked, FetchedAt: asked.Add(time.Duration(60_000+m.random.IntN(240_000)) * time.Microsecond),
		PollID:        schemas.PollID(callID, asked, schemas.OriginSchedule),
		CorrelationID: schemas.DeriveID("bench", fmt.Sprint(poll)),
	}
	m.answer.ResponseID = schemas.ResponseID(m.answer.PollID, 1)
	switch provider {
	case 2:
		published := asked.Add(20 * time.Millisecond)
		m.answer.PublishedAt = &published
	case 3:
		m.answer.Kind, m.answer.RateType = schemas.KindQuote, schemas.RateNone
	case 4:
		m.answer.Kind = schemas.KindTrade
	}
}

func (in *instrument) amount(n int64) schemas.NullDecimal {
	d, _, _ := schemas.ParseDecimal(fmt.Sprintf("%de-%d", n, in.decimals)) // a handful of digits is always one
	return schemas.NullDecimal{Decimal: d, Valid: true}
}
