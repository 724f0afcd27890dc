package lake

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// The views that convert, against big numbers: every amount, rate, path and time
// of random prices and rates, up to the ends of the type.

// market is a lake with known rates and prices.
type market struct {
	rates  []statedRate
	prices []statedPrice
}

type statedRate struct {
	base, quote string
	value       *big.Int // in units of the 18th decimal
	at          time.Time
}

type statedPrice struct {
	quote           string
	price, bid, ask *big.Int // nil: null
	at              time.Time
}

const someDays = 40

// units are up to 38 digits, now and then few of them, or a round number.
func units(r *rand.Rand) *big.Int {
	digits := 1 + r.IntN(38)
	if r.IntN(3) > 0 {
		digits = 17 + r.IntN(6) // about one
	}
	n := make([]byte, digits)
	round := r.IntN(digits)
	for i := range n {
		n[i] = '0'
		if i <= round || r.IntN(3) == 0 {
			n[i] += byte(r.IntN(10))
		}
	}
	n[0] = '1' + byte(r.IntN(9))
	v, _ := new(big.Int).SetString(string(n), 10)
	if r.IntN(40) == 0 {
		v.Sub(new(big.Int).Exp(big.NewInt(10), big.NewInt(38), nil), big.NewInt(1))
	}
	return v
}

func someMarket(seed uint64) market {
	r := rand.New(rand.NewPCG(seed, 20))
	currencies := []string{"EUR", "USD", "GBP", "JPY", "XAA", "XBB", "XCC"}
	pairs := [][2]string{{"EUR", "USD"}, {"EUR", "GBP"}, {"GBP", "EUR"}, {"EUR", "JPY"}, {"USD", "JPY"}, {"XAA", "EUR"}, {"EUR", "XAA"}, {"USD", "XBB"}, {"XBB", "USD"}, {"XBB", "GBP"}, {"XCC", "XAA"}}
	begin := utc("2026-01-01 00:00:00")
	at := func(n int) time.Time { // no two of one instant
		return begin.Add(time.Duration(r.IntN(someDays*86400))*time.Second + time.Duration(n)*time.Microsecond)
	}
	var m market
	for i := range 120 {
		pair := pairs[r.IntN(len(pairs))]
		m.rates = append(m.rates, statedRate{pair[0], pair[1], units(r), at(i)})
	}
	amount := func() *big.Int {
		switch r.IntN(8) {
		case 0:
			return nil
		case 1:
			return new(big.Int)
		case 2:
			return new(big.Int).Neg(units(r))
		}
		return units(r)
	}
	for i := range 600 {
		p := statedPrice{currencies[r.IntN(len(currencies))], amount(), amount(), amount(), at(i).AddDate(0, 0, r.IntN(20))}
		if p.price == nil && p.bid == nil && p.ask == nil {
			p.price = new(big.Int)
		}
		m.prices = append(m.prices, p)
	}
	// At the very instant of a rate, and at that and the last of its 14 days.
	for i, rate := range m.rates[:20] {
		for _, after := range []time.Duration{0, -time.Microsecond, 14*24*time.Hour - time.Microsecond, 14 * 24 * time.Hour} {
			m.prices = append(m.prices, statedPrice{[]string{rate.base, rate.quote}[i%2], big.NewInt(1e18), nil, nil, rate.at.Add(after)})
		}
	}
	return m
}

// write puts the market into a lake; the prices are of the provider "test" and
// have their number as base.
func (m market) write(t *testing.T, l *Lake) {
	t.Helper()
	var rows []string
	row := func(provider, base, quote, kind, rateType string, at time.Time, amounts ...*big.Int) {
		for len(amounts) < 3 {
			amounts = append(amounts, nil)
		}
		var texts []string
		for _, a := range amounts {
			text := "NULL"
			if a != nil {
				text = fmt.Sprintf("toDecimal128('%s', 18)", decimalText(a))
			}
			texts = append(texts, text)
		}
		rows = append(rows, fmt.Sprintf("(generateUUIDv4(%[1]d), '%[2]s', '%[3]s-%[4]s', '%[3]s', '%[4]s', '%[5]s', '%[6]s', %[7]s, fromUnixTimestamp64Micro(%[8]d), %[1]d)",
			len(rows), provider, base, quote, kind, rateType, strings.Join(texts, ", "), at.UnixMicro()))
	}
	for _, rate := range m.rates {
		row("bank", rate.base, rate.quote, "fixing", "official", rate.at, rate.value)
	}
	for i, p := range m.prices {
		row("test", fmt.Sprintf("N%04d", i), p.quote, "ticker", "last", p.at, p.price, p.bid, p.ask)
	}
	insert := "INSERT INTO prices (event_id, provider, instrument, base, quote, kind, rate_type, price, bid, ask, event_time, _offset) " +
		"SETTINGS max_partitions_per_insert_block = 0 VALUES " + strings.Join(rows, ", ")
	if err := l.conn.Exec(t.Context(), insert); err != nil {
		t.Fatal(err)
	}
}

