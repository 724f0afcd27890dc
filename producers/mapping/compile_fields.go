package mapping

import (
	"fmt"
	"slices"

	"github.com/pricelake/pricelake/schemas"
)

func (c *compiler) words() {
	p := c.p
	if c.m.Kind.isZero() {
		c.problem("the kind is missing", "write ticker, quote, trade, fixing or index", "kind")
	}
	p.kind = compileChoice(c, c.m.Kind, "kind", parseKind)
	p.rated = !c.m.RateType.isZero()
	p.rateType = compileChoice(c, c.m.RateType, "rate_type", parseRateType)
	p.session = compileChoice(c, c.m.Session, "session", func(s string) (string, error) {
		if len(s) > 32 {
			return "", fmt.Errorf("the session %q is longer than 32 characters", cut(s, 60))
		}
		return s, nil
	})
}

func parseKind(s string) (schemas.Kind, error) {
	k, err := schemas.ParseKind(s)
	if err != nil || k == schemas.KindUnknown {
		return k, fmt.Errorf("unknown kind %q: write ticker, quote, trade, fixing or index", cut(s, 60))
	}
	return k, nil
}

func parseRateType(s string) (schemas.RateType, error) {
	r, err := schemas.ParseRateType(s)
	if err != nil {
		return r, fmt.Errorf("unknown rate type %q: write last, mid, official, buy, sell, close, settlement, index or none", cut(s, 60))
	}
	return r, nil
}

func compileChoice[T any](c *compiler, in Choice, key string, parse func(string) (T, error)) choice[T] {
	out := choice[T]{values: in.Values, parse: parse}
	switch {
	case in.Value != "" && in.Path != "":
		c.problem("value and path are both set", "keep one of them", key)
	case in.Path != "":
		out.path = c.expr(in.Path, key, "path")
	case in.Value != "":
		var err error
		if out.value, err = parse(in.Value); err != nil {
			c.problem(err.Error(), "", key)
		}
	}
	for from, to := range in.Values {
		if _, err := parse(to); err != nil {
			c.problem(err.Error(), "", key, "values", from)
		}
	}
	return out
}

func (c *compiler) numbers() {
	m, n := c.m, &c.p.numbers
	n.decimal, n.absent = '.', []string{"", ".", "-", "N/A", "NA", "N/D", "N/E", "null"}
	if m.Number != nil {
		switch m.Number.Decimal {
		case "", ".":
		case ",":
			n.decimal = ','
		default:
			c.problem(fmt.Sprintf("unknown decimal separator %q", m.Number.Decimal), `write "." or ","`, "number", "decimal")
		}
		n.group = m.Number.Group
		if !slices.Contains([]string{"", ",", ".", "'", " "}, n.group) || n.group == string(n.decimal) {
			c.problem(fmt.Sprintf("%q cannot separate thousands here", n.group), `write one of "," "." "'" and " " that is not the decimal separator`, "number", "group")
		}
	}
	if m.Absent != nil {
		n.zero = m.Absent.Zero
		if m.Absent.Values != nil {
			n.absent = m.Absent.Values
		}
	}
	if m.Factor != nil {
		c.p.factor = *m.Factor
		if m.Factor.IsZero() {
			c.problem("the factor is zero", "leave it out or write the number to multiply by", "factor")
		}
	}
}

func (c *compiler) time(t *Time, key string, dated bool) *timeReader {
	if t == nil {
		return nil
	}
	if t.Path == "" {
		c.problem("the path is missing", "write path: .time", key)
		return nil
	}
	path := c.expr(t.Path, key, "path")
	r, err := compileTime(t, dated)
	if err != nil {
		c.problem(err.Error(), "", key)
		return nil
	}
	r.path = path
	return r
}
