package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

const envPrefix = "PRICELAKE_"

// outsideTree are PRICELAKE_… variables that are read elsewhere.
func outsideTree() []string {
	return []string{"PRICELAKE_CONFIG", "PRICELAKE_CORPUS", "PRICELAKE_CACHE_DIR", "PRICELAKE_CHDB_INTEGRITY"}
}

// ApplyEnv sets the values that environ (as of os.Environ) names: the key
// kafka.session_timeout is PRICELAKE_KAFKA_SESSION_TIMEOUT; lists are separated
// by commas. Every unknown variable and bad value is reported at once.
func (c *Config) ApplyEnv(environ []string) error {
	settings := map[string]Setting{}
	var names []string
	for _, s := range leaves(c) {
		settings[s.Env] = s
		names = append(names, s.Env)
	}
	slices.Sort(names)
	var errs []error
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, envPrefix) {
			continue
		}
		s, ok := settings[name]
		if !ok {
			if !ignored(name) {
				errs = append(errs, fmt.Errorf("%s: no such setting; %s", name, DidYouMean(name, names)))
			}
			continue
		}
		if err := setText(s.value, value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// ignored says that a variable belongs to somebody else: secrets that env:
// references name end in _SECRET, _PASSWORD or _KEY.
func ignored(name string) bool {
	for _, n := range outsideTree() {
		if n == name {
			return true
		}
	}
	for _, suffix := range []string{"_SECRET", "_PASSWORD", "_KEY", "_TOKEN"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return strings.HasPrefix(name, "PRICELAKE_TEST_")
}

func setText(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is no duration: write 500ms, 5s, 2m …", text)
		}
		v.SetInt(int64(d))
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is no whole number", text)
		}
		v.SetInt(int64(n))
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		v.SetBool(b)
	case reflect.Slice:
		var list []string
		for p := range strings.SplitSeq(text, ",") {
			if p = strings.TrimSpace(p); p != "" {
				list = append(list, p)
			}
		}
		v.Set(reflect.ValueOf(list))
	default:
		return fmt.Errorf("a setting of kind %s cannot come from the environment", v.Kind())
	}
	return nil
}