// decimalText is a number of units of the 18th decimal, as the server writes it.
func decimalText(units *big.Int) string {
	sign, digits := "", new(big.Int).Abs(units).String()
	if units.Sign() < 0 {
		sign = "-"
	}
	if len(digits) < 19 {
		digits = strings.Repeat("0", 19-len(digits)) + digits
	}
	whole, part := digits[:len(digits)-18], strings.TrimRight(digits[len(digits)-18:], "0")
	if part == "" {
		return sign + whole
	}
	return sign + whole + "." + part
}

// leg is a rate in one direction: times/parts.
type leg struct {
	times, parts *big.Int
	at           time.Time
	path         string
}

// newest is the newest rate between two currencies, in either direction, at an
// instant, or nil when it is 14 days old.
func (m market) newest(from, to string, at time.Time) *leg {
	var found *leg
	one := new(big.Int).Exp(big.NewInt(10), big.NewInt(18), nil)
	for _, r := range m.rates {
		if r.at.After(at) || found != nil && found.at.After(r.at) {
			continue
		}
		switch {
		case r.base == from && r.quote == to:
			found = &leg{r.value, one, r.at, r.base + "-" + r.quote}
		case r.base == to && r.quote == from:
			found = &leg{one, r.value, r.at, "1/" + r.base + "-" + r.quote}
		}
	}
	if found == nil || !found.at.After(at.AddDate(0, 0, -14)) {
		return nil
	}
	return found
}

// way is how one currency becomes another at an instant: directly, or through
// EUR, or through USD; nil when there is no way.
func (m market) way(from, to string, at time.Time) *leg {
	if from == to {
		return &leg{big.NewInt(1), big.NewInt(1), at, "same"}
	}
	if direct := m.newest(from, to, at); direct != nil {
		return direct
	}
	for _, hub := range []string{"EUR", "USD"} {
		a, b := m.newest(from, hub, at), m.newest(hub, to, at)
		if a == nil || b == nil {
			continue
		}
		w := &leg{new(big.Int).Mul(a.times, b.times), new(big.Int).Mul(a.parts, b.parts), a.at, a.path + " " + b.path}
		if b.at.Before(a.at) {
			w.at = b.at
		}
		return w
	}
	return nil
}

// exchange converts an amount and cuts what is beyond the 18th decimal; NULL
// where there is no way, and where the result does not fit.
func (w *leg) exchange(amount *big.Int) string {
	if w == nil || amount == nil {
		return `\N`
	}
	n := new(big.Int).Mul(amount, w.times)
	n.Quo(n, w.parts)
	if new(big.Int).Abs(n).Cmp(new(big.Int).Exp(big.NewInt(10), big.NewInt(38), nil)) >= 0 {
		return `\N`
	}
	return decimalText(n)
}

func TestConversionsAgainstBigNumbers(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	m := someMarket(1)
	m.write(t, l)
	fits, nulls := 0, 0
	for _, currency := range []string{"EUR", "USD", "GBP", "XAA", "XBB", "XCC"} {
		rows := strings.Split(ask(t, l, "SELECT price_in, bid_in, ask_in, rate, rate_path, rate_time FROM prices_in(currency = '"+currency+"') WHERE provider = 'test' ORDER BY base"), "\n")
		if len(rows) != len(m.prices) {
			t.Fatalf("%d rows of %d prices in %s", len(rows), len(m.prices), currency)
		}
		for i, p := range m.prices {
			w := m.way(p.quote, currency, p.at)
			path, at := "", `\N`
			if w != nil {
				path, at = w.path, w.at.Format("2006-01-02 15:04:05.000000")
				fits++
			} else {
				nulls++
			}
			want := strings.Join([]string{w.exchange(p.price), w.exchange(p.bid), w.exchange(p.ask), w.exchange(big.NewInt(1e18)), path, at}, "\t")
			if rows[i] != want {
				t.Errorf("%v %v %v in %s at %v, in %s:\n%s\nwant\n%s", p.price, p.bid, p.ask, p.quote, p.at, currency, rows[i], want)
			}
		}
	}
	if fits < 1000 || nulls < 100 {
		t.Errorf("%d conversions and %d without a rate say little", fits, nulls)
	}
}
