package schemas

import (
	"fmt"
	"math/bits"
	"strconv"
)

// ParseDecimal reads a number in the syntax of JSON (exponents included), with
// an optional leading plus. More than 18 decimals are rounded half-even, and
// rounded is true when that changed the number. Errors: ErrNotNumber,
// ErrTooLarge.
func ParseDecimal(text string) (d Decimal, rounded bool, err error) {
	n, ok := scanNumber(text)
	if !ok {
		return Decimal{}, false, fmt.Errorf("parsing the number %s: %w", quoted(text), ErrNotNumber)
	}
	magnitude, rounded, err := n.unscaled()
	if err == nil {
		d, err = magnitude.decimal(n.negative)
	}
	if err != nil {
		return Decimal{}, false, fmt.Errorf("parsing the number %s: %w", quoted(text), err)
	}
	return d, rounded, nil
}

// quoted quotes text for an error, which must stay short whatever came in.
func quoted(text string) string {
	const most = 80
	if len(text) > most {
		return strconv.Quote(text[:most]) + "…"
	}
	return strconv.Quote(text)
}

// number is a number's text taken apart: digits (with a point at pointAt, or at
// their end) times ten to the exponent.
type number struct {
	negative bool
	whole    string // digits before the point, without leading zeros
	fraction string // digits after it
	exponent int
}

// maxExponent is beyond every exponent that matters and far from overflow.
const maxExponent = 1 << 40

func scanNumber(text string) (n number, ok bool) {
	if text != "" && (text[0] == '-' || text[0] == '+') {
		n.negative = text[0] == '-'
		text = text[1:]
	}
	n.whole, text = takeDigits(text)
	if n.whole == "" || len(n.whole) > 1 && n.whole[0] == '0' {
		return n, false
	}
	if text != "" && text[0] == '.' {
		n.fraction, text = takeDigits(text[1:])
		if n.fraction == "" {
			return n, false
		}
	}
	if text != "" && text[0]|0x20 == 'e' {
		n.exponent, text = takeExponent(text[1:])
	}
	if n.whole == "0" {
		n.whole = ""
	}
	return n, text == ""
}

func takeDigits(text string) (digits, rest string) {
	i := 0
	for i < len(text) && text[i] >= '0' && text[i] <= '9' {
		i++
	}
	return text[:i], text[i:]
}

// takeExponent reads a signed integer. What it cannot read it leaves in rest,
// never empty then.
func takeExponent(text string) (exponent int, rest string) {
	negative := text != "" && text[0] == '-'
	unsigned := text
	if text != "" && (text[0] == '-' || text[0] == '+') {
		unsigned = text[1:]
	}
	digits, rest := takeDigits(unsigned)
	if digits == "" {
		return 0, "e"
	}
	for _, c := range []byte(digits) {
		if exponent = exponent*10 + int(c-'0'); exponent > maxExponent {
			exponent = maxExponent
		}
	}
	if negative {
		exponent = -exponent
	}
	return exponent, rest
}

// digit returns the i-th digit of whole and fraction together.
func (n *number) digit(i int) byte {
	if i < len(n.whole) {
		return n.whole[i]
	}
	return n.fraction[i-len(n.whole)]
}

// unscaled returns the number times 10^18, rounded half-even to an integer.
// The result may be exactly 10^38, which is out of range.
func (n *number) unscaled() (magnitude uint128, rounded bool, err error) {
	length := len(n.whole) + len(n.fraction)
	first := 0
	for first < length && n.digit(first) == '0' {
		first++
	}
	if first == length {
		return uint128{}, false, nil
	}
	// The digits [first,end) are units of 10^-18 and above; zeros more follow.
	end := len(n.whole) + Scale + n.exponent
	if end-first > Digits {
		return uint128{}, false, ErrTooLarge
	}
	if end < first {
		return uint128{}, true, nil // below half a unit
	}
	for i := first; i < end; i++ {
		digit := byte('0')
		if i < length {
			digit = n.digit(i)
		}
		magnitude = magnitude.mulAdd(10, uint64(digit-'0'))
	}
	up, rounded := n.roundsUp(end, length, magnitude.lo&1 == 1)
	if up {
		magnitude = magnitude.mulAdd(1, 1)
	}
	return magnitude, rounded, nil
}

// roundsUp says whether the digits from end on round the integer before them
// up, and whether they are anything but zeros.
func (n *number) roundsUp(end, length int, odd bool) (up, rounded bool) {
	if end >= length {
		return false, false
	}
	tail := false
	for i := end + 1; i < length && !tail; i++ {
		tail = n.digit(i) != '0'
	}
	next := n.digit(end)
	return next > '5' || next == '5' && (tail || odd), tail || next != '0'
}

// String returns the shortest text of the exact number: no exponent, no zeros
// at the end of the decimals. ParseDecimal reads it back as the same Decimal.
func (d Decimal) String() string {
	var buf [41]byte // sign, 20 digits, point, 18 digits
	return string(d.Append(buf[:0]))
}

// Append appends the text of String to dst.
func (d Decimal) Append(dst []byte) []byte {
	if d.hi < 0 {
		dst = append(dst, '-')
	}
	whole, fraction := d.magnitude().quo10to18()
	if whole.hi != 0 || whole.lo >= pow10to19 { // 20 digits
		top, low := bits.Div64(whole.hi, whole.lo, 10) // whole < 10^20, so its tens fit a word
		dst = append(strconv.AppendUint(dst, top, 10), byte('0'+low))
	} else {
		dst = strconv.AppendUint(dst, whole.lo, 10)
	}
	if fraction == 0 {
		return dst
	}
	dst = append(dst, '.')
	at := len(dst)
	dst = append(dst, "000000000000000000"...)
	for i := at + Scale - 1; i >= at; i-- {
		dst[i] = byte('0' + fraction%10)
		fraction /= 10
	}
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// MarshalText returns the text of String.
func (d Decimal) MarshalText() ([]byte, error) { return d.Append(nil), nil }

// UnmarshalText reads text like ParseDecimal, but refuses what it would have to
// round.
func (d *Decimal) UnmarshalText(text []byte) error {
	parsed, rounded, err := ParseDecimal(string(text))
	if err != nil {
		return err
	}
	if rounded {
		return fmt.Errorf("parsing the number %s: it has more than %d decimals", quoted(string(text)), Scale)
	}
	*d = parsed
	return nil
}

// MarshalJSON returns the number as a quoted text: JSON numbers become floats
// in too many readers.
func (d Decimal) MarshalJSON() ([]byte, error) {
	dst := append(make([]byte, 0, 43), '"')
	return append(d.Append(dst), '"'), nil
}

// UnmarshalJSON reads a JSON number or a quoted one; null leaves d as it is.
// What would have to be rounded is refused.
func (d *Decimal) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	if len(data) >= 2 && data[0] == '"' && data[len(data)-1] == '"' {
		data = data[1 : len(data)-1]
	}
	return d.UnmarshalText(data)
}

// MarshalJSON returns null or the number as a quoted text.
func (n NullDecimal) MarshalJSON() ([]byte, error) {
	if !n.Valid {
		return []byte("null"), nil
	}
	return n.Decimal.MarshalJSON()
}

// UnmarshalJSON reads null, a JSON number or a quoted one.
func (n *NullDecimal) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*n = NullDecimal{}
		return nil
	}
	var d Decimal
	if err := d.UnmarshalJSON(data); err != nil {
		return err
	}
	*n = NullDecimal{Decimal: d, Valid: true}
	return nil
}
