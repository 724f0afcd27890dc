package bench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
)

// unknownSchema is an id that no registry gives so soon.
const unknownSchema = 1_000_000_007

// foreignSchema has the name of a record of ours and fields that cannot be read as
// ours.
const foreignSchema = `{"type":"record","name":"%s","namespace":"pricelake.v1","fields":[` +
	`{"name":"event_id","type":"string"},{"name":"response_id","type":"string"},{"name":"price","type":"string"}]}`

// foreign returns bytes written with a schema that the registry has and that
// cannot be read as that of a record of ours.
func (s *Servers) foreign(ctx context.Context, record string) ([]byte, error) {
	client, err := avro.NewClient(s.Registry)
	if err != nil {
		return nil, err
	}
	id, err := client.Register(ctx, "bench-foreign-value", fmt.Sprintf(foreignSchema, record))
	if err != nil {
		return nil, err
	}
	wire := []byte{0, byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)}
	for _, text := range []string{"one", "two", "12.5"} {
		wire = append(append(wire, byte(2*len(text))), text...)
	}
	return wire, nil
}

// spoiled makes a bad record of the wire format of a good one, for the classes that
// every role knows; ok is false for the others.
func (p *poisonRun) spoiled(good, foreign []byte) (value []byte, ok bool) {
	switch p.kind(p.made - 1).name {
	case "bytes":
		return []byte("this is no record"), true
	case "cut":
		return good[:len(good)/2], true
	case "schema":
		bad := append([]byte(nil), good...)
		bad[1], bad[2], bad[3], bad[4] = unknownSchema>>24&0xff, unknownSchema>>16&0xff, unknownSchema>>8&0xff, unknownSchema&0xff
		return bad, true
	case "type":
		return foreign, true
	}
	return nil, false
}

// badPrice changes a price so that it is one of the class.
func (p *poisonRun) badPrice(price *schemas.Price) {
	switch p.kind(p.made - 1).name {
	case "nameless":
		price.EventID = schemas.ID{}
	case "empty":
		price.Price, price.Bid, price.Ask = schemas.NullDecimal{}, schemas.NullDecimal{}, schemas.NullDecimal{}
	case "year":
		price.EventTime = time.Date(1066, time.October, 14, 9, 0, 0, 0, time.UTC)
	case "refused":
		price.Price = schemas.NullDecimal{Decimal: price.Price.Decimal.Neg(), Valid: true}
		if price.Price.Decimal.Sign() >= 0 {
			minus, _, _ := schemas.ParseDecimal("-1") // is a number
			price.Price.Decimal = minus
		}
	}
}

// prices fills a topic of prices with good ones and bad ones.
func (p *poisonRun) prices(ctx context.Context, topic string) error {
	foreign, err := p.servers.foreign(ctx, "Price")
	if err != nil {
		return err
	}
	w, err := newPriceWriter(ctx, p.servers, topic)
	if err != nil {
		return err
	}
	defer w.close()
	m := newMarket(marketStart())
	var price schemas.Price
	for good := int64(0); good < p.Rows; {
		next, err := p.turn(ctx, good, fillBatch)
		if err != nil {
			return err
		}
		for range next {
			m.next(&price)
			if err := w.add(&price); err != nil {
				return err
			}
			good++
			for p.due(good) {
				if err := p.badOne(w, price, foreign); err != nil {
					return err
				}
			}
		}
		p.sends(good)
		if _, err := w.publish(ctx); err != nil {
			return fmt.Errorf("filling the topic: %w", err)
		}
	}
	if p.made != p.bad {
		return fmt.Errorf("%d bad records of %d were made", p.made, p.bad)
	}
	return nil
}

// badOne adds a bad record under the key of the good one before it.
func (p *poisonRun) badOne(w *priceWriter, price schemas.Price, foreign []byte) error {
	wire, err := w.codec.Append(nil, &price)
	if err != nil {
		return err
	}
	if value, ok := p.spoiled(wire, foreign); ok {
		w.addBytes([]byte(price.Instrument), value)
		return nil
	}
	p.badPrice(&price)
	return w.add(&price)
}

// badAnswer makes a bad answer of a good one.
func (p *poisonRun) badAnswer(resp *schemas.ResponseReceived) {
	swap := func(price string) {
		text := string(resp.Body)
		_, rest, _ := strings.Cut(text, `"price":"`)
		_, rest, _ = strings.Cut(rest, `"`)
		head, _, _ := strings.Cut(text, `"price":"`)
		resp.Body = []byte(head + `"price":` + price + rest)
	}
	switch p.kind(p.made - 1).name {
	case "call":
		resp.CallVersion = "bench-v0"
	case "html":
		resp.Body = []byte("<html><body>we are back soon</body></html>")
	case "oversize":
		resp.Body = []byte(`{"price":"1","note":"` + strings.Repeat("x", 32<<10))
	case "number":
		swap(`"about 12"`)
	case "object":
		swap(`{"amount":"12"}`)
	case "large":
		swap(`"` + strings.Repeat("9", 40) + `"`)
	}
}

// answers fills the topic of answers with good ones, of one price each, and bad
// ones.
func (p *poisonRun) answers(ctx context.Context, out *publisher, a answers) error {
	foreign, err := p.servers.foreign(ctx, "ResponseReceived")
	if err != nil {
		return err
	}
	for good := int64(0); good < p.Rows; {
		next, err := p.turn(ctx, good, answerBatch)
		if err != nil {
			return err
		}
		var records []stream.Record
		for range next {
			r, err := out.response(a, good)
			if err != nil {
				return err
			}
			records = append(records, r)
			good++
			for p.due(good) {
				bad, err := p.badResponse(out, a, good, r, foreign)
				if err != nil {
					return err
				}
				records = append(records, bad)
			}
		}
		p.sends(good)
		if err := out.producer.Publish(ctx, records...); err != nil {
			return fmt.Errorf("publishing answers: %w", err)
		}
	}
	if p.made != p.bad {
		return fmt.Errorf("%d bad records of %d were made", p.made, p.bad)
	}
	return nil
}

// badResponse makes a bad record under the key of the good one before it.
func (p *poisonRun) badResponse(out *publisher, a answers, n int64, good stream.Record, foreign []byte) (stream.Record, error) {
	if value, ok := p.spoiled(good.Value, foreign); ok {
		good.Value = value
		return good, nil
	}
	resp := a.response(p.Rows + n) // another poll than any good one's
	p.badAnswer(&resp)
	value, err := out.responses.Append(nil, &resp)
	return stream.Record{Topic: schemas.TopicResponses, Partition: stream.AnyPartition, Key: []byte(resp.CallID), Value: value}, err
}
