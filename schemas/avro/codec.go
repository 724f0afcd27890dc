package avro

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	twmb "github.com/twmb/avro"

	"github.com/pricelake/pricelake/schemas"
)

// Codec writes and reads the records of one topic. T is the topic's record.
// It may be used in parallel.
type Codec[T any] struct {
	subject Subject
	client  *Client
	fields  func(*coder, *T)
	reader  *twmb.Schema
	id      atomic.Int64 // of our schema, plus one; 0 before Prepare
	writers sync.Map     // schema id → *writer
	known   atomic.Int32 // entries of writers
}

// writer is how to read what was written with another schema id. A nil resolved
// means that the bytes are the same as with ours.
type writer struct {
	shape      *shape
	resolved   *twmb.Schema
	unreadable error // no record of it can be read
}

// NewCodec returns the codec of a topic. It asks nothing of the registry; an
// error is a topic that does not exist or does not carry T.
func NewCodec[T any](topic string, client *Client) (*Codec[T], error) {
	fields := fieldsOf[T]()
	for _, subject := range Schemas() {
		if subject.Topic != topic {
			continue
		}
		if name := fmt.Sprintf("%T", *new(T)); fields == nil || name != "schemas."+subject.Record {
			return nil, fmt.Errorf("making the codec of topic %q: it carries %s, not %s", topic, subject.Record, name)
		}
		reader, err := parseRaw(subject.Schema)
		if err != nil {
			return nil, fmt.Errorf("making the codec of topic %q: %w", topic, err)
		}
		return &Codec[T]{subject: subject, client: client, fields: fields, reader: reader}, nil
	}
	return nil, fmt.Errorf("making the codec of topic %q: there is no such topic", topic)
}

// fieldsOf returns the field list of a record type, nil for any other.
func fieldsOf[T any]() func(*coder, *T) {
	var fields any
	switch any((*T)(nil)).(type) {
	case *schemas.Price:
		fields = (*coder).price
	case *schemas.PriceRejected:
		fields = (*coder).priceRejected
	case *schemas.ResponseReceived:
		fields = (*coder).responseReceived
	case *schemas.PollRequested:
		fields = (*coder).pollRequested
	case *schemas.PollFinished:
		fields = (*coder).pollFinished
	case *schemas.SlotScheduled:
		fields = (*coder).slotScheduled
	case *schemas.InstrumentDefined:
		fields = (*coder).instrumentDefined
	case *schemas.CallDefined:
		fields = (*coder).callDefined
	case *schemas.DeadLetter:
		fields = (*coder).deadLetter
	case *schemas.DeadLetterMarked:
		fields = (*coder).deadLetterMarked
	case *schemas.RoleSwitched:
		fields = (*coder).roleSwitched
	}
	list, _ := fields.(func(*coder, *T))
	return list
}

// Prepare asks the registry for the id of our schema, which Append needs. An
// error is ErrNotFound (the schema is not registered) or ErrUnavailable.
func (c *Codec[T]) Prepare(ctx context.Context) error {
	id, err := c.client.Lookup(ctx, c.subject.Name, c.subject.Schema)
	switch {
	case errors.Is(err, ErrNotFound):
		return fmt.Errorf("preparing to write %s: run `pricelake schemas register` first: %w", c.subject.Topic, err)
	case err != nil:
		return fmt.Errorf("preparing to write %s: %w", c.subject.Topic, err)
	}
	c.id.Store(int64(id) + 1)
	return nil
}

// Append appends the record in wire format to dst. It refuses, with dst as it
// was, values that the schema cannot carry: an enumeration without symbol, a
// time outside the years 1 to 9999. Times are cut to microseconds, invalid
// UTF-8 in texts is replaced.
func (c *Codec[T]) Append(dst []byte, v *T) ([]byte, error) {
	id := c.id.Load()
	if id == 0 {
		return dst, fmt.Errorf("writing %s: the codec is not prepared", c.subject.Topic)
	}
	w := coder{data: appendHeader(dst, uint32(id-1))}
	if c.fields(&w, v); w.err != nil {
		return dst, fmt.Errorf("writing %s: %w", c.subject.Topic, w.err)
	}
	return w.data, nil
}

