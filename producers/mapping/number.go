package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/pricelake/pricelake/schemas"
)

// numberReader reads decimal numbers out of tree values.
type numberReader struct {
	decimal byte
	group   string // "": none; " " stands for every kind of space
	absent  []string
	zero    bool // 0 means missing
}

// rejection is why a row is no price.
type rejection struct {
	reason schemas.RejectReason
	detail string
}

func (r *rejection) Error() string { return r.detail }

func reject(reason schemas.RejectReason, format string, args ...any) *rejection {
	return &rejection{reason: reason, detail: fmt.Sprintf(format, args...)}
}

// isAbsent reports whether the value means that there is none.
func (n *numberReader) isAbsent(v any) bool {
	if v == nil {
		return true
	}
	s, ok := v.(string)
	return ok && slices.Contains(n.absent, strings.TrimSpace(s))
}

// read returns the number a value holds; ok is false when it means missing.
// name is the field's, for the rejection.
func (n *numberReader) read(name string, v any) (d schemas.Decimal, rounded, ok bool, err error) {
	if n.isAbsent(v) {
		return d, false, false, nil
	}
	text, err := n.text(name, v)
	if err != nil {
		return d, false, false, err
	}
	d, rounded, err = schemas.ParseDecimal(text)
	switch {
	case errors.Is(err, schemas.ErrTooLarge):
		return d, false, false, reject(schemas.RejectTooLarge, "%s: %s has more than 20 integer digits", name, cut(text, 60))
	case err != nil:
		return d, false, false, reject(schemas.RejectBadNumber, "%s: %s is no decimal number", name, strconv.Quote(cut(text, 60)))
	}
	if n.zero && d.IsZero() && !rounded {
		return d, false, false, nil
	}
	return d, rounded, true, nil
}

// text returns the number's text with a point for decimals and no groups.
func (n *numberReader) text(name string, v any) (string, error) {
	switch v := v.(type) {
	case json.Number:
		return string(v), nil
	case string:
		return n.plain(strings.TrimSpace(v)), nil
	case int:
		return strconv.Itoa(v), nil
	case *big.Int:
		return v.String(), nil
	case float64:
		return "", reject(schemas.RejectFloat, "%s: the path computed a floating-point number; use lot, factor or inverse", name)
	}
	return "", reject(schemas.RejectBadNumber, "%s: %s is no number", name, typeName(v))
}

// plain rewrites a number in the mapping's style. What is not in that style is
// returned as something that is no number, never as another number.
func (n *numberReader) plain(text string) string {
	if n.decimal == '.' && n.group == "" {
		return text
	}
	const notANumber = "?"
	if n.group == " " {
		text = strings.NewReplacer("\u00a0", " ", "\u202f", " ", "\u2009", " ").Replace(text)
	}
	whole, fraction, found := strings.Cut(text, string(n.decimal))
	if n.decimal != '.' && strings.ContainsRune(fraction, '.') || n.decimal != '.' && n.group != "." && strings.ContainsRune(whole, '.') {
		return notANumber + text
	}
	if n.group != "" {
		groups := strings.Split(whole, n.group)
		for i, g := range groups {
			if i > 0 && len(g) != 3 || i == 0 && len(groups) > 1 && len(strings.TrimLeft(g, "+-")) > 3 {
				return notANumber + text
			}
		}
		whole = strings.Join(groups, "")
	}
	if !found {
		return whole
	}
	return whole + "." + fraction
}

// scale is what is done to price, bid and ask after they are read.
type scale struct {
	factor  schemas.Decimal // the mapping's
	lot     schemas.Decimal
	symbol  schemas.Decimal // the instrument's minor-unit factor
	inverse bool
}

// apply returns value × symbol factor × factor ÷ lot, and one divided by that
// when the mapping inverts.
func (s *scale) apply(name string, d schemas.Decimal) (out schemas.Decimal, rounded bool, err error) {
	one := schemas.DecimalFromInt64(1)
	steps := []struct {
		divide bool
		by     schemas.Decimal
	}{{false, s.symbol}, {false, s.factor}, {true, s.lot}}
	for _, st := range steps {
		if st.by == one {
			continue
		}
		var r bool
		if st.divide {
			d, r, err = d.Quo(st.by)
		} else {
			d, r, err = d.Mul(st.by)
		}
		if err != nil {
			return d, false, scaleRejection(name, err)
		}
		rounded = rounded || r
	}
	if s.inverse {
		var r bool
		if d.IsZero() {
			return d, false, reject(schemas.RejectBadNumber, "%s: zero has no inverse", name)
		}
		if d, r, err = one.Quo(d); err != nil {
			return d, false, scaleRejection(name, err)
		}
		rounded = rounded || r
	}
	return d, rounded, nil
}

func scaleRejection(name string, err error) *rejection {
	if errors.Is(err, schemas.ErrTooLarge) {
		return reject(schemas.RejectTooLarge, "%s: the scaled value has more than 20 integer digits", name)
	}
	return reject(schemas.RejectBadNumber, "%s: scaling: %v", name, err)
}
