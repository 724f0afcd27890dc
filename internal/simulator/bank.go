package simulator

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// currency is one line of a bank's fixings.
type currency struct {
	code   string
	level  int64 // value about which it moves, in units of 10^-levelScale
	scale  int   // decimals
	amount int   // units of the currency that the value is for, 0 means 1
	lead   string
}

// Restatement is a fixing that got another value.
type Restatement struct {
	Bank      string `json:"bank"`       // ecb (served by the providers ecb and frankfurter) or cnb
	Symbol    string `json:"symbol"`     // currency
	ValueDate string `json:"value_date"` // 2006-01-02
	Old       string `json:"old"`
	New       string `json:"new"`
}

type fixingKey struct {
	symbol string
	day    time.Time
}

// bank fixes rates once a business day. Values are a function of seed, currency
// and day, but for those restated.
type bank struct {
	name       string
	seed       uint64
	calendar   calendar
	currencies []currency
	restated   map[fixingKey][]int64 // every value the fixing had, newest last
	served     map[string]map[fixingKey]bool
	version    int // counts restatements
}

func newBank(name string, seed uint64, c calendar, currencies []currency) *bank {
	return &bank{
		name: name, seed: seed, calendar: c, currencies: currencies,
		restated: map[fixingKey][]int64{},
		served:   map[string]map[fixingKey]bool{},
	}
}

func (b *bank) currency(code string) *currency {
	for i := range b.currencies {
		if b.currencies[i].code == code {
			return &b.currencies[i]
		}
	}
	return nil
}

// value is the fixing of a day, and whether it has been restated.
func (b *bank) value(c *currency, day time.Time) (v decimal, restated bool) {
	if values := b.restated[fixingKey{c.code, day}]; len(values) > 0 {
		return decimal{values[len(values)-1], c.scale}, len(values) > 1
	}
	return decimal{b.first(c, day), c.scale}, false
}

// first is the value as it was fixed at first.
func (b *bank) first(c *currency, day time.Time) int64 {
	waves := []wave{
		{300 * 24 * time.Hour, 40_000_000},
		{45 * 24 * time.Hour, 12_000_000},
		{6 * 24 * time.Hour, 4_000_000},
		{24 * time.Hour, 3_000_000},
	}
	ppb := deviation(b.seed, b.name+" "+c.code, waves, day)
	return max(moved(c.level, ppb)/pow10(levelScale-c.scale), 1)
}

// markServed remembers that a provider's answer held a fixing: only such a one
// can be seen to be restated.
func (b *bank) markServed(provider string, prices []Price) {
	seen := b.served[provider]
	if seen == nil {
		seen = map[fixingKey]bool{}
		b.served[provider] = seen
	}
	for i := range prices {
		if day, err := time.Parse(time.DateOnly, prices[i].ValueDate); err == nil {
			seen[fixingKey{prices[i].Symbol, day}] = true
		}
	}
}

// restatable lists the fixings of an answer that could be restated: of the
// currencies every catalog lists, and only what the provider has served before.
func (b *bank) restatable(provider string, symbols []string, days []time.Time) []fixingKey {
	var out []fixingKey
	for _, day := range days[:min(len(days), 20)] {
		for _, code := range []string{"USD", "GBP", "JPY", "CHF"} {
			key := fixingKey{code, day}
			if slices.Contains(symbols, code) && b.served[provider][key] {
				out = append(out, key)
			}
		}
	}
	return out
}

// restateBy moves a fixing by a few units to a value it never had.
func (b *bank) restateBy(key fixingKey, choice uint64) Restatement {
	c := b.currency(key.symbol)
	now, _ := b.value(c, key.day)
	step := int64(1 + choice%9)
	next := now.units + step
	for slices.Contains(b.history(c, key.day), next) {
		next += step
	}
	return b.set(c, key.day, next)
}

// wanted is a restatement told from outside.
type wanted struct {
	bank     *bank
	currency *currency
	day      time.Time
	units    int64
}

// check reads a restatement told from outside; an empty value date means the
// latest.
func (b *bank) check(symbol, valueDate, value string, now time.Time) (wanted, error) {
	c := b.currency(symbol)
	if c == nil {
		return wanted{}, fmt.Errorf("restating %q: %s fixes no such currency, write one of %q", symbol, b.name, codes(b))
	}
	day := b.calendar.latest(now)
	if valueDate != "" {
		var err error
		day, err = time.Parse(time.DateOnly, valueDate)
		if err != nil || !b.calendar.open(day) {
			return wanted{}, fmt.Errorf("restating %s of %q: write a business day of the bank as 2006-01-02", symbol, valueDate)
		}
	}
	units, err := unitsOf(value, c.scale)
	if err != nil {
		return wanted{}, fmt.Errorf("restating %s of %s: %w", symbol, day.Format(time.DateOnly), err)
	}
	return wanted{bank: b, currency: c, day: day, units: units}, nil
}

func (b *bank) history(c *currency, day time.Time) []int64 {
	if values := b.restated[fixingKey{c.code, day}]; len(values) > 0 {
		return values
	}
	return []int64{b.first(c, day)}
}

func (b *bank) set(c *currency, day time.Time, units int64) Restatement {
	old, _ := b.value(c, day)
	b.restated[fixingKey{c.code, day}] = append(slices.Clone(b.history(c, day)), units)
	b.version++
	return Restatement{
		Bank: b.name, Symbol: c.code, ValueDate: day.Format(time.DateOnly),
		Old: old.String(), New: decimal{units, c.scale}.String(),
	}
}

// unitsOf reads a positive number with at most scale decimals.
func unitsOf(text string, scale int) (int64, error) {
	whole, fraction, _ := strings.Cut(text, ".")
	if len(fraction) > scale {
		return 0, fmt.Errorf("reading value %q: write at most %d decimals", text, scale)
	}
	units, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", scale-len(fraction)), 10, 64)
	if err != nil || units <= 0 || strings.ContainsAny(whole, "+-") {
		return 0, fmt.Errorf("reading value %q: write a positive decimal number such as 1.0834", text)
	}
	return units, nil
}
