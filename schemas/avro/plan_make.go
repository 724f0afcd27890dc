package avro

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pricelake/pricelake/schemas"
)

// planFor makes the plan that reads what was written as ours. It knows fields
// that are left out, added, or moved, that became nullable, and enumerations with
// other symbols; anything else is an error, and for the library to resolve.
func planFor(ours, written *shape) (*plan, error) {
	if ours.kind != "record" || written.kind != "record" {
		return nil, fmt.Errorf("a %s as a %s", written.kind, ours.kind)
	}
	p := &plan{width: len(ours.fields), unknown: unknownFields(ours, written)}
	for i, name := range written.fields {
		to := slices.Index(ours.fields, name)
		if to < 0 {
			p.steps = append(p.steps, step{kind: stepSkip, skip: written.children[i]})
			continue
		}
		s, err := stepFor(ours.children[to], written.children[i])
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", name, err)
		}
		s.to = to
		p.steps = append(p.steps, s)
	}
	for to, name := range ours.fields {
		if slices.Contains(written.fields, name) {
			continue
		}
		value, err := defaultOf(ours.children[to], ours.defaults[to])
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", name, err)
		}
		p.preset = append(p.preset, preset{to, value})
	}
	return p, nil
}

// unknownFields are the fields of a writer that our schema does not have.
func unknownFields(ours, written *shape) (names []string) {
	for _, name := range written.fields {
		if !slices.Contains(ours.fields, name) {
			names = append(names, name)
		}
	}
	return names
}

// stepFor makes the step that reads a written value as ours.
func stepFor(ours, written *shape) (step, error) {
	s := step{null: -1}
	ours, nullable := plain(ours)
	if written.kind == "union" {
		inner, ok := plain(written)
		if !ok || !nullable {
			return s, fmt.Errorf("a union of %d types", len(written.children))
		}
		s.null = int64(slices.IndexFunc(written.children, func(b *shape) bool { return b.kind == "null" }))
		written = inner
	}
	if ours.kind != written.kind || ours.logical != written.logical {
		return s, fmt.Errorf("a %s (%s) as a %s (%s)", written.kind, written.logical, ours.kind, ours.logical)
	}
	switch ours.kind {
	case "boolean":
		s.kind = stepBool
	case "int":
		s.kind = stepInt
		if ours.logical == "date" {
			s.kind = stepDate
		}
	case "long":
		s.kind = stepLong
		if ours.logical == "timestamp-micros" {
			s.kind = stepTime
		}
	case "string":
		s.kind = stepText
	case "fixed":
		return fixedStep(s, ours, written)
	case "enum":
		return enumStep(s, ours, written)
	default:
		return s, fmt.Errorf("a %s is no plain value", ours.kind)
	}
	return s, nil
}

func fixedStep(s step, ours, written *shape) (step, error) {
	if shortName(ours) != shortName(written) || ours.size != written.size || ours.scale != written.scale || ours.digits != written.digits {
		return s, fmt.Errorf("%s of %d bytes as %s of %d", written.name, written.size, ours.name, ours.size)
	}
	s.kind, s.size = stepFixed, int64(ours.size)
	if ours.logical == "decimal" {
		if s.kind = stepDecimal; ours.size != decimalSize {
			return s, fmt.Errorf("a decimal of %d bytes", ours.size)
		}
	}
	return s, nil
}

// enumStep numbers the symbols of a writer as ours.
func enumStep(s step, ours, written *shape) (step, error) {
	if shortName(ours) != shortName(written) {
		return s, fmt.Errorf("%s as %s", written.name, ours.name)
	}
	s.kind, s.last = stepEnum, int64(len(written.symbols))-1
	if slices.Equal(ours.symbols, written.symbols) {
		return s, nil
	}
	for _, symbol := range written.symbols {
		n := slices.Index(ours.symbols, symbol)
		if n < 0 {
			n = slices.Index(ours.symbols, ours.other)
		}
		if n < 0 {
			return s, fmt.Errorf("the symbol %s, which %s does not have", symbol, ours.name)
		}
		s.symbol = append(s.symbol, int64(n))
	}
	return s, nil
}

// plain returns the type beside null of a union of the two, and whether s is
// such a union; other types as they are.
func plain(s *shape) (inner *shape, nullable bool) {
	if s.kind != "union" || len(s.children) != 2 {
		return s, false
	}
	for i, branch := range s.children {
		if other := s.children[1-i]; branch.kind == "null" && other.kind != "null" {
			return other, true
		}
	}
	return s, false
}

// shortName is a name without its namespace, which resolution does not look at.
func shortName(s *shape) string { return s.name[strings.LastIndexByte(s.name, '.')+1:] }

// defaultOf is the field's default as a record would carry it.
func defaultOf(s *shape, value any) (f schemas.Field, err error) {
	inner, nullable := plain(s)
	switch v := value.(type) {
	case nil:
		if !nullable {
			return f, fmt.Errorf("the default of a %s is null", s.kind)
		}
		f.Null = true
	case bool:
		if v {
			f.Int = 1
		}
	case int32:
		f.Int = int64(v)
	case int64:
		f.Int = v
	case []byte:
		f.Bytes = v
	case string:
		if inner.kind != "enum" {
			f.Bytes = []byte(v)
			break
		}
		f.Int = int64(slices.Index(inner.symbols, v))
	default:
		return f, fmt.Errorf("there is no default")
	}
	return f, nil
}

// plans are those of the writers' schemas that were met. Reading takes no lock.
type plans struct {
	mu    sync.Mutex
	known atomic.Pointer[map[int]*plan]
}

func (p *plans) get(id int) *plan {
	if known := p.known.Load(); known != nil {
		return (*known)[id]
	}
	return nil
}

// put keeps a plan. An id never gets another one; beyond maxSchemas they are
// made each time.
func (p *plans) put(id int, made *plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := map[int]*plan{id: made}
	if known := p.known.Load(); known != nil {
		if len(*known) >= maxSchemas {
			return
		}
		for id, plan := range *known {
			next[id] = plan
		}
	}
	p.known.Store(&next)
}
