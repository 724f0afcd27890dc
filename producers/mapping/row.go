package mapping

import (
	"strconv"
	"strings"
	"time"

	"github.com/pricelake/pricelake/schemas"
)

// row reads the current row into a price, a rejection or an absence.
func (r *reader) row() {
	p := r.p
	symbol, rej := r.rowSymbol()
	if rej != nil {
		r.reject(r.onlyEntry(), "", rej)
		return
	}
	price := schemas.Price{Provider: p.provider, CallID: p.callID, CallVersion: p.version}
	rej = r.times(&price)
	entry := p.symbols.find(symbol, r.day(&price))
	if entry == nil {
		r.unknown(symbol)
		return
	}
	r.tally.last[entry.name] = entry.number + 1
	if rej == nil {
		if message, failed := r.firstError(p.rowErrors); failed {
			rej = &rejection{reason: schemas.RejectErrorAnswer, detail: message}
		}
	}
	if rej == nil {
		rej = r.words(&price)
	}
	found := false
	if rej == nil {
		found, rej = r.values(&price, entry)
	}
	switch {
	case rej != nil:
		r.reject(entry, symbol, rej)
	case !found:
		r.tally.empty[entry.name] = true
	default:
		price.Instrument, price.Base, price.Quote = entry.Instrument, entry.Base, entry.Quote
		r.tally.prices[entry.name]++
		r.prices = append(r.prices, price)
	}
}

// unknown handles a row whose symbol the call does not list on that day.
func (r *reader) unknown(symbol string) {
	switch {
	case r.p.ignoreUnlisted:
	case r.p.rejectUnlisted:
		r.unlisted++
		r.reject(nil, symbol, reject(schemas.RejectUnknownSymbol, "the call does not list the symbol %s", strconv.Quote(cut(symbol, 60))))
	default:
		r.unlisted++
	}
}

func (r *reader) onlyEntry() *symbolEntry {
	if len(r.p.symbols.entries) == 1 {
		return &r.p.symbols.entries[0]
	}
	return nil
}

func (r *reader) rowSymbol() (string, *rejection) {
	if r.p.symbol == nil {
		return r.p.symbols.names[0], nil
	}
	v, _, err := r.p.symbol.one(&r.scope)
	if err != nil {
		return "", reject(schemas.RejectUnparsable, "symbol: %v", err)
	}
	symbol := strings.TrimSpace(plainText(v))
	if symbol == "" {
		return "", reject(schemas.RejectUnparsable, "the row has no symbol")
	}
	return symbol, nil
}

// day is the day whose symbols count for a row.
func (r *reader) day(price *schemas.Price) schemas.Date {
	if price.ValueDate != nil {
		return *price.ValueDate
	}
	return dateOf(price.EventTime)
}

// times fills the times of the row. Also after a rejection EventTime is set.
func (r *reader) times(price *schemas.Price) *rejection {
	p := r.p
	price.EventTime, price.EventTimeKind = r.resp.FetchedAt.UTC().Truncate(time.Microsecond), schemas.TimeFetched
	if p.valueDate != nil {
		v, _, err := p.valueDate.path.one(&r.scope)
		if err != nil {
			return reject(schemas.RejectBadTime, "value_date: %v", err)
		}
		d, ok, err := p.valueDate.date("value_date", v, &p.numbers)
		if err != nil {
			return asRejection(err)
		}
		if ok {
			price.ValueDate = &d
			price.EventTime, price.EventTimeKind = d.Time(), schemas.TimeValueDate
		}
	}
	if t, ok, rej := r.instant(p.publishedAt, "published_at", price); rej != nil {
		return rej
	} else if ok {
		price.PublishedAt = &t
	}
	t, ok, rej := r.instant(p.eventTime, "event_time", price)
	if rej != nil {
		return rej
	}
	if ok {
		price.EventTime, price.EventTimeKind = t, p.eventTime.kind
		if price.EventTimeKind == schemas.TimePublish && price.PublishedAt == nil {
			price.PublishedAt = &t
		}
	}
	return nil
}

func (r *reader) instant(reader *timeReader, name string, price *schemas.Price) (t time.Time, ok bool, rej *rejection) {
	if reader == nil {
		return t, false, nil
	}
	v, _, err := reader.path.one(&r.scope)
	if err != nil {
		return t, false, reject(schemas.RejectBadTime, "%s: %v", name, err)
	}
	t, truncated, ok, err := reader.instant(name, v, &r.p.numbers)
	if err != nil {
		return t, false, asRejection(err)
	}
	if truncated {
		price.Quality |= schemas.QualityTimeTruncated
	}
	return t, ok, nil
}

// words fills kind, rate type, session and trade id.
func (r *reader) words(price *schemas.Price) (rej *rejection) {
	p := r.p
	if price.Kind, rej = chosen(r, &p.kind, "kind"); rej != nil {
		return rej
	}
	if price.RateType, rej = chosen(r, &p.rateType, "rate_type"); rej != nil {
		return rej
	}
	if !p.rated {
		price.RateType = usualRate(price.Kind)
	}
	if price.Session, rej = chosen(r, &p.session, "session"); rej != nil {
		return rej
	}
	if p.tradeID != nil {
		v, _, err := p.tradeID.one(&r.scope)
		if err != nil {
			return reject(schemas.RejectUnparsable, "trade_id: %v", err)
		}
		price.TradeID = plainText(v)
		if n := len(price.TradeID); n > maxTradeID {
			return reject(schemas.RejectUnparsable, "trade_id: %s… has %d bytes, at most %d are an id", cut(price.TradeID, 60), n, maxTradeID)
		}
	}
	return nil
}

// usualRate is what a price of a kind is when the mapping does not say.
func usualRate(k schemas.Kind) schemas.RateType {
	switch k {
	case schemas.KindTicker, schemas.KindTrade:
		return schemas.RateLast
	case schemas.KindFixing:
		return schemas.RateOfficial
	case schemas.KindIndex:
		return schemas.RateIndex
	}
	return schemas.RateNone
}

func chosen[T any](r *reader, c *choice[T], name string) (T, *rejection) {
	if c.path == nil {
		return c.value, nil
	}
	var none T
	v, _, err := c.path.one(&r.scope)
	if err != nil {
		return none, reject(schemas.RejectUnparsable, "%s: %v", name, err)
	}
	text := plainText(v)
	if c.values != nil {
		translated, ok := c.values[text]
		if !ok {
			return none, reject(schemas.RejectUnparsable, "%s: %s is not among the mapping's values", name, strconv.Quote(cut(text, 60)))
		}
		text = translated
	}
	out, err := c.parse(text)
	if err != nil {
		return none, reject(schemas.RejectUnparsable, "%s: %v", name, err)
	}
	return out, nil
}
