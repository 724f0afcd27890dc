package avro

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pricelake/pricelake/schemas"
)

// ErrUnreadable means that records were written with a schema that cannot be
// read as ours. No record of it can be read by this version, however often it is
// asked.
var ErrUnreadable = errors.New("the schema cannot be read as ours")

// Rows reads records of one topic field by field, without making Go values. For
// each writer's schema there is a plan, made when its first record comes: fields
// that we know go where they belong, the others are passed over, missing ones
// have our defaults. It may be used in parallel.
type Rows[T any] struct {
	codec *Codec[T]
	ours  *plan
	plans plans
}

// NewRows returns the reader of a topic's records. An error is as that of
// NewCodec, or a record with fields that are not plain values.
func NewRows[T any](topic string, client *Client) (*Rows[T], error) {
	codec, err := NewCodec[T](topic, client)
	if err != nil {
		return nil, err
	}
	shape, err := newShape(codec.subject.Schema)
	if err == nil && strings.Contains(codec.subject.Schema, `"aliases"`) {
		err = errors.New("its schema has aliases, which plans do not know")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the fields of topic %q: %w", topic, err)
	}
	ours, err := planFor(shape, shape)
	if err != nil {
		return nil, fmt.Errorf("reading the fields of topic %q: %w", topic, err)
	}
	return &Rows[T]{codec: codec, ours: ours}, nil
}

// Width is the number of fields of our schema.
func (r *Rows[T]) Width() int { return r.ours.width }

// Read fills row, one element for each field of our schema in its order, from a
// record in wire format. unknown names the fields of its writer that our schema
// does not have; it must not be changed. It does not allocate, but for the first
// record of a schema and for those of schemas that differ in more than fields
// left out, added or wider. Errors: ErrBadRecord; ErrUnreadable and ErrNoSchema, which
// are about every record of a schema; ErrNotFound and ErrUnavailable, which are about
// the registry.
func (r *Rows[T]) Read(ctx context.Context, wire []byte, row []schemas.Field) (unknown []string, err error) {
	id, body, err := splitWire(wire)
	if err != nil {
		return nil, err
	}
	p := r.plans.get(id)
	if p == nil {
		if p, err = r.plan(ctx, id); err != nil {
			return nil, fmt.Errorf("reading a record of %s: %w", r.codec.subject.Topic, err)
		}
	}
	if p.unreadable != nil {
		return nil, p.unreadable
	}
	if p.resolve != nil {
		if body, err = p.resolve(body); err != nil {
			return nil, fmt.Errorf("reading a record of %s: %w", r.codec.subject.Topic, err)
		}
	}
	if err := p.read(body, row); err != nil {
		return nil, fmt.Errorf("reading a record of %s: %w of schema %d: %w", r.codec.subject.Topic, ErrBadRecord, id, err)
	}
	return p.unknown, nil
}

// plan makes the plan of a schema id. Two callers may make the same one.
func (r *Rows[T]) plan(ctx context.Context, id int) (*plan, error) {
	text, err := r.codec.client.writerSchema(ctx, id, r.codec.subject)
	if err != nil {
		return nil, err
	}
	w, err := r.codec.newWriter(text)
	if err != nil {
		return r.never(id, fmt.Errorf("%w: schema %d is not one of %s: %w", ErrUnreadable, id, r.codec.subject.Record, err)), nil
	}
	written, err := newShape(text)
	if err != nil {
		return r.never(id, fmt.Errorf("%w: schema %d: %w", ErrUnreadable, id, err)), nil
	}
	ours, err := newShape(r.codec.subject.Schema)
	if err != nil {
		return nil, err
	}
	p, err := planFor(ours, written)
	if err != nil {
		// It can be resolved, only not by a plan: through values, into ours.
		p = &plan{steps: r.ours.steps, width: r.ours.width, unknown: unknownFields(ours, written),
			resolve: func(body []byte) ([]byte, error) { return w.resolve(body, r.codec.reader, id) }}
	}
	r.plans.put(id, p)
	return p, nil
}

