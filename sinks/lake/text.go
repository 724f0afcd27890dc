package lake

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// textOf writes a scanned value of a ClickHouse type as ClickHouse writes it,
// and says false for a null. Numbers are exact: decimals and wide integers come
// as types that print all their digits.
func textOf(v reflect.Value, typ string) (string, bool) {
	typ = unwrapped(typ)
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return "", false
		}
		if _, ok := v.Interface().(fmt.Stringer); ok && v.Kind() == reflect.Pointer {
			if _, ok := v.Elem().Interface().(fmt.Stringer); !ok {
				break // a *big.Int prints itself, a big.Int does not
			}
		}
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case time.Time:
		return timeText(x, typ), true
	case string:
		return x, true
	case fmt.Stringer:
		return x.String(), true
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		return listText(v, typ), true
	case reflect.Map:
		return mapText(v, typ), true
	case reflect.Float32, reflect.Float64:
		bits := v.Type().Bits()
		return readable(strconv.FormatFloat(v.Float(), 'f', -1, bits), strconv.FormatFloat(v.Float(), 'e', -1, bits)), true
	}
	return fmt.Sprint(v.Interface()), true
}

// readable chooses between the two ways of writing a number as ClickHouse does:
// with an exponent below 1e-6 and from 1e21 on.
func readable(plain, scientific string) string {
	mantissa, exponent, found := strings.Cut(scientific, "e")
	n, err := strconv.Atoi(exponent)
	switch {
	case !found || err != nil: // inf, nan
		return strings.ToLower(strings.TrimPrefix(plain, "+"))
	case n >= -6 && n < 21:
		return plain
	}
	return mantissa + "e" + strconv.Itoa(n)
}

// timeText writes a time with the fraction its type has.
func timeText(t time.Time, typ string) string {
	switch {
	case strings.HasPrefix(typ, "Date(") || typ == "Date" || typ == "Date32":
		return t.Format(time.DateOnly)
	case !strings.HasPrefix(typ, "DateTime64("):
		return t.Format(time.DateTime)
	}
	digits, _, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(typ, "DateTime64("), ")"), ",")
	n, err := strconv.Atoi(digits)
	if err != nil || n <= 0 || n > 9 {
		return t.Format(time.DateTime)
	}
	return t.Format(time.DateTime + "." + strings.Repeat("0", n))
}

func listText(v reflect.Value, typ string) string {
	inner := arguments(typ)
	brackets, of := "[]", func(int) string { return "" }
	switch {
	case strings.HasPrefix(typ, "Tuple("):
		brackets = "()"
		of = func(i int) string { return afterName(inner, i) }
	case len(inner) == 1:
		of = func(int) string { return inner[0] }
	}
	parts := make([]string, v.Len())
	for i := range parts {
		parts[i] = elementText(v.Index(i), of(i))
	}
	return brackets[:1] + strings.Join(parts, ",") + brackets[1:]
}

func mapText(v reflect.Value, typ string) string {
	inner := arguments(typ)
	if strings.HasPrefix(typ, "Tuple(") { // one whose elements have names
		parts := make([]string, len(inner))
		for i := range inner {
			name, _, _ := strings.Cut(inner[i], " ")
			parts[i] = elementText(v.MapIndex(reflect.ValueOf(strings.Trim(name, "`"))), afterName(inner, i))
		}
		return "(" + strings.Join(parts, ",") + ")"
	}
	keyType, valueType := "", ""
	if len(inner) == 2 {
		keyType, valueType = inner[0], inner[1]
	}
	texts := map[string]string{}
	for _, k := range v.MapKeys() {
		texts[elementText(k, keyType)] = elementText(v.MapIndex(k), valueType)
	}
	parts := make([]string, 0, len(texts))
	for _, k := range sorted(texts) {
		parts = append(parts, k+":"+texts[k])
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// elementText writes a value inside another: what is text there has quotes.
func elementText(v reflect.Value, typ string) string {
	text, ok := textOf(v, typ)
	if !ok {
		return "NULL"
	}
	for _, number := range []string{"Int", "UInt", "Float", "Decimal", "Bool", "Array", "Tuple", "Map"} {
		if strings.HasPrefix(unwrapped(typ), number) {
			return text
		}
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

// unwrapped takes Nullable and LowCardinality off a type.
func unwrapped(typ string) string {
	for _, wrapper := range []string{"LowCardinality(", "Nullable("} {
		if rest, ok := strings.CutPrefix(typ, wrapper); ok {
			typ = strings.TrimSuffix(rest, ")")
		}
	}
	return typ
}

// arguments splits what is in the parentheses of a type at its outer commas.
func arguments(typ string) []string {
	open := strings.IndexByte(typ, '(')
	if open < 0 || !strings.HasSuffix(typ, ")") {
		return nil
	}
	var parts []string
	inner, depth, from := typ[open+1:len(typ)-1], 0, 0
	for i, c := range inner {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				parts = append(parts, strings.TrimSpace(inner[from:i]))
				from = i + 1
			}
		}
	}
	return append(parts, strings.TrimSpace(inner[from:]))
}

// afterName returns the type of an element of a tuple, which may have a name.
func afterName(types []string, i int) string {
	if i >= len(types) {
		return ""
	}
	name, typ, found := strings.Cut(types[i], " ")
	if !found || strings.ContainsAny(name, "(,") {
		return types[i]
	}
	return typ
}
