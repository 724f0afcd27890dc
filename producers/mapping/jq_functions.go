package mapping

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

func concat(l, r any) any {
	switch {
	case l == nil:
		return r
	case r == nil:
		return l
	}
	switch l := l.(type) {
	case string:
		if r, ok := r.(string); ok {
			return l + r
		}
	case []any:
		if r, ok := r.([]any); ok {
			return append(slices.Clip(l), r...)
		}
	case map[string]any:
		if r, ok := r.(map[string]any); ok {
			out := make(map[string]any, len(l)+len(r))
			for k, v := range l {
				out[k] = v
			}
			for k, v := range r {
				out[k] = v
			}
			return out
		}
	}
	return fmt.Errorf("cannot join %s and %s", typeName(l), typeName(r))
}

func concatAll(v any, _ []any) any {
	list, ok := v.([]any)
	if !ok {
		return fmt.Errorf("add: expected a list, found %s", typeName(v))
	}
	var sum any
	for _, item := range list {
		sum = concat(sum, item)
		if err, ok := sum.(error); ok {
			return err
		}
	}
	return sum
}

func entries(v any, _ []any) any {
	object, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("to_entries: expected an object, found %s", typeName(v))
	}
	list := make([]any, 0, len(object))
	for _, key := range slices.Sorted(maps.Keys(object)) {
		list = append(list, map[string]any{"key": key, "value": object[key]})
	}
	return list
}

// typeName names a value of the tree in people's words.
func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case bool:
		return "true or false"
	case string:
		return "a text"
	case json.Number, int, float64:
		return "a number"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return "a number"
}
