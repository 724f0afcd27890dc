package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Map is a YAML mapping whose keys are data: it keeps the order of the file. In
// a file a plain list stands for its keys without values.
type Map[T any] []Entry[T]

// Entry is one key of a Map.
type Entry[T any] struct {
	Key   string
	Value T
}

// List is a list that a single value may stand for.
type List[T any] []T

func (List[T]) oneOrMany() {}

// Get returns the value of the key.
func (m Map[T]) Get(key string) (value T, ok bool) {
	for i := range m {
		if m[i].Key == key {
			return m[i].Value, true
		}
	}
	return value, false
}

// Go returns the entries as a Go map, nil when there are none.
func (m Map[T]) Go() map[string]T {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]T, len(m))
	for _, e := range m {
		out[e.Key] = e.Value
	}
	return out
}

func (Map[T]) orderedMap() {}

// Decode fills dst, a pointer to a struct, from the document, strictly: each
// key must be the yaml tag of a field. It reports everything wrong at once;
// what is right is filled in all the same.
//
// Beyond the usual types it knows time.Duration (5s), Map, and everything with
// UnmarshalText. Text fields take any scalar as it is written. Two tag options:
// `yaml:"path,shorthand"` lets a scalar stand in place of the struct and sets
// this field of it; `yaml:"rows,oneormany"` lets one value stand for a list of
// one, as the type List does.
func (d *Document) Decode(dst any) Problems {
	if d.root == nil {
		return nil
	}
	s := &decoder{doc: d}
	s.node(d.root, reflect.ValueOf(dst).Elem(), fieldTag{}, nil)
	return s.problems
}

type decoder struct {
	doc      *Document
	problems Problems
	nodes    int
	full     bool // the bound is reached and reported
}

func (s *decoder) problem(n *yaml.Node, path []any, message, hint string) {
	s.problems = append(s.problems, Problem{File: s.doc.file, Line: n.Line, Column: n.Column,
		Path: PathText(path...), Message: message, Hint: hint})
}

func (s *decoder) expected(n *yaml.Node, path []any, what, hint string) {
	s.problem(n, path, fmt.Sprintf("expected %s, found %s", what, describe(n)), hint)
}

// expectedParts is expected where a value with parts belongs: what stands there
// instead is not repeated, it may hold a secret.
func (s *decoder) expectedParts(n *yaml.Node, path []any, what, hint string) {
	found := "a single value"
	if n.Kind != yaml.ScalarNode {
		found = describe(n)
	}
	s.problem(n, path, fmt.Sprintf("expected %s, found %s", what, found), hint)
}

// node decodes one value. at keeps the node as written, so that a problem with
// an aliased value is told where the alias stands.
func (s *decoder) node(at *yaml.Node, v reflect.Value, tag fieldTag, path []any) {
	s.nodes++
	if s.nodes > maxYAMLNodes || len(path) > maxYAMLDepth {
		if !s.full {
			s.full = true
			s.problem(at, path, "the file unfolds into too many or too deeply nested values",
				"write it without aliases of aliases")
		}
		return
	}
	n := follow(at)
	if v.Kind() == reflect.Pointer {
		if isNull(n) {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		s.duration(n, v, path)
		return
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		s.text(n, u, path)
		return
	}
	if _, ok := v.Interface().(interface{ orderedMap() }); ok {
		s.ordered(n, v, path)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		s.structure(n, v, path)
	case reflect.Slice:
		s.list(n, v, tag, path)
	case reflect.Map:
		s.mapping(n, v, path)
	default:
		s.scalar(n, v, path)
	}
}

func (s *decoder) structure(n *yaml.Node, v reflect.Value, path []any) {
	fields := fieldsOf(v.Type())
	switch {
	case isNull(n):
	case n.Kind == yaml.ScalarNode && shorthand(fields) >= 0:
		f := fields[shorthand(fields)]
		s.node(n, v.Field(f.index), f, path)
	case n.Kind != yaml.MappingNode:
		s.expectedParts(n, path, "a mapping with the keys "+strings.Join(keyNames(fields), ", "), "write key: value lines below, indented")
	default:
		s.keys(n, path, func(key, value *yaml.Node, path []any) {
			i := slices.IndexFunc(fields, func(f fieldTag) bool { return f.name == key.Value })
			if i < 0 {
				s.problem(key, path, "unknown key", DidYouMean(key.Value, keyNames(fields)))
				return
			}
			s.node(value, v.Field(fields[i].index), fields[i], path)
		})
	}
}

// keys walks a mapping and reports keys that are twice or no plain text.
func (s *decoder) keys(n *yaml.Node, path []any, each func(key, value *yaml.Node, path []any)) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		inner := append(slices.Clone(path), key.Value)
		switch line, twice := seen[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			s.problem(key, path, "a key that is no plain text", "write key: value")
		case key.Tag == "!!merge":
			s.problem(key, path, "merge keys (<<) are not read", "write the keys out, or use an alias for a whole value")
		case twice:
			s.problem(key, inner, fmt.Sprintf("the key %s stands twice, first on line %d", key.Value, line), "keep one of them")
		default:
			seen[key.Value] = key.Line
			each(key, value, inner)
		}
	}
}

func (s *decoder) list(n *yaml.Node, v reflect.Value, tag fieldTag, path []any) {
	switch {
	case isNull(n):
	case n.Kind == yaml.SequenceNode:
		v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
		for i, item := range n.Content {
			s.node(item, v.Index(i), fieldTag{}, append(slices.Clone(path), i))
		}
	case tag.oneOrMany || isOneOrMany(v):
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		s.node(n, v.Index(0), fieldTag{}, path)
	default:
		s.expectedParts(n, path, "a list", "write each item on its own line after \"- \"")
	}
}

func isOneOrMany(v reflect.Value) bool {
	_, ok := v.Interface().(interface{ oneOrMany() })
	return ok
}

func (s *decoder) mapping(n *yaml.Node, v reflect.Value, path []any) {
	switch {
	case isNull(n):
	case n.Kind != yaml.MappingNode:
		s.expectedParts(n, path, "a mapping (key: value)", "write key: value lines below, indented")
	default:
		v.Set(reflect.MakeMap(v.Type()))
		s.keys(n, path, func(key, value *yaml.Node, path []any) {
			item := reflect.New(v.Type().Elem()).Elem()
			s.node(value, item, fieldTag{}, path)
			v.SetMapIndex(reflect.ValueOf(key.Value), item)
		})
	}
}

func (s *decoder) ordered(n *yaml.Node, v reflect.Value, path []any) {
	entry := v.Type().Elem()
	add := func(key string) reflect.Value {
		e := reflect.New(entry).Elem()
		e.Field(0).SetString(key)
		v.Set(reflect.Append(v, e))
		return v.Index(v.Len() - 1).Field(1)
	}
	switch {
	case isNull(n):
	case n.Kind == yaml.SequenceNode:
		for i, item := range n.Content {
			item = follow(item)
			if item.Kind != yaml.ScalarNode || isNull(item) {
				s.expected(item, append(slices.Clone(path), i), "text", "write one value")
				continue
			}
			add(item.Value)
		}
	case n.Kind == yaml.MappingNode:
		s.keys(n, path, func(key, value *yaml.Node, path []any) {
			s.node(value, add(key.Value), fieldTag{}, path)
		})
	default:
		s.expectedParts(n, path, "a mapping (key: value) or a list", "write key: value lines below, indented")
	}
}
