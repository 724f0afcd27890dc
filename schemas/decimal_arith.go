package schemas

import "math/bits"

// Unsigned integers of two and four words, just what exact decimal products and
// quotients need.

const (
	pow10to18 = 1_000_000_000_000_000_000
	pow10to19 = 10_000_000_000_000_000_000

	// The words of 10^38, the first magnitude that is too large.
	limitHi = 0x4b3b4ca85a86c47a
	limitLo = 0x098a224000000000
)

// uint128 is an unsigned integer of two words.
type uint128 struct{ hi, lo uint64 }

// uint256 is an unsigned integer of four words, least significant first.
type uint256 [4]uint64

// magnitude returns |d| unscaled. It is right for the smallest two's complement
// number too, whose magnitude is 2^127.
func (d Decimal) magnitude() uint128 {
	if d.hi < 0 {
		d = d.Neg()
	}
	return uint128{uint64(d.hi), d.lo}
}

// decimal returns the magnitude with a sign, or ErrTooLarge.
func (u uint128) decimal(negative bool) (Decimal, error) {
	if !u.inRange() {
		return Decimal{}, ErrTooLarge
	}
	d := Decimal{int64(u.hi), u.lo}
	if negative {
		d = d.Neg()
	}
	return d, nil
}

// inRange says whether u < 10^38.
func (u uint128) inRange() bool { return u.less(uint128{limitHi, limitLo}) }

func (u uint128) less(v uint128) bool { return u.hi < v.hi || u.hi == v.hi && u.lo < v.lo }

// mulAdd returns u·m + a. The caller knows that it fits.
func (u uint128) mulAdd(m, a uint64) uint128 {
	carry, lo := bits.Mul64(u.lo, m)
	lo, c := bits.Add64(lo, a, 0)
	return uint128{u.hi*m + carry + c, lo}
}

// mul returns u·v.
func (u uint128) mul(v uint128) uint256 {
	var p uint256
	p[1], p[0] = bits.Mul64(u.lo, v.lo)
	p[3], p[2] = bits.Mul64(u.hi, v.hi)
	for _, cross := range [2][2]uint64{{u.lo, v.hi}, {u.hi, v.lo}} {
		hi, lo := bits.Mul64(cross[0], cross[1])
		var c uint64
		p[1], c = bits.Add64(p[1], lo, 0)
		p[2], c = bits.Add64(p[2], hi, c)
		p[3] += c
	}
	return p
}

// quo10to18 returns u / 10^18 and the remainder.
func (u uint128) quo10to18() (whole uint128, rest uint64) {
	hi, r := u.hi/pow10to18, u.hi%pow10to18
	lo, r := bits.Div64(r, u.lo, pow10to18)
	return uint128{hi, lo}, r
}

// roundQuo returns u/v rounded half-even and whether anything was rounded away.
// A quotient that needs more than two words comes back as one out of range.
func (u uint256) roundQuo(v uint128) (quotient uint128, rounded bool) {
	q, r := u.quoRem(v)
	if q[3]|q[2] != 0 {
		return uint128{^uint64(0), ^uint64(0)}, false
	}
	quotient = uint128{q[1], q[0]}
	if r == (uint128{}) {
		return quotient, false
	}
	lo, borrow := bits.Sub64(v.lo, r.lo, 0)
	hi, _ := bits.Sub64(v.hi, r.hi, borrow)
	missing := uint128{hi, lo} // what r lacks to the next whole
	if missing.less(r) || missing == r && quotient.lo&1 == 1 {
		quotient = quotient.mulAdd(1, 1) // an overflow wraps only far beyond the range checked next
	}
	return quotient, true
}

// quoRem returns u/v and u mod v; v is not 0.
func (u uint256) quoRem(v uint128) (q uint256, r uint128) {
	if v.hi == 0 {
		for i := 3; i >= 0; i-- {
			q[i], r.lo = bits.Div64(r.lo, u[i], v.lo)
		}
		return q, r
	}
	// Knuth's algorithm D for a divisor of two words, shifted so that its top
	// bit is set.
	shift := uint(bits.LeadingZeros64(v.hi))
	d1, d0 := v.hi<<shift|v.lo>>(64-shift), v.lo<<shift
	n := [5]uint64{u[0] << shift, 0, 0, 0, u[3] >> (64 - shift)}
	for i := 1; i < 4; i++ {
		n[i] = u[i]<<shift | u[i-1]>>(64-shift)
	}
	r1, r0 := n[4], n[3]
	for i := 2; i >= 0; i-- {
		q[i], r1, r0 = quo3by2(r1, r0, n[i], d1, d0)
	}
	return q, uint128{r1 >> shift, r0>>shift | r1<<(64-shift)}
}

// quo3by2 divides three words by two. It needs the top bit of d1 set and
// (u2,u1) < (d1,d0).
func quo3by2(u2, u1, u0, d1, d0 uint64) (q, r1, r0 uint64) {
	var rhat, carry uint64
	if u2 < d1 {
		q, rhat = bits.Div64(u2, u1, d1)
	} else { // u2 == d1: the quotient's estimate is the largest word
		q = ^uint64(0)
		rhat, carry = bits.Add64(u1, d1, 0)
	}
	for carry == 0 {
		hi, lo := bits.Mul64(q, d0)
		if hi < rhat || hi == rhat && lo <= u0 {
			break
		}
		q--
		rhat, carry = bits.Add64(rhat, d1, 0)
	}
	hi, lo := bits.Mul64(q, d0)
	r0, borrow := bits.Sub64(u0, lo, 0)
	r1, _ = bits.Sub64(u1-q*d1, hi, borrow)
	return q, r1, r0
}
