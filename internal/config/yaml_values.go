package config

import (
	"encoding"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

func (s *decoder) duration(n *yaml.Node, v reflect.Value, path []any) {
	if n.Kind == yaml.ScalarNode {
		if d, err := time.ParseDuration(strings.TrimSpace(n.Value)); err == nil && n.ShortTag() == "!!str" {
			v.SetInt(int64(d))
			return
		}
	}
	s.expected(n, path, "a duration", "write a number with a unit, such as 5s, 1m30s or 1h")
}

func (s *decoder) text(n *yaml.Node, u encoding.TextUnmarshaler, path []any) {
	if n.Kind != yaml.ScalarNode || isNull(n) {
		s.expected(n, path, "a plain value", "write one value")
		return
	}
	if err := u.UnmarshalText([]byte(n.Value)); err != nil {
		message, hint, _ := strings.Cut(err.Error(), ": write ")
		if hint != "" {
			hint = "write " + hint
		}
		s.problem(n, path, message, hint)
	}
}

func (s *decoder) scalar(n *yaml.Node, v reflect.Value, path []any) {
	scalar := n.Kind == yaml.ScalarNode && !isNull(n)
	switch kind := v.Kind(); {
	case kind == reflect.String:
		if scalar {
			v.SetString(n.Value)
			return
		}
		s.expected(n, path, "text", "write one value, in quotes if it has special signs")
	case kind == reflect.Bool:
		if scalar && n.ShortTag() == "!!bool" {
			v.SetBool(strings.EqualFold(n.Value, "true"))
			return
		}
		s.expected(n, path, "true or false", "write true or false")
	case v.CanInt():
		if scalar && n.ShortTag() == "!!int" {
			if i, err := strconv.ParseInt(strings.ReplaceAll(n.Value, "_", ""), 0, v.Type().Bits()); err == nil {
				v.SetInt(i)
				return
			}
		}
		s.expected(n, path, "a whole number", "write digits only, such as 5")
	default:
		s.problem(n, path, "this value has no place in the configuration", "leave it out")
	}
}

func describe(n *yaml.Node) string {
	switch n = follow(n); n.Kind {
	case yaml.MappingNode:
		return "a mapping (key: value)"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!int", "!!float":
		return "the number " + clip(n.Value)
	case "!!bool":
		return clip(n.Value)
	case "!!timestamp":
		return "the date " + clip(n.Value)
	}
	return "the text " + strconv.Quote(clip(n.Value))
}

func clip(text string) string {
	const most = 40
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

type fieldTag struct {
	name      string
	index     int
	shorthand bool
	oneOrMany bool
}

func fieldsOf(t reflect.Type) []fieldTag {
	var fields []fieldTag
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue
		}
		fields = append(fields, fieldTag{name: name, index: i,
			shorthand: options == "shorthand", oneOrMany: options == "oneormany"})
	}
	return fields
}

func shorthand(fields []fieldTag) int {
	return slices.IndexFunc(fields, func(f fieldTag) bool { return f.shorthand })
}

func keyNames(fields []fieldTag) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.name
	}
	return out
}
