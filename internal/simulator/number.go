package simulator

import (
	"strconv"
	"strings"
)

// decimal is an exact number: units of 10^-scale.
type decimal struct {
	units int64
	scale int
}

// String prints all the decimals of the scale.
func (d decimal) String() string {
	digits := strconv.FormatInt(d.units, 10)
	sign := ""
	if d.units < 0 {
		sign, digits = "-", digits[1:]
	}
	if d.scale == 0 {
		return sign + digits
	}
	if len(digits) <= d.scale {
		digits = strings.Repeat("0", d.scale-len(digits)+1) + digits
	}
	cut := len(digits) - d.scale
	return sign + digits[:cut] + "." + digits[cut:]
}

// padded prints at least the given number of decimals.
func (d decimal) padded(decimals int) string {
	text := d.String()
	if d.scale >= decimals {
		return text
	}
	if d.scale == 0 {
		text += "."
	}
	return text + strings.Repeat("0", decimals-d.scale)
}

// trimmed prints without trailing zeros.
func (d decimal) trimmed() string {
	text := d.String()
	if d.scale == 0 {
		return text
	}
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}

// manyDecimals extends the number to 20 decimals. The last two are never both
// zero, so that 18 decimals cannot hold it, and are exactly half for one choice
// in four.
func (d decimal) manyDecimals(choice uint64) string {
	text := d.padded(1)
	have := len(text) - strings.IndexByte(text, '.') - 1
	var tail strings.Builder
	for range 18 - have {
		tail.WriteByte(byte('0' + choice%10))
		choice = choice/10 + choice<<37
	}
	last := strconv.FormatUint(1+choice%99, 10)
	if choice%4 == 0 {
		last = "50"
	}
	return text + tail.String() + strings.Repeat("0", 2-len(last)) + last
}

// mix hashes the seed, a name and numbers into 64 well mixed bits (FNV-1a for
// the name, then the finaliser of SplitMix64 for each number).
func mix(seed uint64, name string, numbers ...int64) uint64 {
	h := seed ^ 14695981039346656037
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	h = finalise(h)
	for _, n := range numbers {
		h = finalise(h ^ uint64(n))
	}
	return h
}

func finalise(h uint64) uint64 {
	h += 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