// Decode reads a record in wire format into v, every field of it, whichever
// version of the schema wrote it. v keeps nothing of wire. Errors:
// ErrBadRecord, which is ErrUnreadable too where no record of the writer's schema
// can be read; ErrNoSchema (the registry does not have the writer's schema),
// ErrNotFound (nor ours), ErrUnavailable (the registry cannot say now; ask again). It allocates at most
// 16 times the input and 1 MiB; for a record of another version 64 times.
func (c *Codec[T]) Decode(ctx context.Context, wire []byte, v *T) error {
	id, body, err := splitWire(wire)
	if err == nil && int64(id)+1 != c.id.Load() {
		body, err = c.resolve(ctx, id, body)
	}
	if err == nil {
		err = c.decodeBody(body, v)
	}
	if err != nil {
		return fmt.Errorf("reading a record of %s: %w", c.subject.Topic, err)
	}
	return nil
}

func (c *Codec[T]) decodeBody(body []byte, v *T) error {
	r := coder{data: body, reading: true}
	if c.fields(&r, v); r.err != nil {
		return fmt.Errorf("%w: %w", ErrBadRecord, r.err)
	}
	if left := len(body) - r.at; left > 0 {
		return fmt.Errorf("%w: %d bytes follow it", ErrBadRecord, left)
	}
	return nil
}

// resolve turns the body of another writer schema into one of ours.
func (c *Codec[T]) resolve(ctx context.Context, id int, body []byte) ([]byte, error) {
	w, err := c.writer(ctx, id)
	if err != nil || w.resolved == nil {
		return body, err
	}
	return w.resolve(body, c.reader, id)
}

// resolve turns a body of the writer with the id into one of the reader.
func (w *writer) resolve(body []byte, reader *twmb.Schema, id int) ([]byte, error) {
	if err := w.shape.check(body, genericBudget(len(body))); err != nil {
		return nil, fmt.Errorf("%w of schema %d: %w", ErrBadRecord, id, err)
	}
	var native any
	if _, err := w.resolved.Decode(body, &native); err != nil {
		return nil, fmt.Errorf("%w of schema %d: %w", ErrBadRecord, id, err)
	}
	ours, err := reader.AppendEncode(nil, native)
	if err != nil {
		return nil, fmt.Errorf("%w of schema %d: %w", ErrBadRecord, id, err)
	}
	return ours, nil
}

// writer returns how to read what schema id wrote.
func (c *Codec[T]) writer(ctx context.Context, id int) (*writer, error) {
	if known, ok := c.writers.Load(id); ok {
		w := known.(*writer)
		return w, w.unreadable
	}
	text, err := c.client.writerSchema(ctx, id, c.subject)
	if err != nil {
		return nil, err
	}
	w, err := c.newWriter(text)
	if err != nil {
		w = &writer{unreadable: fmt.Errorf("%w (%w): schema %d is not one of %s: %w", ErrBadRecord, ErrUnreadable, id, c.subject.Record, err)}
	}
	if c.known.Add(1) <= maxSchemas {
		c.writers.Store(id, w)
	}
	return w, w.unreadable
}

func (c *Codec[T]) newWriter(text string) (*writer, error) {
	written, err := parseRaw(text)
	if err != nil {
		return nil, err
	}
	resolved, err := twmb.Resolve(written, c.reader)
	if err != nil {
		return nil, err
	}
	if resolved == c.reader { // Resolve's promise for schemas of one canonical form
		return &writer{}, nil
	}
	shape, err := newShape(text)
	if err != nil {
		return nil, err
	}
	return &writer{shape: shape, resolved: resolved}, nil
}

// parseRaw parses a schema whose values stay as they are on the wire, without
// the detour through times and rationals.
func parseRaw(text string) (*twmb.Schema, error) {
	return twmb.Parse(text,
		twmb.CustomType{LogicalType: "decimal"},
		twmb.CustomType{LogicalType: "timestamp-micros"},
		twmb.CustomType{LogicalType: "date"})
}
