package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Setting is one key of the configuration with its value.
type Setting struct {
	Key string // as in a file, with dots: kafka.session_timeout
	Env string // the variable that sets it
	// Path is Key in its parts.
	Path  []string
	value reflect.Value
}

// leaves returns every key of c in the order of its declaration; setting a
// leaf's value sets it in c.
func leaves(c *Config) []Setting {
	var out []Setting
	var walk func(v reflect.Value, path []string)
	walk = func(v reflect.Value, path []string) {
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
			here := append(path[:len(path):len(path)], name)
			if v.Field(i).Kind() == reflect.Struct {
				walk(v.Field(i), here)
				continue
			}
			out = append(out, Setting{
				Key: strings.Join(here, "."), Env: envPrefix + strings.ToUpper(strings.Join(here, "_")), Path: here, value: v.Field(i)})
		}
	}
	walk(reflect.ValueOf(c).Elem(), nil)
	return out
}

// text is a value as a file would have it; lists with commas as in a variable.
func text(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return shortDuration(x)
	case []string:
		return strings.Join(x, ",")
	}
	return fmt.Sprint(v.Interface())
}

// shortDuration drops the parts that are zero: 1m instead of 1m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
