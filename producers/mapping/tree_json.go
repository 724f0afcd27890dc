package mapping

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// parseJSON parses a JSON text (RFC 8259) strictly: the whole of it, numbers as
// they are written, nothing after the value. It refuses what the standard
// decoder lets pass silently: a name twice in one object, which would make one
// of two values vanish (I7), half of a surrogate pair, and nesting or size
// beyond the bounds of a tree.
func parseJSON(text []byte) (any, error) {
	p := &jsonParser{text: text}
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	p.space()
	if p.at < len(p.text) {
		return nil, p.fail("something follows the JSON value")
	}
	return v, nil
}

type jsonParser struct {
	text   []byte
	at     int
	values int
}

func (p *jsonParser) fail(message string) error {
	if p.at >= len(p.text) {
		return fmt.Errorf("not JSON: the body ends early, after byte %d", p.at)
	}
	return fmt.Errorf("not JSON: %s at byte %d", message, p.at)
}

func (p *jsonParser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// next skips blanks and returns the next byte without taking it, 0 at the end.
func (p *jsonParser) next() byte {
	p.space()
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *jsonParser) value(depth int) (any, error) {
	if p.values++; p.values > maxTreeValues {
		return nil, fmt.Errorf("the body has more than %d values", maxTreeValues)
	}
	if depth > maxTreeDepth {
		return nil, fmt.Errorf("the body is nested deeper than %d", maxTreeDepth)
	}
	switch c := p.next(); c {
	case '{':
		return p.object(depth)
	case '[':
		return p.array(depth)
	case '"':
		return p.string()
	case 't':
		return true, p.word("true")
	case 'f':
		return false, p.word("false")
	case 'n':
		return nil, p.word("null")
	default:
		if c == '-' || c >= '0' && c <= '9' {
			return p.number()
		}
		return nil, p.fail("expected a value")
	}
}

func (p *jsonParser) word(w string) error {
	if len(p.text)-p.at < len(w) {
		p.at = len(p.text)
		return p.fail("")
	}
	if string(p.text[p.at:p.at+len(w)]) != w {
		return p.fail("expected " + w)
	}
	p.at += len(w)
	return nil
}

func (p *jsonParser) object(depth int) (any, error) {
	p.at++
	object := make(map[string]any, 8)
	if p.next() == '}' {
		p.at++
		return object, nil
	}
	for {
		if p.next() != '"' {
			return nil, p.fail("expected a name in quotes")
		}
		name, err := p.string()
		if err != nil {
			return nil, err
		}
		if p.next() != ':' {
			return nil, p.fail("expected a colon")
		}
		p.at++
		if _, twice := object[name]; twice {
			return nil, fmt.Errorf("the name %s stands twice in one object, near byte %d", strconv.Quote(cut(name, 60)), p.at)
		}
		if object[name], err = p.value(depth + 1); err != nil {
			return nil, err
		}
		switch p.next() {
		case ',':
			p.at++
		case '}':
			p.at++
			return object, nil
		default:
			return nil, p.fail("expected a comma or }")
		}
	}
}

func (p *jsonParser) array(depth int) (any, error) {
	p.at++
	list := []any{}
	if p.next() == ']' {
		p.at++
		return list, nil
	}
	for {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		switch p.next() {
		case ',':
			p.at++
		case ']':
			p.at++
			return list, nil
		default:
			return nil, p.fail("expected a comma or ]")
		}
	}
}

// string takes a string without escapes in one piece; the body is known to be
// UTF-8.
func (p *jsonParser) string() (string, error) {
	p.at++
	start := p.at
	if p.at += plainBytes(p.text[p.at:]); p.at == len(p.text) {
		return "", p.fail("")
	}
	switch p.text[p.at] {
	case '"':
		p.at++
		return string(p.text[start : p.at-1]), nil
	case '\\':
		return p.escaped(start)
	}
	return "", p.fail("control character in a text")
}

// plainBytes is how many bytes at the beginning of b stand for themselves in a JSON
// text: up to the first quote, backslash or control character. It looks at eight at
// a time, since a broken answer may be one long text (Warren, Hacker's Delight, 6-1:
// a borrow makes a mark wrong only behind the first one).
func plainBytes(b []byte) int {
	const ones, marks = 0x0101010101010101, 0x8080808080808080
	n := 0
	for ; n+8 <= len(b); n += 8 {
		w := binary.LittleEndian.Uint64(b[n:])
		quote, backslash := w^ones*'"', w^ones*'\\'
		if found := ((quote-ones)&^quote | (backslash-ones)&^backslash | (w-ones*' ')&^w) & marks; found != 0 {
			return n + bits.TrailingZeros64(found)/8
		}
	}
	for ; n < len(b); n++ {
		if c := b[n]; c == '"' || c == '\\' || c < ' ' {
			break
		}
	}
	return n
}

func (p *jsonParser) escaped(start int) (string, error) {
	out := append([]byte(nil), p.text[start:p.at]...)
	for p.at < len(p.text) {
		c := p.text[p.at]
		switch {
		case c == '"':
			p.at++
			return string(out), nil
		case c < ' ':
			return "", p.fail("control character in a text")
		case c != '\\':
			out = append(out, c)
			p.at++
		default:
			var err error
			if out, err = p.escape(out); err != nil {
				return "", err
			}
		}
	}
	return "", p.fail("")
}

func (p *jsonParser) escape(out []byte) ([]byte, error) {
	if p.at++; p.at >= len(p.text) {
		return nil, p.fail("")
	}
	const letters, bytes = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	c := p.text[p.at]
	for i := range len(letters) {
		if letters[i] == c {
			p.at++
			return append(out, bytes[i]), nil
		}
	}
	if c != 'u' {
		return nil, p.fail("unknown escape")
	}
	r, err := p.hex()
	if err != nil {
		return nil, err
	}
	if utf16.IsSurrogate(r) {
		if p.at+1 >= len(p.text) {
			p.at = len(p.text)
			return nil, p.fail("")
		}
		low := rune(0)
		if p.text[p.at] == '\\' && p.text[p.at+1] == 'u' {
			p.at++
			if low, err = p.hex(); err != nil {
				return nil, err
			}
		}
		if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
			return nil, p.fail("half of a surrogate pair")
		}
	}
	return utf8.AppendRune(out, r), nil
}

