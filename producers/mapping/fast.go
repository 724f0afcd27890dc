package mapping

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/itchyny/gojq"
)

// Most paths are plain look-ups such as .result.a[0] or .rates | to_entries[].
// They are done here, a hundred times faster than by jq's machine and with the
// same results (a differential test holds them to it), but that a text is no
// list of letters.

// root is where a plain path starts.
type root uint8

const (
	rootRow root = iota
	rootDoc
	rootUp
)

// step is one move of a plain path.
type step struct {
	op    op
	key   string
	index int
}

type op uint8

const (
	opKey     op = iota // .name
	opIndex             // .[0]
	opIterate           // .[]
	opEntries           // to_entries[]
)

func (s *scope) from(r root) any {
	switch r {
	case rootDoc:
		return s.doc
	case rootUp:
		return s.up
	}
	return s.row
}

// compileFast turns a syntax tree into a plain path if it is one.
func compileFast(q *gojq.Query) (root, []step, bool) {
	if len(q.FuncDefs) > 0 || len(q.Patterns) > 0 {
		return 0, nil, false
	}
	if q.Op == gojq.OpPipe {
		r, left, ok := compileFast(q.Left)
		if !ok {
			return 0, nil, false
		}
		if entriesOf(q.Right) {
			return r, append(left, step{op: opEntries}), true
		}
		inner, right, ok := compileFast(q.Right)
		if !ok || inner != rootRow {
			return 0, nil, false
		}
		return r, append(left, right...), true
	}
	if q.Op != 0 || q.Term == nil {
		return 0, nil, false
	}
	if entriesOf(q) {
		return rootRow, []step{{op: opEntries}}, true
	}
	return fastTerm(q.Term)
}

// entriesOf recognises to_entries[].
func entriesOf(q *gojq.Query) bool {
	t := q.Term
	return t != nil && q.Op == 0 && len(q.FuncDefs) == 0 && t.Type == gojq.TermTypeFunc && t.Func.Name == "to_entries" &&
		len(t.Func.Args) == 0 && len(t.SuffixList) == 1 && t.SuffixList[0].Iter
}

func fastTerm(t *gojq.Term) (r root, steps []step, ok bool) {
	steps = []step{}
	switch {
	case t.Type == gojq.TermTypeIdentity:
	case t.Type == gojq.TermTypeIndex:
		s, ok := fastIndex(t.Index)
		if !ok {
			return 0, nil, false
		}
		steps = append(steps, s)
	case t.Type == gojq.TermTypeFunc && t.Func.Name == "$doc":
		r = rootDoc
	case t.Type == gojq.TermTypeFunc && t.Func.Name == "$up":
		r = rootUp
	default:
		return 0, nil, false
	}
	for _, suffix := range t.SuffixList {
		switch {
		case suffix.Iter:
			steps = append(steps, step{op: opIterate})
		case suffix.Index != nil:
			s, ok := fastIndex(suffix.Index)
			if !ok {
				return 0, nil, false
			}
			steps = append(steps, s)
		default:
			return 0, nil, false
		}
	}
	return r, steps, true
}

func fastIndex(i *gojq.Index) (step, bool) {
	switch {
	case i.Name != "":
		return step{op: opKey, key: i.Name}, true
	case i.Str != nil:
		return step{op: opKey, key: i.Str.Str}, i.Str.Queries == nil
	case i.IsSlice || i.Start == nil || i.Start.Term == nil || i.Start.Op != 0 || len(i.Start.Term.SuffixList) > 0:
		return step{}, false
	}
	switch t := i.Start.Term; t.Type {
	case gojq.TermTypeString:
		return step{op: opKey, key: t.Str.Str}, t.Str.Queries == nil
	case gojq.TermTypeNumber:
		n, err := strconv.Atoi(t.Number)
		return step{op: opIndex, index: n}, err == nil
	case gojq.TermTypeUnary:
		if t.Unary.Op != gojq.OpSub || t.Unary.Term.Type != gojq.TermTypeNumber || len(t.Unary.Term.SuffixList) > 0 {
			return step{}, false
		}
		n, err := strconv.Atoi(t.Unary.Term.Number)
		return step{op: opIndex, index: -n}, err == nil
	}
	return step{}, false
}

// lookup follows a plain path without iteration to its value.
func (e *expr) lookup(s *scope) (value any, found bool, err error) {
	value, found = s.from(e.root), true
	for i := range e.fast {
		if e.fast[i].op >= opIterate {
			n := 0
			value, found = nil, false
			_, err = e.walkFrom(s.from(e.root), e.fast, func(v any) bool {
				value, found = v, v != nil
				n++
				return n < 2
			})
			if err == nil && n > 1 {
				err = fmt.Errorf("%s yields more than one value", e.text)
			}
			return value, found, err
		}
	}
	for i := range e.fast {
		if value, found, err = e.fast[i].follow(value); err != nil {
			return nil, false, err
		}
	}
	return value, found, nil
}

// follow makes one look-up; found is false when the key or element is missing.
func (st *step) follow(v any) (next any, found bool, err error) {
	if v == nil {
		return nil, false, nil
	}
	if st.op == opKey {
		object, ok := v.(map[string]any)
		if !ok {
			return nil, false, fmt.Errorf("expected an object with %q, found %s", st.key, typeName(v))
		}
		next, found = object[st.key]
		return next, found, nil
	}
	list, ok := v.([]any)
	if !ok {
		return nil, false, fmt.Errorf("expected a list, found %s", typeName(v))
	}
	i := st.index
	if i < 0 {
		i += len(list)
	}
	if i < 0 || i >= len(list) {
		return nil, false, nil
	}
	return list[i], true, nil
}

func (e *expr) walk(s *scope, yield func(any) bool) (more bool, err error) {
	return e.walkFrom(s.from(e.root), e.fast, yield)
}

func (e *expr) walkFrom(v any, steps []step, yield func(any) bool) (more bool, err error) {
	for i := range steps {
		switch st := &steps[i]; st.op {
		case opIterate:
			return e.iterate(v, steps[i+1:], yield)
		case opEntries:
			return e.entries(v, steps[i+1:], yield)
		default:
			if v, _, err = st.follow(v); err != nil {
				return false, err
			}
		}
	}
	return yield(v), nil
}

func (e *expr) iterate(v any, rest []step, yield func(any) bool) (more bool, err error) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			if more, err = e.walkFrom(item, rest, yield); err != nil || !more {
				return more, err
			}
		}
		return true, nil
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if more, err = e.walkFrom(v[key], rest, yield); err != nil || !more {
				return more, err
			}
		}
		return true, nil
	}
	return false, fmt.Errorf("%s: expected a list or an object to go through, found %s", e.text, typeName(v))
}

func (e *expr) entries(v any, rest []step, yield func(any) bool) (more bool, err error) {
	object, ok := v.(map[string]any)
	if !ok {
		return false, fmt.Errorf("%s: expected an object to go through, found %s", e.text, typeName(v))
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		entry := map[string]any{"key": key, "value": object[key]}
		if more, err = e.walkFrom(entry, rest, yield); err != nil || !more {
			return more, err
		}
	}
	return true, nil
}
