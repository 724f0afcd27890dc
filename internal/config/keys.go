package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Setting is one key of the configuration with its value.
type Setting struct {
	Key string // as in a file, with dots: kafka.session_timeout
	Env string // the variable that sets it
	// Type and Field are where the key is declared in this package.
	Type, Field string

	path  []string
	value reflect.Value
}

// Settings returns every key of c with its value, in the order of their
// declaration.
func (c *Config) Settings() []Setting { return leaves(c) }

// Text is the value as the variable takes it. A secret is its reference.
func (s Setting) Text() string { return text(s.value) }

// leaves returns every key of c; setting a leaf's value sets it in c.
func leaves(c *Config) []Setting {
	var out []Setting
	var walk func(v reflect.Value, path []string)
	walk = func(v reflect.Value, path []string) {
		for i := range v.NumField() {
			field := v.Type().Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
			here := append(path[:len(path):len(path)], name)
			if v.Field(i).Kind() == reflect.Struct {
				walk(v.Field(i), here)
				continue
			}
			out = append(out, Setting{
				Key: strings.Join(here, "."), Env: envPrefix + strings.ToUpper(strings.Join(here, "_")),
				Type: v.Type().Name(), Field: field.Name, path: here, value: v.Field(i)})
		}
	}
	walk(reflect.ValueOf(c).Elem(), nil)
	return out
}

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

// Sources says for each key that a file or the environment sets where that is:
// "pricelake.yaml:3" or the variable's name. file may be empty. Values are not
// looked at: ApplyFile and ApplyEnv do.
func Sources(file string, environ []string) (map[string]string, error) {
	doc := &Document{file: file}
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading configuration: %w", err)
		}
		if doc, err = ParseYAML(file, data); err != nil {
			return nil, err
		}
	}
	sources := map[string]string{}
	var c Config
	for _, s := range leaves(&c) {
		path := make([]any, len(s.path))
		for i, part := range s.path {
			path[i] = part
		}
		if doc.root != nil && doc.Has(path...) {
			line, _ := doc.Position(path...)
			sources[s.Key] = fmt.Sprintf("%s:%d", file, line)
		}
		if slices.ContainsFunc(environ, func(kv string) bool { return strings.HasPrefix(kv, s.Env+"=") }) {
			sources[s.Key] = s.Env
		}
	}
	return sources, nil
}

// YAML writes the configuration as a file that ApplyFile takes, every key in
// it. A secret is its reference. note, when it is not nil, is a comment behind
// each key.
func (c *Config) YAML(note func(key string) string) []byte {
	var b bytes.Buffer
	var open []string
	for _, s := range leaves(c) {
		parents := s.path[:len(s.path)-1]
		for i, name := range parents {
			if i >= len(open) || open[i] != name || !slices.Equal(open[:i], parents[:i]) {
				fmt.Fprintf(&b, "%s%s:\n", strings.Repeat("  ", i), name)
			}
		}
		open = parents
		fmt.Fprintf(&b, "%s%s: %s", strings.Repeat("  ", len(parents)), s.path[len(parents)], literal(s.value))
		if note != nil {
			fmt.Fprintf(&b, "  # %s", note(s.Key))
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// literal is a value in YAML: JSON is YAML.
func literal(v reflect.Value) string {
	value := v.Interface()
	switch x := value.(type) {
	case time.Duration:
		return shortDuration(x)
	case []string:
		if len(x) == 0 {
			return "[]"
		}
	case Secret:
		value = string(x)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(value) // text, numbers, truth values, and lists of text
	return strings.TrimSpace(b.String())
}
