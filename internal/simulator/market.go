package simulator

import "time"

// product is one pair that a provider trades.
type product struct {
	symbol string // as the provider's answers name it
	asked  string // as requests name it, where that differs
	moves  string // products with the same text move alike, at all providers
	level  int64  // price around which it moves, in units of 10^-levelScale
	tick   int    // decimals of the price
	text   int    // decimals the provider prints at least
	size   int64  // mean size of a trade, in units of 10^-8
}

// levelScale is the scale of product.level. The highest level, 10^5 with ten
// decimals, leaves room for the arithmetic of moved.
const levelScale = 10

// wave is one layer of the movement: a value for each period, joined by lines.
type wave struct {
	period time.Duration
	ppb    int64 // greatest deviation, in billionths of the level
}

// movement is what the price of a trading product does around its level.
func movement() []wave {
	return []wave{
		{31 * time.Hour, 40_000_000},
		{5 * time.Hour, 12_000_000},
		{40 * time.Minute, 4_000_000},
		{3 * time.Minute, 1_200_000},
		{11 * time.Second, 300_000},
		{700 * time.Millisecond, 60_000},
	}
}

// deviation adds up the waves at an instant, in billionths.
func deviation(seed uint64, name string, waves []wave, at time.Time) int64 {
	const fine = 1 << 16 // steps of a line
	var sum int64
	for i, w := range waves {
		micros, period := at.UnixMicro(), w.period.Microseconds()
		knot, rest := micros/period, micros%period
		from := knotAt(seed, name, i, knot)
		to := knotAt(seed, name, i, knot+1)
		share := rest * fine / period
		sum += w.ppb * ((from*(fine-share) + to*share) / fine) / knotRange
	}
	return sum
}

// knotRange bounds what knotAt returns.
const knotRange = 1 << 16

func knotAt(seed uint64, name string, layer int, knot int64) int64 {
	return int64(mix(seed, name, int64(layer), knot)%(2*knotRange+1)) - knotRange
}

// moved is the level times 1 + deviation.
func moved(level, ppb int64) int64 {
	return level + level/100_000*ppb/10_000
}

// middle is the price in ticks about which a product is quoted at an instant.
// Providers differ a little.
func (p *product) middle(seed uint64, provider string, at time.Time) int64 {
	ppb := deviation(seed, p.moves, movement(), at)
	ppb += int64(mix(seed, provider+" "+p.symbol)%20_001) - 10_000
	return max(moved(p.level, ppb)/pow10(levelScale-p.tick), 10)
}

// quotation is what a product costs at an instant: bid < last < ask or equal to
// one of them.
type quotation struct {
	bid, last, ask decimal
	choice         uint64 // further choices of this answer
}

// quote makes the n-th quotation of a product. While the market is frozen n has
// no influence.
func (p *product) quote(w *world, provider string, n int64) quotation {
	at, frozen := w.marketTime()
	if frozen {
		n = 0
	}
	choice := mix(w.seed, provider+" quote "+p.symbol, n)
	mid := p.middle(w.seed, provider, at) + int64(choice%5) - 2
	half := 1 + int64(choice>>8%3)
	last := mid - half + int64(choice>>16%uint64(2*half+1))
	return quotation{
		bid:    decimal{mid - half, p.tick},
		last:   decimal{last, p.tick},
		ask:    decimal{mid + half, p.tick},
		choice: finalise(choice),
	}
}

// trade is one trade of a product.
type trade struct {
	id    int64
	at    time.Time // whole microseconds
	price decimal
	size  decimal // scale 8
	buy   bool    // the taker bought
}

// tradeEvery is the mean time between two trades of a product. Trade number k
// happens at some point of the k-th such span since 1970, so the trades of any
// past are known without keeping them.
const tradeEvery = 450 * time.Millisecond

// trades returns the last trades up to the market's time, oldest first.
func (p *product) trades(w *world, provider string, count int) []trade {
	now, _ := w.marketTime()
	last := now.UnixMicro() / tradeEvery.Microseconds()
	if p.trade(w, provider, last).at.After(now) {
		last--
	}
	out := make([]trade, 0, count)
	for k := last - int64(count) + 1; k <= last; k++ {
		out = append(out, p.trade(w, provider, k))
	}
	return out
}

func (p *product) trade(w *world, provider string, k int64) trade {
	choice := mix(w.seed, provider+" trade "+p.symbol, k)
	span := tradeEvery.Microseconds()
	at := time.UnixMicro(k*span + int64(choice%uint64(span))).UTC()
	choice = finalise(choice)
	return trade{
		id:    k,
		at:    at,
		price: decimal{p.middle(w.seed, provider, at) + int64(choice%7) - 3, p.tick},
		size:  decimal{1 + p.size*int64(choice>>8%2000)/1000, 8},
		buy:   choice>>32&1 == 0,
	}
}

func pow10(n int) int64 {
	out := int64(1)
	for range n {
		out *= 10
	}
	return out
}
