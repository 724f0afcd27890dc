package schemas

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

// parse reads a number that fits exactly.
func parse(t testing.TB, text string) Decimal {
	t.Helper()
	d, rounded, err := ParseDecimal(text)
	if err != nil || rounded {
		t.Fatalf("parsing %q: rounded %v, %v", text, rounded, err)
	}
	return d
}

const (
	largest      = "99999999999999999999.999999999999999999"
	smallestText = "0.000000000000000001"
)

func TestParseDecimal(t *testing.T) {
	f := func(text, want string, wantRounded bool) {
		t.Helper()
		d, rounded, err := ParseDecimal(text)
		if err != nil || d.String() != want || rounded != wantRounded {
			t.Errorf("%q: got %s, rounded %v, %v; want %s, %v", text, d, rounded, err, want, wantRounded)
		}
	}
	f("0", "0", false)
	f("-0", "0", false)
	f("-0.000", "0", false)
	f("+1", "1", false)
	f("1.50", "1.5", false)
	f("73380.6", "73380.6", false)
	f("-0.1", "-0.1", false)
	f("1e3", "1000", false)
	f("1E+3", "1000", false)
	f("1.5e-3", "0.0015", false)
	f("1e19", "10000000000000000000", false)
	f("0.00000000000000000000000000001e29", "1", false)
	f("100000000000000000000000000e-26", "1", false)
	f("0e99999999999999999999", "0", false)
	f("0.0e-99999999999999999999", "0", false)
	f(largest, largest, false)
	f("-"+largest, "-"+largest, false)
	f(smallestText, smallestText, false)
	f("7.8245000000000005", "7.8245000000000005", false)
	f("1."+strings.Repeat("0", 1000), "1", false)
	// Beyond 18 decimals: half to even.
	f("0.0000000000000000005", "0", true)
	f("0.00000000000000000050000001", smallestText, true)
	f("0.0000000000000000015", "0.000000000000000002", true)
	f("0.0000000000000000025", "0.000000000000000002", true)
	f("-0.0000000000000000015", "-0.000000000000000002", true)
	f("0.00000000000000000149", smallestText, true)
	f("0.00000000000000000009", "0", true)
	f("5e-19", "0", true)
	f("6e-19", smallestText, true)
	f("1e-40", "0", true)
	f("1e-99999999999999999999", "0", true)
	f("1.0000000000000000005", "1", true)
	f("0.9999999999999999999", "1", true)
	f("9.99e-1", "0.999", false)
	// A value with 20 decimals, as the simulator serves it.
	f("1.12345678901234567891", "1.123456789012345679", true)
}

func TestParseDecimalRefuses(t *testing.T) {
	f := func(text string, want error) {
		t.Helper()
		d, rounded, err := ParseDecimal(text)
		if !errors.Is(err, want) || !d.IsZero() || rounded {
			t.Errorf("%q: got %s, %v, %v", text, d, rounded, err)
		}
		if err != nil && len(err.Error()) > 200 {
			t.Errorf("%q: an error of %d bytes", text[:20], len(err.Error()))
		}
	}
	for _, text := range []string{
		"", " ", "-", "+", ".", "1.", ".5", "01", "-01", "00", "1,5", "1 ", " 1", "1_000", "0x10", "1e", "1e+", "e5", "1e5.5",
		"1.2.3", "--1", "+-1", "NaN", "Inf", "-Infinity", "null", "N/D", "\u0661", "1\x00", "1e5e5", "½", "−1",
	} {
		f(text, ErrNotNumber)
	}
	for _, text := range []string{
		"100000000000000000000", "-100000000000000000000", "1e20", "1e99999999999999999999", "99999999999999999999.9999999999999999995",
		strings.Repeat("9", 21), "0." + strings.Repeat("0", 30) + "1e60", strings.Repeat("9", 100_000),
	} {
		f(text, ErrTooLarge)
	}
}

var unit = new(big.Int).Exp(big.NewInt(10), big.NewInt(Scale), nil)

// unscaled returns what d counts, from its bytes.
func unscaled(d Decimal) *big.Int {
	b := d.Bytes()
	n := new(big.Int).SetBytes(b[:])
	if b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), 128))
	}
	return n
}

