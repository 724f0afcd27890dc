package mapping

import (
	"encoding/json"
	"math/big"
	"strconv"

	"github.com/itchyny/gojq"

	"github.com/pricelake/pricelake/schemas"
)

// values fills price, bid, ask and size; found is false when the row has none
// of price, bid and ask.
func (r *reader) values(price *schemas.Price, entry *symbolEntry) (found bool, rej *rejection) {
	p := r.p
	s := scale{factor: p.factor, lot: schemas.DecimalFromInt64(1), symbol: entry.factor, inverse: p.inverse}
	if p.lot != nil {
		v, _, err := p.lot.one(&r.scope)
		if err != nil {
			return false, reject(schemas.RejectUnparsable, "lot: %v", err)
		}
		lot, _, ok, err := p.numbers.read("lot", v)
		if err != nil {
			return false, asRejection(err)
		}
		if !ok || lot.Sign() <= 0 {
			return false, reject(schemas.RejectBadNumber, "lot: it is missing or not above zero")
		}
		s.lot = lot
	}
	bid, ask := &price.Bid, &price.Ask
	if p.inverse {
		bid, ask = ask, bid
	}
	for _, f := range []struct {
		name string
		path *expr
		to   *schemas.NullDecimal
	}{{"price", p.price, &price.Price}, {"bid", p.bid, bid}, {"ask", p.ask, ask}} {
		if rej = r.value(f.name, f.path, f.to, &s, price); rej != nil {
			return false, rej
		}
	}
	found = price.Price.Valid || price.Bid.Valid || price.Ask.Valid
	if !found {
		return false, nil
	}
	if price.Kind == schemas.KindTrade && !price.Price.Valid {
		return false, reject(schemas.RejectNoValue, "a trade without a price")
	}
	return true, r.value("size", p.size, &price.Size, nil, price)
}

// value reads one number of the row, scaled unless s is nil.
func (r *reader) value(name string, path *expr, to *schemas.NullDecimal, s *scale, price *schemas.Price) *rejection {
	if path == nil {
		return nil
	}
	v, there, err := path.one(&r.scope)
	if err != nil {
		return reject(schemas.RejectUnparsable, "%s: %v", name, err)
	}
	r.mapped = r.mapped || there
	d, rounded, ok, err := r.p.numbers.read(name, v)
	if err != nil {
		return asRejection(err)
	}
	if !ok {
		return nil
	}
	if s != nil {
		var again bool
		if d, again, err = s.apply(name, d); err != nil {
			return asRejection(err)
		}
		rounded = rounded || again
	}
	if rounded {
		price.Quality |= schemas.QualityRounded
	}
	*to = schemas.NullDecimal{Decimal: d, Valid: true}
	return nil
}

func asRejection(err error) *rejection {
	if rej, ok := err.(*rejection); ok { //nolint:errorlint // made here, never wrapped
		return rej
	}
	return &rejection{reason: schemas.RejectUnparsable, detail: err.Error()}
}

// plainText writes a value of the tree as text: texts and numbers as they are,
// others as JSON.
func plainText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return string(v)
	case int:
		return strconv.Itoa(v)
	case *big.Int:
		return v.String()
	case bool:
		if !v {
			return "false"
		}
		return ""
	}
	text, err := gojq.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}
