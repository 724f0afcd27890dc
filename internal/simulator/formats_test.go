package simulator_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/simulator"
)

// line is one price as a reader of the format sees it, in the words of the
// ledger. The readers below know the formats, not the simulator.
type line struct {
	symbol, price, bid, ask, size, valueDate, tradeID string
	at                                                time.Time
}

func linesOf(e simulator.Entry) []line {
	var out []line
	for _, p := range e.Prices {
		l := line{p.Symbol, p.Price, p.Bid, p.Ask, p.Size, p.ValueDate, p.TradeID, time.Time{}}
		if p.SourceTime != nil {
			l.at = *p.SourceTime
		}
		if p.Text != "" {
			l.price = p.Text
		}
		out = append(out, l)
	}
	return out
}

func TestFormatsSayWhatTheLedgerSays(t *testing.T) {
	s := serve(t, simulator.Config{Seed: 7, Clock: at("2024-06-03T15:30:00.123456Z")})
	f := func(path string, rows int, kind, rate string, read func(string) ([]line, error)) {
		t.Helper()
		a := s.get(t, path)
		e := s.entry(t, a.id)
		if a.status != 200 || e.Status != 200 || e.FinishedAt == nil || e.Aborted || e.Trouble != simulator.TroubleNone {
			t.Errorf("%s: status %d, entry with status %d, trouble %s, aborted %t", path, a.status, e.Status, e.Trouble, e.Aborted)
		}
		lines, err := read(a.body)
		if err != nil {
			t.Errorf("%s: %v\n%s", path, err, a.body)
		}
		if len(lines) != rows {
			t.Errorf("%s: %d rows, want %d", path, len(lines), rows)
		}
		if want := linesOf(e); !reflect.DeepEqual(lines, want) {
			t.Errorf("%s: the body says\n%v\nthe ledger\n%v", path, lines, want)
		}
		for _, p := range e.Prices {
			if p.Kind != kind || p.RateType != rate {
				t.Errorf("%s: %s is %s %s, want %s %s", path, p.Symbol, p.Kind, p.RateType, kind, rate)
			}
		}
	}
	f(coinbasePath, 1, "ticker", "last", readCoinbaseTicker)
	f("/coinbase-exchange/products/BTC-USD/trades?limit=100", 100, "trade", "last", readCoinbaseTrades("BTC-USD"))
	f("/coinbase-exchange/products/BTC-USDT/trades", 100, "trade", "last", readCoinbaseTrades("BTC-USDT"))
	f(krakenPath, 3, "ticker", "last", readKrakenTicker)
	f("/kraken/0/public/Ticker", 14, "ticker", "last", readKrakenTicker)
	f("/kraken/0/public/Trades?pair=XBTUSD", 100, "trade", "last", readKrakenTrades)
	f(bookPath, 2, "quote", "none", readBinanceBook)
	f("/binance/api/v3/ticker/bookTicker?symbol=ETHBTC", 1, "quote", "none", readBinanceBook)
	f(pricePath, 2, "ticker", "last", readBinancePrice)
	f("/binance/api/v3/ticker/price", 12, "ticker", "last", readBinancePrice)
	f("/binance/api/v3/trades?symbol=BTCUSDT&limit=100", 100, "trade", "last", readBinanceTrades)
	f(dailyPath, 29, "fixing", "official", readECB)
	f(historyPath, 29*62, "fixing", "official", readECB)
	f(latestPath, 29, "fixing", "official", readFrankfurter)
	f("/frankfurter/v1/2024-06-02?symbols=USD,GBP", 2, "fixing", "official", readFrankfurter)
	f(cnbPath, 30, "fixing", "official", readCNB)
}

func TestCNBPricesAreForOneUnit(t *testing.T) {
	s := serve(t, simulator.Config{Seed: 7, Clock: at("2024-06-03T15:30:00Z")})
	a := s.get(t, cnbPath)
	if !strings.HasPrefix(a.body, "03.06.2024 #106\n") {
		t.Errorf("first line %q, want 03.06.2024 #106", strings.SplitN(a.body, "\n", 2)[0])
	}
	shift := map[string]int{"1": 0, "100": 2, "1000": 3}
	prices := s.entry(t, a.id).Prices
	for i, row := range strings.Split(a.body, "\n")[2:32] {
		fields := strings.Split(row, "|")
		digits := strings.ReplaceAll(fields[4], ",", "")
		decimals := 3 + shift[fields[2]]
		digits = strings.Repeat("0", max(0, decimals+1-len(digits))) + digits
		want := digits[:len(digits)-decimals] + "." + digits[len(digits)-decimals:]
		if got := prices[i].Price; got != want {
			t.Errorf("%s: ledger %s, want %s", row, got, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	s := serve(t, simulator.Config{})
	f := func(path string, status int, body string, errorAnswer bool) {
		t.Helper()
		a := s.get(t, path)
		e := s.entry(t, a.id)
		if a.status != status || a.body != body || e.Status != status || e.ErrorAnswer != errorAnswer || len(e.Prices) > 0 {
			t.Errorf("%s: status %d, body %q; entry %+v", path, a.status, a.body, e)
		}
	}
	f("/coinbase-exchange/products/FOO-BAR/ticker", 404, `{"message":"NotFound"}`, false)
	f("/kraken/0/public/Ticker?pair=XBTUSD,FOO", 200, `{"error":["EQuery:Unknown asset pair"]}`, true)
	f("/binance/api/v3/ticker/price?symbol=FOO", 400, `{"code":-1121,"msg":"Invalid symbol."}`, false)
	f("/binance/api/v3/ticker/price?symbols=BTCUSDT", 400, `{"code":-1121,"msg":"Invalid symbol."}`, false)
	f("/frankfurter/v1/latest?base=USD", 404, `{"message":"not found"}`, false)
	f("/frankfurter/v1/yesterday", 404, `{"message":"not found"}`, false)
	f("/frankfurter/v1/latest?symbols=EUR", 404, `{"message":"not found"}`, false)
	f("/broken/ticker", 500, `{"message":"out of order"}`, false)
	f("/nobody/knows", 404, "404 page not found\n", false)
}
