package simulator_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

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