// roundHalfEven returns num/den as an integer and whether it was rounded.
func roundHalfEven(num, den *big.Int) (*big.Int, bool) {
	negative := num.Sign()*den.Sign() < 0
	q, r := new(big.Int).QuoRem(new(big.Int).Abs(num), new(big.Int).Abs(den), new(big.Int))
	twice := new(big.Int).Lsh(r, 1)
	if c := twice.Cmp(new(big.Int).Abs(den)); c > 0 || c == 0 && q.Bit(0) == 1 {
		q.Add(q, big.NewInt(1))
	}
	if negative {
		q.Neg(q)
	}
	return q, r.Sign() != 0
}

var limit = new(big.Int).Exp(big.NewInt(10), big.NewInt(Digits), nil)

// agree fails unless an operation gave what integers of any size give.
func agree(t *testing.T, what string, got Decimal, rounded bool, err error, want *big.Int, wantRounded bool) {
	t.Helper()
	if want.CmpAbs(limit) >= 0 {
		if !errors.Is(err, ErrTooLarge) || !got.IsZero() {
			t.Fatalf("%s: got %s, %v; want it too large", what, got, err)
		}
		return
	}
	if err != nil || unscaled(got).Cmp(want) != 0 || rounded != wantRounded {
		t.Fatalf("%s: got %s (%v), rounded %v, %v; want %v, %v", what, got, unscaled(got), rounded, err, want, wantRounded)
	}
}

func randomDecimal(r *rand.Rand) Decimal {
	for {
		var d Decimal
		var err error
		switch r.IntN(4) {
		case 0: // a few digits, as prices have
			d, _, err = DecimalFromInt64(int64(r.IntN(1_000_000))).Quo(DecimalFromInt64(int64(math.Pow10(r.IntN(7)))))
		case 1: // near a power of two
			hi, lo := int64(0), uint64(1)<<r.IntN(64)
			if r.IntN(2) == 0 {
				hi, lo = 1<<r.IntN(63), 0
			}
			d, err = DecimalFromWords(hi, lo+uint64(r.IntN(3))-1)
		default:
			d, err = DecimalFromWords(int64(r.Uint64())>>r.IntN(64), r.Uint64()>>r.IntN(64))
		}
		if err != nil {
			continue
		}
		if r.IntN(2) == 0 {
			d = d.Neg()
		}
		return d
	}
}

// TestDecimalAgainstBig compares every operation with math/big.
func TestDecimalAgainstBig(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 60_000 {
		a, b := randomDecimal(r), randomDecimal(r)
		ua, ub := unscaled(a), unscaled(b)
		if a.Cmp(b) != ua.Cmp(ub) || a.Sign() != ua.Sign() || a.IsZero() != (ua.Sign() == 0) || (a == b) != (ua.Cmp(ub) == 0) {
			t.Fatalf("comparing %s and %s", a, b)
		}
		if unscaled(a.Neg()).Cmp(new(big.Int).Neg(ua)) != 0 {
			t.Fatalf("-%s = %s", a, a.Neg())
		}
		want, wantRounded := roundHalfEven(new(big.Int).Mul(ua, ub), unit)
		got, rounded, err := a.Mul(b)
		agree(t, a.String()+"·"+b.String(), got, rounded, err, want, wantRounded)
		if b.IsZero() {
			continue
		}
		want, wantRounded = roundHalfEven(new(big.Int).Mul(ua, unit), ub)
		got, rounded, err = a.Quo(b)
		agree(t, a.String()+"/"+b.String(), got, rounded, err, want, wantRounded)
	}
}

// TestDecimalRoundTrips: text, bytes, words and JSON give the same number back,
// and the text is that of math/big.
func TestDecimalRoundTrips(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 40_000 {
		d := randomDecimal(r)
		text := d.String()
		rat := new(big.Rat).SetFrac(unscaled(d), unit)
		decimals, _ := rat.FloatPrec()
		if want := rat.FloatString(decimals); text != want {
			t.Fatalf("printed %s, want %s", text, want)
		}
		if parse(t, text) != d {
			t.Fatalf("%s is read as %s", text, parse(t, text))
		}
		if back, err := DecimalFromBytes(d.Bytes()); err != nil || back != d {
			t.Fatalf("%s from bytes: %s, %v", d, back, err)
		}
		if back, err := DecimalFromWords(d.Words()); err != nil || back != d {
			t.Fatalf("%s from words: %s, %v", d, back, err)
		}
		data, err := json.Marshal(d)
		var back Decimal
		if err != nil || string(data) != `"`+text+`"` || json.Unmarshal(data, &back) != nil || back != d {
			t.Fatalf("%s as JSON: %s, %v, back %s", d, data, err, back)
		}
	}
}