// never notes that a schema cannot be read: an id never gets another one.
func (r *Rows[T]) never(id int, why error) *plan {
	p := &plan{unreadable: fmt.Errorf("reading a record of %s: %w", r.codec.subject.Topic, why)}
	r.plans.put(id, p)
	return p
}

// plan is how to read the bodies of one writer's schema.
type plan struct {
	steps   []step
	preset  []preset // of fields that the writer does not have
	width   int
	unknown []string
	resolve func(body []byte) ([]byte, error) // nil: the body is read as it is

	unreadable error // none of the bodies can be read
}

// step reads one field of the writer.
type step struct {
	kind   stepKind
	to     int   // field of ours, -1: pass over
	size   int64 // of a fixed
	null   int64 // branch of null in a union with one other type; -1: no union
	last   int64 // symbols of an enumeration less one
	symbol []int64
	skip   *shape
}

type stepKind uint8

const (
	stepSkip stepKind = iota
	stepInt           // integer of 32 bits
	stepLong
	stepBool
	stepEnum
	stepTime
	stepDate
	stepText
	stepFixed
	stepDecimal
)

// preset is the default of a field.
type preset struct {
	to    int
	value schemas.Field
}

// read fills row from body.
func (p *plan) read(body []byte, row []schemas.Field) error {
	row = row[:p.width]
	for i := range p.preset {
		row[p.preset[i].to] = p.preset[i].value
	}
	c := coder{data: body, reading: true}
	for i := range p.steps {
		s := &p.steps[i]
		if s.kind == stepSkip {
			c.skip(s.skip)
			continue
		}
		f := &row[s.to]
		if s.null >= 0 {
			if branch := c.readLong(); branch == s.null {
				*f = schemas.Field{Null: true}
				continue
			} else if branch != 1-s.null {
				c.fail(errNotUnion)
			}
		}
		c.field(s, f)
	}
	if c.err == nil && c.at != len(body) {
		return fmt.Errorf("%d bytes follow it", len(body)-c.at)
	}
	return c.err
}

// field reads one value.
func (c *coder) field(s *step, f *schemas.Field) {
	f.Null, f.Bytes = false, nil
	switch s.kind {
	case stepText:
		f.Int, f.Bytes = 0, c.take(c.readLong())
	case stepFixed:
		f.Int, f.Bytes = 0, c.take(s.size)
	case stepDecimal:
		f.Int, f.Bytes = 0, c.take(16)
		if len(f.Bytes) == 16 {
			if _, err := schemas.DecimalFromBytes([16]byte(f.Bytes)); err != nil {
				c.fail(err)
			}
		}
	case stepBool:
		if b := c.take(1); b != nil {
			if f.Int = int64(b[0]); b[0] > 1 {
				c.fail(errNotBool)
			}
		}
	case stepLong:
		f.Int = c.readLong()
	case stepInt:
		f.Int = int64(c.readInt())
	default:
		c.ranged(s, f)
	}
}

// ranged reads a value that is a number within bounds.
func (c *coder) ranged(s *step, f *schemas.Field) {
	switch s.kind {
	case stepTime:
		if f.Int = c.readLong(); f.Int < minMicros || f.Int > maxMicros {
			c.fail(errTime)
		}
	case stepDate:
		if f.Int = int64(c.readInt()); f.Int < minDate || f.Int > maxDate {
			c.fail(errTime)
		}
	case stepEnum:
		n := c.readLong()
		if n < 0 || n > s.last {
			c.fail(errNotEnum)
			n = 0
		}
		if f.Int = n; s.symbol != nil {
			f.Int = s.symbol[n]
		}
	}
}

// skip passes over a value of any schema.
func (c *coder) skip(s *shape) {
	w := walk{coder: *c, budget: genericBudget(len(c.data))}
	w.counting = true
	w.value(s, 0)
	c.at, c.err = w.at, w.err
}
