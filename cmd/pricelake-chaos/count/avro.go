package count

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
)

// Registry reads records by the schemas they were written with. It is for one
// goroutine.
type Registry struct {
	url     string
	client  *http.Client
	schemas map[uint32]*schema
}

// NewRegistry returns a reader of the registry at a URL (Confluent API).
func NewRegistry(url string) *Registry {
	return &Registry{url: strings.TrimRight(url, "/"), client: http.DefaultClient, schemas: map[uint32]*schema{}}
}

// schema is an Avro schema, as far as it takes to find fields in a record.
type schema struct {
	kind   string // of Avro
	size   int    // of a fixed
	fields []field
	items  *schema   // of an array or map
	union  []*schema // of a union
}

type field struct {
	name string
	of   *schema
}

// Fields are the top-level fields of a record: int64 for int, long and enum,
// []byte for bytes and fixed, string, bool, nil for null. Others are left out.
type Fields map[string]any

// Text returns a field of text, empty when it is none.
func (f Fields) Text(name string) string { s, _ := f[name].(string); return s }

// Bytes returns a field of bytes, nil when it is none.
func (f Fields) Bytes(name string) []byte { b, _ := f[name].([]byte); return b }

// Int returns a field that is a number, 0 when it is none.
func (f Fields) Int(name string) int64 { n, _ := f[name].(int64); return n }

// Decimal returns a decimal of 18 decimals in its shortest form, empty for null.
func (f Fields) Decimal(name string) string {
	b := f.Bytes(name)
	if b == nil {
		return ""
	}
	return decimalText(b)
}

// decimalText writes big-endian two's complement at scale 18.
func decimalText(b []byte) string {
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	sign := ""
	if n.Sign() < 0 {
		sign = "-"
		n.Neg(n)
	}
	digits := n.String()
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale+1-len(digits)) + digits
	}
	whole, rest := digits[:len(digits)-scale], strings.TrimRight(digits[len(digits)-scale:], "0")
	if rest == "" {
		return sign + whole
	}
	return sign + whole + "." + rest
}

const scale = 18

var errWire = errors.New("not a record in the registry's wire format")

// Decode reads a record in the registry's wire format.
func (r *Registry) Decode(ctx context.Context, wire []byte) (Fields, error) {
	if len(wire) < 5 || wire[0] != 0 {
		return nil, errWire
	}
	s, err := r.schema(ctx, binary.BigEndian.Uint32(wire[1:]))
	if err != nil {
		return nil, err
	}
	d := decoder{wire[5:]}
	out := make(Fields, len(s.fields))
	for _, f := range s.fields {
		v, err := d.value(f.of)
		if err != nil {
			return nil, fmt.Errorf("reading the field %s: %w", f.name, err)
		}
		out[f.name] = v
	}
	if len(d.rest) != 0 {
		return nil, fmt.Errorf("%d bytes too many", len(d.rest))
	}
	return out, nil
}

func (r *Registry) schema(ctx context.Context, id uint32) (*schema, error) {
	if s := r.schemas[id]; s != nil {
		return s, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/schemas/ids/%d", r.url, id), nil)
	if err != nil {
		return nil, fmt.Errorf("asking the registry: %w", err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking the registry for schema %d: %w", id, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return nil, fmt.Errorf("asking the registry for schema %d: %w", id, err)
	}
	var answer struct{ Schema string }
	if err := json.Unmarshal(body, &answer); err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking the registry for schema %d: status %d: %.200s", id, resp.StatusCode, body)
	}
	s, err := parseSchema([]byte(answer.Schema))
	if err != nil {
		return nil, fmt.Errorf("reading schema %d: %w", id, err)
	}
	r.schemas[id] = s
	return s, nil
}

// parseSchema reads the schema of a record.
func parseSchema(text []byte) (*schema, error) {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	p := schemaParser{named: map[string]*schema{}}
	s, err := p.parse(v)
	if err == nil && s.kind != "record" {
		err = errors.New("not a record")
	}
	return s, err
}

type schemaParser struct{ named map[string]*schema }

func (p schemaParser) parse(v any) (*schema, error) {
	switch v := v.(type) {
	case string:
		if s := p.named[v[strings.LastIndexByte(v, '.')+1:]]; s != nil {
			return s, nil
		}
		return &schema{kind: v}, nil
	case []any:
		s := &schema{kind: "union"}
		for _, branch := range v {
			b, err := p.parse(branch)
			if err != nil {
				return nil, err
			}
			s.union = append(s.union, b)
		}
		return s, nil
	case map[string]any:
		return p.object(v)
	}
	return nil, fmt.Errorf("a schema cannot be %v", v)
}

func (p schemaParser) object(v map[string]any) (*schema, error) {
	kind, ok := v["type"].(string)
	if !ok {
		return p.parse(v["type"])
	}
	s := &schema{kind: kind}
	if name, ok := v["name"].(string); ok {
		p.named[name[strings.LastIndexByte(name, '.')+1:]] = s
	}
	var err error
	switch kind {
	case "record":
		fields, _ := v["fields"].([]any)
		for _, f := range fields {
			f, _ := f.(map[string]any)
			name, _ := f["name"].(string)
			of, err := p.parse(f["type"])
			if err != nil {
				return nil, err
			}
			s.fields = append(s.fields, field{name, of})
		}
	case "fixed":
		size, _ := v["size"].(float64)
		s.size = int(size)
	case "array":
		s.items, err = p.parse(v["items"])
	case "map":
		s.items, err = p.parse(v["values"])
	}
	return s, err
}
