package avro

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
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
// record in wire format. row is new or was filled by this Rows before: of each field
// only the member that holds its value is set. unknown names the fields of its writer that our schema
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
	// Numbers.
	stepInt // of 32 bits
	stepLong
	stepBool
	stepEnum
	stepTime
	stepDate
	// Bytes.
	stepText
	stepFixed
	stepDecimal
)

// decimalSize is the bytes of a decimal.
const decimalSize = 16

// preset is the default of a field.
type preset struct {
	to    int
	value schemas.Field
}

// read fills row from body. It is the innermost of what is done with a price, so
// branches, lengths and bytes are read here without a call. Which member of a field
// holds its value is the same in every plan, so the other one is never touched.
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
		f.Null = false
		if s.null >= 0 {
			branch, ok := c.oneByte()
			if !ok {
				branch = c.readLong()
			}
			if branch == s.null {
				*f = schemas.Field{Null: true}
				continue
			}
			if branch != 1-s.null {
				c.fail(errNotUnion)
			}
		}
		if s.kind < stepText {
			f.Int = c.number(s)
			continue
		}
		size := s.size
		if s.kind == stepText {
			var ok bool
			if size, ok = c.oneByte(); !ok {
				size = c.readLong()
			}
		}
		if size < 0 || size > int64(len(c.data)-c.at) {
			c.fail(errTooLong)
			size = 0
		}
		f.Bytes = c.data[c.at : c.at+int(size)]
		c.at += int(size)
		if s.kind == stepDecimal && size == decimalSize {
			if _, err := schemas.DecimalFromBytes([decimalSize]byte(f.Bytes)); err != nil {
				c.fail(err)
			}
		}
	}
	if c.err == nil && c.at != len(body) {
		return fmt.Errorf("%d bytes follow it", len(body)-c.at)
	}
	return c.err
}

// number reads a value that is one.
func (c *coder) number(s *step) int64 {
	switch s.kind {
	case stepLong:
		return c.readWide()
	case stepInt:
		return int64(c.readInt())
	case stepTime:
		n := c.readWide()
		if n < minMicros || n > maxMicros {
			c.fail(errTime)
		}
		return n
	case stepDate:
		n := int64(c.readInt())
		if n < minDate || n > maxDate {
			c.fail(errTime)
		}
		return n
	case stepBool:
		b := c.take(1)
		if b == nil {
			return 0
		}
		if b[0] > 1 {
			c.fail(errNotBool)
		}
		return int64(b[0])
	default:
		return c.symbol(s)
	}
}

// symbol reads the number of a symbol of an enumeration.
func (c *coder) symbol(s *step) int64 {
	n := int64(c.readInt())
	if n < 0 || n > s.last {
		c.fail(errNotEnum)
		return 0
	}
	if s.symbol != nil {
		return s.symbol[n]
	}
	return n
}

// oneByte reads an integer of one byte, if the next one is of one: a length or the
// branch of a union mostly is.
func (c *coder) oneByte() (v int64, ok bool) {
	if c.at < len(c.data) {
		if b := c.data[c.at]; b < 0x80 {
			c.at++
			return int64(b>>1) ^ -int64(b&1), true
		}
	}
	return 0, false
}

// readWide is readLong of integers that usually have many bytes, as times have eight:
// up to so many are read at once, the seven bits of each moved together in pairs.
func (c *coder) readWide() int64 {
	if len(c.data)-c.at < 8 {
		return c.readLong()
	}
	word := binary.LittleEndian.Uint64(c.data[c.at:])
	last := ^word & 0x8080808080808080 // bytes after which none of it follows
	if last == 0 {
		return c.readLong()
	}
	c.at += bits.TrailingZeros64(last)/8 + 1
	word &= last ^ (last - 1) // what comes behind is another value's
	word &= 0x7f7f7f7f7f7f7f7f
	word = word&0x007f007f007f007f | word>>1&0x3f803f803f803f80
	word = word&0x00003fff00003fff | word>>2&0x0fffc0000fffc000
	word = word&0x000000000fffffff | word>>4&0x00fffffff0000000
	return int64(word>>1) ^ -int64(word&1)
}

// skip passes over a value of any schema.
func (c *coder) skip(s *shape) {
	w := walk{coder: *c, budget: genericBudget(len(c.data))}
	w.counting = true
	w.value(s, 0)
	c.at, c.err = w.at, w.err
}
