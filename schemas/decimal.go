package schemas

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Scale is the number of decimals every Decimal carries.
const Scale = 18

// Digits is the number of decimal digits a Decimal can hold, Scale of them
// after the point.
const Digits = 38

// Errors of making a Decimal. They are wrapped with the text they are about.
var (
	// ErrNotNumber: the text is no decimal number.
	ErrNotNumber = errors.New("not a decimal number")
	// ErrTooLarge: more than 20 digits before the point.
	ErrTooLarge = errors.New("number has more than 20 digits before the point")
	// ErrDivisionByZero: Quo by zero.
	ErrDivisionByZero = errors.New("division by zero")
)

// Decimal is an exact decimal number: a 128-bit two's complement integer that
// counts units of 10^-18, smaller than 10^38 in size. The zero value is 0, there
// is one representation of each number, so == compares numbers. It is a value
// of two words and never allocates.
type Decimal struct {
	hi int64
	lo uint64
}

// DecimalFromInt64 returns n as a Decimal.
func DecimalFromInt64(n int64) Decimal {
	negative := n < 0
	magnitude := uint64(n)
	if negative {
		magnitude = -magnitude
	}
	hi, lo := bits.Mul64(magnitude, pow10to18)
	d, _ := uint128{hi, lo}.decimal(negative) // |n| < 10^19, always in range
	return d
}

// DecimalFromWords returns the number whose unscaled value has the two's
// complement words hi and lo. ErrTooLarge at 10^38 and beyond.
func DecimalFromWords(hi int64, lo uint64) (Decimal, error) {
	d := Decimal{hi, lo}
	if !d.magnitude().inRange() {
		return Decimal{}, fmt.Errorf("reading a decimal of the words %d and %d: %w", hi, lo, ErrTooLarge)
	}
	return d, nil
}

// Words returns the unscaled value (scale 18) as two's complement words.
func (d Decimal) Words() (hi int64, lo uint64) { return d.hi, d.lo }

// DecimalFromBytes reads what Bytes wrote. ErrTooLarge at 10^38 and beyond.
func DecimalFromBytes(b [16]byte) (Decimal, error) {
	return DecimalFromWords(int64(binary.BigEndian.Uint64(b[:8])), binary.BigEndian.Uint64(b[8:]))
}

// Bytes returns the unscaled value as big-endian two's complement, the layout
// of an Avro decimal on fixed(16).
func (d Decimal) Bytes() [16]byte {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(d.hi))
	binary.BigEndian.PutUint64(b[8:], d.lo)
	return b
}

// Sign returns -1, 0 or 1.
func (d Decimal) Sign() int {
	switch {
	case d.hi < 0:
		return -1
	case d.hi == 0 && d.lo == 0:
		return 0
	default:
		return 1
	}
}

// IsZero says whether d is 0.
func (d Decimal) IsZero() bool { return d == Decimal{} }

// Cmp returns -1 when d < e, 0 when they are equal, 1 when d > e.
func (d Decimal) Cmp(e Decimal) int {
	switch {
	case d == e:
		return 0
	case d.hi < e.hi || d.hi == e.hi && d.lo < e.lo:
		return -1
	default:
		return 1
	}
}

// Neg returns -d.
func (d Decimal) Neg() Decimal {
	lo, borrow := bits.Sub64(0, d.lo, 0)
	hi, _ := bits.Sub64(0, uint64(d.hi), borrow)
	return Decimal{int64(hi), lo}
}

// Mul returns d·e. When the product has more than 18 decimals it is rounded
// half-even and rounded is true. ErrTooLarge when it does not fit.
func (d Decimal) Mul(e Decimal) (product Decimal, rounded bool, err error) {
	whole, rounded := d.magnitude().mul(e.magnitude()).roundQuo(uint128{0, pow10to18})
	product, err = whole.decimal(d.hi < 0 != (e.hi < 0))
	if err != nil {
		return Decimal{}, false, fmt.Errorf("multiplying %s by %s: %w", d, e, err)
	}
	return product, rounded, nil
}

// Quo returns d/e. When the quotient has more than 18 decimals it is rounded
// half-even and rounded is true. ErrDivisionByZero, or ErrTooLarge when it does
// not fit.
func (d Decimal) Quo(e Decimal) (quotient Decimal, rounded bool, err error) {
	if e.IsZero() {
		return Decimal{}, false, fmt.Errorf("dividing %s: %w", d, ErrDivisionByZero)
	}
	whole, rounded := d.magnitude().mul(uint128{0, pow10to18}).roundQuo(e.magnitude())
	quotient, err = whole.decimal(d.hi < 0 != (e.hi < 0))
	if err != nil {
		return Decimal{}, false, fmt.Errorf("dividing %s by %s: %w", d, e, err)
	}
	return quotient, rounded, nil
}

// NullDecimal is a Decimal or nothing. Null means that the source gave no
// value; a zero that the source gave is a valid zero. == compares.
type NullDecimal struct {
	Decimal Decimal
	Valid   bool
}

// String returns the number's text, or "null".
func (n NullDecimal) String() string {
	if !n.Valid {
		return "null"
	}
	return n.Decimal.String()
}
