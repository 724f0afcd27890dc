package ledgercheck

import (
	"fmt"
	"math/big"
	"strings"
)

// lakeScale is the number of decimals the lake keeps.
const lakeScale = 18

// canonical reads decimal text, rounds it half-even to the lake's scale, and
// prints it without needless zeros. It shares no code with the path that it
// checks.
func canonical(text string) (out string, rounded bool, err error) {
	if text == "" {
		return "", false, nil
	}
	digits, negative := strings.CutPrefix(text, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	if !plain(whole) || point && !plain(fraction) {
		return "", false, fmt.Errorf("reading decimal %q: no plain decimal number", text)
	}
	if extra := len(fraction) - lakeScale; extra > 0 {
		units, _ := new(big.Int).SetString(whole+fraction, 10)
		units, rounded = roundHalfEven(units, extra)
		digits = fmt.Sprintf("%0*s", lakeScale+1, units)
		whole, fraction = digits[:len(digits)-lakeScale], digits[len(digits)-lakeScale:]
	}
	out = strings.TrimLeft(whole, "0")
	if out == "" {
		out = "0"
	}
	if fraction = strings.TrimRight(fraction, "0"); fraction != "" {
		out += "." + fraction
	}
	if negative && out != "0" {
		out = "-" + out
	}
	return out, rounded, nil
}

func plain(digits string) bool { return digits != "" && strings.Trim(digits, "0123456789") == "" }

// roundHalfEven drops the last digits of a number that is not negative.
func roundHalfEven(n *big.Int, digits int) (out *big.Int, rounded bool) {
	out, rest := new(big.Int).QuoRem(n, power(digits), new(big.Int))
	half := new(big.Int).Mul(big.NewInt(5), power(digits-1))
	if c := rest.Cmp(half); c > 0 || c == 0 && out.Bit(0) == 1 {
		out.Add(out, big.NewInt(1))
	}
	return out, rest.Sign() != 0
}

func power(n int) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}

// values are the numbers of a statement, canonical.
type values struct{ price, bid, ask, size string }

// valuesOf reads the four numbers. The size counts for trades only: of a ticker
// it is not part of what the ledger says.
func valuesOf(kind, price, bid, ask, size string) (v values, rounded bool, err error) {
	if kind != "trade" {
		size = ""
	}
	for _, number := range []struct {
		text string
		into *string
	}{{price, &v.price}, {bid, &v.bid}, {ask, &v.ask}, {size, &v.size}} {
		text, cut, err := canonical(number.text)
		if err != nil {
			return values{}, false, err
		}
		*number.into, rounded = text, rounded || cut
	}
	return v, rounded, nil
}

// String prints what is set.
func (v values) String() string {
	var parts []string
	for _, p := range []struct{ name, text string }{{"price", v.price}, {"bid", v.bid}, {"ask", v.ask}, {"size", v.size}} {
		if p.text != "" {
			parts = append(parts, p.name+" "+p.text)
		}
	}
	return strings.Join(parts, ", ")
}
