package avro

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/linkedin/goavro/v2"

	"github.com/pricelake/pricelake/schemas"
)

// generic reads what one writer schema wrote.
type generic struct {
	codec *goavro.Codec
	shape *shape
}

func newGeneric(text string) (*generic, error) {
	if strings.Contains(text, "validated-string") {
		// goavro compiles the pattern into a map that is not safe in parallel.
		return nil, errors.New("its schema has the logical type validated-string, which cannot be read")
	}
	codec, err := goavro.NewCodec(text)
	if err != nil {
		return nil, err
	}
	shape, err := newShape(text)
	if err != nil {
		return nil, err
	}
	return &generic{codec: codec, shape: shape}, nil
}

// DecodeJSON reads a record in wire format, of whichever schema, into JSON for
// people: fields in the order of the schema, decimals as text, fixed of 16 bytes
// as UUIDs, times as RFC 3339, dates as 2006-01-02, bytes as text where they are
// UTF-8 and in base64 where they are not, unions as their value. Errors as those
// of Codec.Decode. Allocates at most 64 times the input and 1 MiB for the
// values, and a few times the answer.
func (c *Client) DecodeJSON(ctx context.Context, wire []byte) ([]byte, error) {
	id, body, err := splitWire(wire)
	if err != nil {
		return nil, err
	}
	known, err := c.schema(ctx, id)
	if err != nil {
		return nil, err
	}
	g, err := known.generic()
	if err != nil {
		return nil, fmt.Errorf("reading a record of schema %d: %w: %w", id, ErrBadRecord, err)
	}
	text, err := g.json(body)
	if err != nil {
		return nil, fmt.Errorf("reading a record of schema %d: %w: %w", id, ErrBadRecord, err)
	}
	return text, nil
}

func (g *generic) json(body []byte) ([]byte, error) {
	if err := g.shape.check(body, genericBudget(len(body))); err != nil {
		return nil, err
	}
	native, _, err := g.codec.NativeFromBinary(body)
	if err != nil {
		return nil, err
	}
	return appendJSON(make([]byte, 0, 3*len(body)), g.shape, native)
}

// appendJSON appends one of goavro's values.
func appendJSON(dst []byte, s *shape, native any) ([]byte, error) {
	switch v := native.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case int32:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case string:
		return appendText(dst, v)
	case []byte:
		return appendBytes(dst, s, v)
	case *big.Rat:
		return appendDecimal(dst, v), nil
	case time.Time:
		if s.logical == "date" {
			return v.AppendFormat(dst, `"`+time.DateOnly+`"`), nil
		}
		return v.UTC().AppendFormat(dst, `"`+time.RFC3339Nano+`"`), nil
	case time.Duration:
		return strconv.AppendQuote(dst, v.String()), nil
	case []any:
		return appendArray(dst, s, v)
	case map[string]any:
		return appendMap(dst, s, v)
	default:
		return appendNumber(dst, v)
	}
}

// appendNumber appends the floats that other people's schemas may hold; ours
// have none. What JSON has no number for becomes a text.
func appendNumber(dst []byte, native any) ([]byte, error) {
	text := fmt.Sprint(native)
	if !json.Valid([]byte(text)) {
		return appendText(dst, text)
	}
	return append(dst, text...), nil
}

func appendText(dst []byte, text string) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // it is read on a terminal
	err := encoder.Encode(text)
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...), err
}

func appendBytes(dst []byte, s *shape, v []byte) ([]byte, error) {
	if s.kind == "fixed" && len(v) == 16 {
		return append(schemas.ID(v).Append(append(dst, '"')), '"'), nil
	}
	if utf8.Valid(v) {
		return appendText(dst, string(v))
	}
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v), '"'), nil
}

// appendDecimal appends the shortest text of a rational that has a decimal one,
// as every Avro decimal does.
func appendDecimal(dst []byte, v *big.Rat) []byte {
	decimals, _ := v.FloatPrec()
	return append(append(append(dst, '"'), v.FloatString(decimals)...), '"')
}

func appendArray(dst []byte, s *shape, v []any) (_ []byte, err error) {
	dst = append(dst, '[')
	for i, element := range v {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendJSON(dst, s.children[0], element); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

// appendMap appends a record, a map, or goavro's form of a union's value: a map
// from the branch's name to it.
func appendMap(dst []byte, s *shape, v map[string]any) (_ []byte, err error) {
	names, child := s.fields, func(i int) *shape { return s.children[i] }
	switch s.kind {
	case "union":
		for name, value := range v {
			return appendJSON(dst, s.branch(name), value)
		}
	case "map":
		names, child = slices.Sorted(maps.Keys(v)), func(int) *shape { return s.children[0] }
	}
	dst = append(dst, '{')
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendText(dst, name); err != nil {
			return dst, err
		}
		if dst, err = appendJSON(append(dst, ':'), child(i), v[name]); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// branch returns the branch of a union by goavro's name: the full name of a
// named type, else the type, with the logical type after a point.
func (s *shape) branch(name string) *shape {
	short, _, _ := strings.Cut(name, ".")
	var found *shape
	for _, branch := range s.children {
		if branch.name == name {
			return branch
		}
		if branch.kind == short || found == nil {
			found = branch
		}
	}
	return found
}