func TestDecimalLimits(t *testing.T) {
	most := parse(t, largest)
	if _, _, err := most.Mul(DecimalFromInt64(2)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("twice the largest: %v", err)
	}
	if d, rounded, err := most.Mul(DecimalFromInt64(-1)); err != nil || rounded || d != most.Neg() {
		t.Errorf("minus the largest: %s, %v, %v", d, rounded, err)
	}
	if _, _, err := most.Quo(parse(t, smallestText)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("the largest by the smallest: %v", err)
	}
	if _, _, err := most.Quo(Decimal{}); !errors.Is(err, ErrDivisionByZero) {
		t.Errorf("by zero: %v", err)
	}
	if d, rounded, err := DecimalFromInt64(1).Quo(DecimalFromInt64(3)); err != nil || !rounded || d.String() != "0.333333333333333333" {
		t.Errorf("1/3: %s, %v, %v", d, rounded, err)
	}
	limitBytes := [16]byte{}
	limit.FillBytes(limitBytes[:])
	for _, b := range [][16]byte{limitBytes, {0x80}, {0x7f}} {
		if _, err := DecimalFromBytes(b); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%x: %v", b, err)
		}
	}
	if _, err := DecimalFromWords(math.MinInt64, 0); !errors.Is(err, ErrTooLarge) {
		t.Errorf("the smallest word: %v", err)
	}
	for _, n := range []int64{0, 1, -1, math.MaxInt64, math.MinInt64} {
		if got, want := DecimalFromInt64(n).String(), big.NewInt(n).String(); got != want {
			t.Errorf("%d is %s", n, got)
		}
	}
}

func TestDecimalJSON(t *testing.T) {
	f := func(data, want string) {
		t.Helper()
		var n NullDecimal
		err := json.Unmarshal([]byte(data), &n)
		if want == "" {
			if err == nil {
				t.Errorf("%s is read as %s", data, n)
			}
			return
		}
		back, _ := json.Marshal(n)
		if err != nil || string(back) != want {
			t.Errorf("%s: got %s, %v; want %s", data, back, err, want)
		}
	}
	f(`null`, `null`)
	f(`"1.50"`, `"1.5"`)
	f(`1.50`, `"1.5"`)
	f(`0`, `"0"`)
	f(`-1e-2`, `"-0.01"`)
	f(`""`, "")
	f(`"x"`, "")
	f(`true`, "")
	f(`{}`, "")
	f(`0.0000000000000000001`, "") // would be rounded in silence
	f(`1e20`, "")
	if got := (NullDecimal{}).String(); got != "null" {
		t.Errorf("a null prints as %q", got)
	}
}

func TestDecimalDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 64)
	a, b := parse(t, "73380.6"), parse(t, "1.000000000000000001")
	if n := testing.AllocsPerRun(100, func() {
		d, _, _ := ParseDecimal("73380.123456789012345678")
		d, _, _ = d.Mul(b)
		d, _, _ = d.Quo(a)
		buf = d.Append(buf[:0])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParseDecimal(f *testing.F) {
	for _, seed := range []string{"0", "-1.5", "1e-19", largest, "1e20", "+0.0000000000000000005", "1e", "00", "9.9e99999999999", "0e10000000000000000000"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, rounded, err := ParseDecimal(text)
		if err != nil {
			return
		}
		if back, again, err := ParseDecimal(d.String()); err != nil || again || back != d {
			t.Fatalf("%q is %s, which is read as %s, %v", text, d, back, err)
		}
		_, exponent, _ := strings.Cut(strings.ToLower(text), "e")
		if len(text) > 200 || len(exponent) > 4 {
			return // math/big writes the zeros out, or refuses
		}
		rat, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("%q is no number for math/big", text)
		}
		want, wantRounded := roundHalfEven(new(big.Int).Mul(rat.Num(), unit), rat.Denom())
		agree(t, text, d, rounded, nil, want, wantRounded)
	})
}

func BenchmarkParseDecimal(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _, _ = ParseDecimal("73380.61234567")
	}
}

func BenchmarkAppendDecimal(b *testing.B) {
	d, _, _ := ParseDecimal("73380.61234567")
	buf := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		buf = d.Append(buf[:0])
	}
}
