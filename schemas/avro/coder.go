package avro

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pricelake/pricelake/schemas"
)

// coder writes or reads one Avro body. A record's fields are listed once, as
// calls of its methods in the schema's order; each either appends the value to
// data or fills it from data. The first error stays and makes the rest no-ops.
type coder struct {
	data    []byte
	at      int // reading: position in data
	reading bool
	// counting: a pass over the elements of a list that makes nothing, so that
	// the list can be allocated once, whatever its blocks claim.
	counting bool
	shared   string // reading: all of data, which the texts of a small record share
	err      error
}

// shareLimit is the size of a body up to which its texts share one copy of it.
// Above, a text that is kept would keep too much alive.
const shareLimit = 16 << 10

var (
	errShort     = errors.New("it ends too early")
	errTooLong   = errors.New("a length or count is beyond its end")
	errBlockSize = errors.New("the size of a block is not that of its elements")
	errNotBool   = errors.New("a boolean is neither 0 nor 1")
	errNotInt    = errors.New("an integer is out of range")
	errNotEnum   = errors.New("an enumeration has no such symbol")
	errNotUnion  = errors.New("a union has no such branch")
	errTime      = errors.New("a time is outside the years 1 to 9999")
)

// The years 1 to 9999, which every reader of times can print.
const (
	minMicros = -62_135_596_800_000_000
	maxMicros = 253_402_300_799_999_999
	minDate   = -719_162
	maxDate   = 2_932_896
)

func (c *coder) fail(err error) {
	if c.err == nil {
		c.err = err
		if c.reading {
			c.err = fmt.Errorf("at byte %d of %d: %w", c.at, len(c.data), err)
		}
	}
	c.at = len(c.data)
}

func (c *coder) readLong() int64 {
	if c.at < len(c.data) && c.data[c.at] < 0x80 { // one byte, the usual case
		b := c.data[c.at]
		c.at++
		return int64(b>>1) ^ -int64(b&1)
	}
	v, n := binary.Varint(c.data[c.at:])
	switch {
	case n > 0:
		c.at += n
		return v
	case n == 0:
		c.fail(errShort)
	default:
		c.fail(errNotInt)
	}
	return 0
}

// mostInt is how many bytes an integer of 32 bits may be written with. One with more,
// which a writer has filled up with zeros, is refused as other readers refuse it.
const mostInt = binary.MaxVarintLen32

func (c *coder) readInt() int32 {
	from := c.at
	v := c.readLong()
	if v < math.MinInt32 || v > math.MaxInt32 || c.at-from > mostInt && c.err == nil {
		c.fail(errNotInt)
		return 0
	}
	return int32(v)
}

// take returns the next n bytes, nil on an error.
func (c *coder) take(n int64) []byte {
	if n < 0 || n > int64(len(c.data)-c.at) {
		c.fail(errTooLong)
		return nil
	}
	b := c.data[c.at : c.at+int(n)]
	c.at += int(n)
	return b
}

func (c *coder) long(v *int64) {
	if c.reading {
		*v = c.readLong()
		return
	}
	c.data = binary.AppendVarint(c.data, *v)
}

func (c *coder) int(v *int32) {
	if c.reading {
		*v = c.readInt()
		return
	}
	c.data = binary.AppendVarint(c.data, int64(*v))
}

func (c *coder) boolean(v *bool) {
	if c.reading {
		if b := c.take(1); b != nil {
			if b[0] > 1 {
				c.fail(errNotBool)
			}
			*v = b[0] == 1
		}
		return
	}
	b := byte(0)
	if *v {
		b = 1
	}
	c.data = append(c.data, b)
}

// text writes invalid UTF-8 as the replacement character: readers in other
// languages refuse a whole record for it. Bytes that matter are in fields of
// type bytes.
func (c *coder) text(v *string) {
	if c.reading {
		*v = c.readText()
		return
	}
	s := *v
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	c.data = append(binary.AppendVarint(c.data, int64(len(s))), s...)
}

func (c *coder) readText() string {
	b := c.take(c.readLong())
	switch {
	case len(b) == 0 || c.counting:
		return ""
	case len(c.data) > shareLimit:
		return string(b)
	case c.shared == "":
		c.shared = string(c.data)
	}
	return c.shared[c.at-len(b) : c.at]
}

// bytes reads an empty value as nil.
func (c *coder) bytes(v *[]byte) {
	if c.reading {
		*v = nil
		if b := c.take(c.readLong()); len(b) > 0 && !c.counting {
			*v = append([]byte(nil), b...)
		}
		return
	}
	c.data = append(binary.AppendVarint(c.data, int64(len(*v))), *v...)
}

func (c *coder) id(v *schemas.ID) {
	if c.reading {
		copy(v[:], c.take(int64(len(v))))
		return
	}
	c.data = append(c.data, v[:]...)
}

func (c *coder) decimal(v *schemas.Decimal) {
	if c.reading {
		if b := c.take(16); b != nil {
			var err error
			if *v, err = schemas.DecimalFromBytes([16]byte(b)); err != nil {
				c.fail(err)
			}
		}
		return
	}
	b := v.Bytes()
	c.data = append(c.data, b[:]...)
}

// time writes whole microseconds; what is finer is cut off.
func (c *coder) time(v *time.Time) {
	if c.reading {
		micros := c.readLong()
		if micros < minMicros || micros > maxMicros {
			c.fail(errTime)
			return
		}
		*v = time.UnixMicro(micros).UTC()
		return
	}
	if year := v.Unix(); year < minMicros/1_000_000 || year > maxMicros/1_000_000 {
		c.fail(errTime)
		return
	}
	c.data = binary.AppendVarint(c.data, v.UnixMicro())
}

func (c *coder) date(v *schemas.Date) {
	if c.reading {
		*v = schemas.Date(c.readInt())
	}
	if *v < minDate || *v > maxDate {
		c.fail(errTime)
	} else if !c.reading {
		c.data = binary.AppendVarint(c.data, int64(*v))
	}
}

// branch writes or reads the branch of a union of null and one type, and says
// whether it is the type.
func (c *coder) branch(set bool) bool {
	if !c.reading {
		b := byte(0)
		if set {
			b = 2
		}
		c.data = append(c.data, b)
		return set
	}
	switch c.readLong() {
	case 0:
		return false
	case 1:
		return c.err == nil
	default:
		c.fail(errNotUnion)
		return false
	}
}

func (c *coder) nullDecimal(v *schemas.NullDecimal) {
	valid := c.branch(v.Valid)
	if c.reading {
		*v = schemas.NullDecimal{Valid: valid}
	}
	if valid {
		c.decimal(&v.Decimal)
	}
}