// hex takes uXXXX.
func (p *jsonParser) hex() (rune, error) {
	if len(p.text)-p.at < 5 {
		p.at = len(p.text)
		return 0, p.fail("")
	}
	n, err := strconv.ParseUint(string(p.text[p.at+1:p.at+5]), 16, 16)
	if err != nil {
		return 0, p.fail("expected four hexadecimal digits")
	}
	p.at += 5
	return rune(n), nil
}

func (p *jsonParser) number() (any, error) {
	start := p.at
	if p.text[p.at] == '-' {
		p.at++
	}
	if p.at < len(p.text) && p.text[p.at] == '0' {
		p.at++
	} else if !p.digits() {
		return nil, p.fail("expected a digit")
	}
	if p.at < len(p.text) && p.text[p.at] == '.' {
		p.at++
		if !p.digits() {
			return nil, p.fail("expected a digit")
		}
	}
	if p.at < len(p.text) && (p.text[p.at] == 'e' || p.text[p.at] == 'E') {
		p.at++
		if p.at < len(p.text) && (p.text[p.at] == '+' || p.text[p.at] == '-') {
			p.at++
		}
		if !p.digits() {
			return nil, p.fail("expected a digit")
		}
	}
	return json.Number(p.text[start:p.at]), nil
}

func (p *jsonParser) digits() bool {
	start := p.at
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		p.at++
	}
	return p.at > start
}
