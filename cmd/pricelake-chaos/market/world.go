// Package market is the price API of the kill test and its ledger: what it
// serves depends on nothing but a seed and a few numbers, so that everything
// that was ever said can be said again, value by value, without being kept.
//
// It stands outside the system under test and imports nothing of it.
package market

import (
	"fmt"
	"strconv"
	"time"
)

// Provider is the name of the source in the catalog.
const Provider = "chaos"

// World is a market: so many calls of a catalog, so many symbols in each, so
// many trades on a page. Two worlds that are equal say the same. The zero value
// is of no use.
type World struct {
	Seed    uint64 `json:"seed"`
	Calls   int    `json:"calls"`
	Symbols int    `json:"symbols"` // of each call
	Page    int    `json:"page"`    // trades on a page
	// Refuse: every so manieth page of a call has a trade whose row the lake
	// refuses; 0: none has.
	Refuse int `json:"refuse,omitempty"`
}

// Trade names one trade of the market: its place on a page of a call.
type Trade struct {
	Call, Page, Index int
}

// Maximum of Version: a trade is restated at most so often.
const maxVersion = 3

// Item is what the API says about a trade.
type Item struct {
	Trade   Trade
	Version int // 0 at first, one more for each restatement
	Symbol  int // of the call
	// Price and Size are decimal numbers in their shortest form.
	Price, Size string
	Micros      int64 // of the trade, since 1970
	// Bad says that the API sends something that is no number for the price.
	Bad bool
	// Refusal says what the lake does with its row.
	Refusal Refusal
}

// ID is the trade id as the API gives it.
func (t Trade) ID() string { return string(t.appendID(nil)) }

func (t Trade) appendID(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, 't'), int64(t.Call), 10)
	dst = strconv.AppendInt(append(dst, '-'), int64(t.Page), 10)
	return strconv.AppendInt(append(dst, '-'), int64(t.Index), 10)
}

// Instrument is our name of a symbol.
func Instrument(call, symbol int) string { return fmt.Sprintf("CHAOS-%02d-%02d", call, symbol) }

// Symbol is the name that the API gives it.
func Symbol(call, symbol int) string {
	return string([]byte{'S', byte('0' + call/10%10), byte('0' + call%10), byte('0' + symbol/10%10), byte('0' + symbol%10)})
}

// CallID is the id of a call in the catalog.
func CallID(call int) string { return fmt.Sprintf("chaos-%02d", call) }

const (
	badOneIn  = 997 // trades whose price is no number
	timeRange = 70 * 24 * time.Hour
)

// firstDay is in the past wherever this runs; the trades lie in three months,
// so that blocks of rows belong to several partitions of a table.
func firstDay() time.Time { return time.Date(2026, time.January, 10, 0, 0, 0, 0, time.UTC) }

// Months are those of the trades, as in 202601.
func Months() (months []string) {
	for at := firstDay(); at.Before(firstDay().Add(timeRange).AddDate(0, 1, 0)); at = at.AddDate(0, 1, 0) {
		months = append(months, at.Format("200601"))
	}
	return months
}

// Item says what the API tells about a trade in one of its versions.
func (w World) Item(t Trade, version int) Item {
	fixed := mix(w.Seed, uint64(t.Call), uint64(t.Page), uint64(t.Index))
	said := mix(fixed, uint64(version)+1)
	refusal := w.refusal(t)
	return Item{
		Trade:   t,
		Version: version,
		Symbol:  int(fixed % uint64(w.Symbols)),
		Micros:  firstDay().UnixMicro() + int64(mix(fixed, 7)%uint64(timeRange.Microseconds())),
		Bad:     mix(fixed, 11)%badOneIn == 0,
		// Whole numbers of different versions differ.
		Price:   decimal(1+4*(said%20_000)+uint64(version%(maxVersion+1)), mix(said, 13)),
		Size:    decimal(said>>40%50+sizeRefused*uint64(refusal), mix(said, 17)|1),
		Refusal: refusal,
	}
}

// decimal writes a number of 0 to 18 decimals, without zeros at its end.
func decimal(whole, bits uint64) string {
	text := strconv.AppendUint(make([]byte, 0, 32), whole, 10)
	n := int(bits >> 58 % 19)
	if whole == 0 && n == 0 {
		n = 1
	}
	if n == 0 {
		return string(text)
	}
	text = append(text, '.')
	digits := mix(bits) // enough for 19
	for range n - 1 {
		text = append(text, byte('0'+digits%10))
		digits /= 10
	}
	return string(append(text, byte('1'+bits%9)))
}

// appendJSON appends the item as the API sends it. The number is the same, its
// text is not always the shortest.
func (w World) appendJSON(dst []byte, it Item) []byte {
	dst = append(append(dst, `{"s":"`...), Symbol(it.Trade.Call, it.Symbol)...)
	dst = it.Trade.appendID(append(dst, `","i":"`...))
	dst = append(dst, `","p":`...)
	switch form := mix(w.Seed, uint64(it.Trade.Index), uint64(it.Version)) % 8; {
	case it.Bad:
		dst = append(append(append(dst, `"about `...), it.Price...), '"')
	case form == 0:
		dst = appendExponent(dst, it.Price)
	case form < 4:
		dst = append(dst, it.Price...)
	default:
		dst = append(append(append(dst, '"'), it.Price...), '"')
	}
	dst = append(append(append(dst, `,"q":"`...), it.Size...), `","t":`...)
	return append(strconv.AppendInt(dst, it.Micros, 10), '}')
}

// appendExponent writes 12.5 as 125e-1.
func appendExponent(dst []byte, number string) []byte {
	decimals := 0
	for i := range len(number) {
		if number[i] == '.' {
			decimals = len(number) - i - 1
			continue
		}
		dst = append(dst, number[i])
	}
	return strconv.AppendInt(append(dst, 'e', '-'), int64(decimals), 10)
}

// mix is splitmix64 over a list of numbers.
func mix(numbers ...uint64) uint64 {
	h := uint64(0x9E3779B97F4A7C15)
	for _, n := range numbers {
		h += n + 0x9E3779B97F4A7C15
		h = (h ^ h>>30) * 0xBF58476D1CE4E5B9
		h = (h ^ h>>27) * 0x94D049BB133111EB
		h ^= h >> 31
	}
	return h
}
