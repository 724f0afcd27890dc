package simulator_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"reflect"
	"slices"
	"strconv"
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
	f("/kraken/0/public/Ticker", 13, "ticker", "last", readKrakenTicker)
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

func readCoinbaseTicker(body string) ([]line, error) {
	var a struct {
		Price, Bid, Ask, Time string
		TradeID               int64 `json:"trade_id"`
	}
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		return nil, err
	}
	at, err := time.Parse("2006-01-02T15:04:05.999999Z", a.Time)
	return []line{{symbol: "BTC-USD", price: a.Price, bid: a.Bid, ask: a.Ask, at: at}}, err
}

// readCoinbaseTrades knows the product, which the answer does not name.
func readCoinbaseTrades(product string) func(string) ([]line, error) {
	return func(body string) ([]line, error) {
		var rows []struct {
			TradeID                 json.Number `json:"trade_id"`
			Side, Size, Price, Time string
		}
		if err := json.Unmarshal([]byte(body), &rows); err != nil {
			return nil, err
		}
		var out []line
		for i, r := range rows {
			at, err := time.Parse("2006-01-02T15:04:05.999999Z", r.Time)
			if err != nil || r.Side != "buy" && r.Side != "sell" {
				return nil, fmt.Errorf("row %d: time %q, side %q: %w", i, r.Time, r.Side, err)
			}
			if i > 0 && at.After(out[i-1].at) {
				return nil, fmt.Errorf("row %d is newer than the one before", i)
			}
			out = append(out, line{symbol: product, price: r.Price, size: r.Size, tradeID: r.TradeID.String(), at: at})
		}
		return out, nil
	}
}

func readKrakenTicker(body string) ([]line, error) {
	var a struct {
		Error  []string
		Result json.RawMessage
	}
	if err := json.Unmarshal([]byte(body), &a); err != nil || len(a.Error) > 0 {
		return nil, fmt.Errorf("errors %q: %w", a.Error, err)
	}
	pairs := map[string]struct{ A, B, C []string }{}
	if err := json.Unmarshal(a.Result, &pairs); err != nil {
		return nil, err
	}
	var out []line
	for name, p := range pairs {
		if len(p.A) != 3 || len(p.B) != 3 || len(p.C) != 2 {
			return nil, fmt.Errorf("%s: %d, %d, %d fields", name, len(p.A), len(p.B), len(p.C))
		}
		out = append(out, line{symbol: name, price: p.C[0], bid: p.B[0], ask: p.A[0]})
	}
	position := func(l line) int { return strings.Index(body, `"`+l.symbol+`":`) }
	slices.SortFunc(out, func(a, b line) int { return position(a) - position(b) })
	return out, nil
}

func readKrakenTrades(body string) ([]line, error) {
	var a struct {
		Result struct {
			XXBTZUSD [][]json.RawMessage
			Last     string
		}
	}
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		return nil, err
	}
	var out []line
	for _, row := range a.Result.XXBTZUSD {
		var l line
		var side string
		if err := json.Unmarshal(row[0], &l.price); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(row[1], &l.size); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(row[3], &side); err != nil || side != "b" && side != "s" {
			return nil, fmt.Errorf("side %q: %w", side, err)
		}
		seconds, fraction, _ := strings.Cut(string(row[2]), ".")
		whole, err := strconv.ParseInt(seconds, 10, 64)
		if err != nil {
			return nil, err
		}
		parts, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
		if err != nil {
			return nil, err
		}
		l.symbol, l.tradeID, l.at = "XXBTZUSD", string(row[6]), time.Unix(whole, parts).UTC()
		out = append(out, l)
	}
	if last := strconv.FormatInt(out[len(out)-1].at.UnixNano(), 10); a.Result.Last != last {
		return nil, fmt.Errorf("cursor %s, want %s", a.Result.Last, last)
	}
	return out, nil
}

// listOrOne makes a list of an object that stands alone.
func listOrOne(body string) []byte {
	if strings.HasPrefix(body, "{") {
		body = "[" + body + "]"
	}
	return []byte(body)
}

func readBinanceBook(body string) ([]line, error) {
	var rows []struct{ Symbol, BidPrice, BidQty, AskPrice, AskQty string }
	err := json.Unmarshal(listOrOne(body), &rows)
	var out []line
	for _, r := range rows {
		out = append(out, line{symbol: r.Symbol, bid: r.BidPrice, ask: r.AskPrice})
	}
	return out, err
}

func readBinancePrice(body string) ([]line, error) {
	var rows []struct{ Symbol, Price string }
	err := json.Unmarshal(listOrOne(body), &rows)
	var out []line
	for _, r := range rows {
		out = append(out, line{symbol: r.Symbol, price: r.Price})
	}
	return out, err
}

func readBinanceTrades(body string) ([]line, error) {
	var rows []struct {
		ID                        json.Number
		Price, Qty, QuoteQty      string
		Time                      int64
		IsBuyerMaker, IsBestMatch bool
	}
	err := json.Unmarshal([]byte(body), &rows)
	var out []line
	for _, r := range rows {
		out = append(out, line{symbol: "BTCUSDT", price: r.Price, size: r.Qty, tradeID: r.ID.String(), at: time.UnixMilli(r.Time).UTC()})
	}
	return out, err
}

func readECB(body string) ([]line, error) {
	var envelope struct {
		Sender string `xml:"Sender>name"`
		Days   []struct {
			Time  string `xml:"time,attr"`
			Rates []struct {
				Currency string `xml:"currency,attr"`
				Rate     string `xml:"rate,attr"`
			} `xml:"Cube"`
		} `xml:"Cube>Cube"`
	}
	if err := xml.Unmarshal([]byte(body), &envelope); err != nil {
		return nil, err
	}
	var out []line
	for _, day := range envelope.Days {
		for _, r := range day.Rates {
			out = append(out, line{symbol: r.Currency, price: r.Rate, valueDate: day.Time})
		}
	}
	return out, nil
}

func readFrankfurter(body string) ([]line, error) {
	var a struct {
		Amount     json.Number
		Base, Date string
		Rates      map[string]json.Number
	}
	if err := json.Unmarshal([]byte(body), &a); err != nil || a.Amount != "1.0" || a.Base != "EUR" {
		return nil, fmt.Errorf("amount %s, base %s: %w", a.Amount, a.Base, err)
	}
	var out []line
	for code, rate := range a.Rates {
		out = append(out, line{symbol: code, price: rate.String(), valueDate: a.Date})
	}
	slices.SortFunc(out, func(a, b line) int { return strings.Compare(a.symbol, b.symbol) })
	return out, nil
}

func readCNB(body string) ([]line, error) {
	rows := strings.Split(strings.TrimSuffix(body, "\n"), "\n")
	if rows[1] != "země|měna|množství|kód|kurz" || !strings.HasPrefix(rows[len(rows)-1], "Velká Británie|libra|1|GBP|") {
		return nil, fmt.Errorf("head %q, last line %q", rows[1], rows[len(rows)-1])
	}
	date, err := time.Parse("02.01.2006", strings.Fields(rows[0])[0])
	var out []line
	for _, row := range rows[2:] {
		fields := strings.Split(row, "|")
		out = append(out, line{symbol: fields[3], price: fields[4], valueDate: date.Format(time.DateOnly)})
	}
	return out, err
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
