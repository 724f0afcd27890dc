package schemas

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// avroField is one field of an .avsc.
type avroField struct {
	Name    string
	Type    any
	Default any
	Doc     string
}

// binder compares an .avsc with the Go type it describes.
type binder struct {
	t     *testing.T
	named map[string]string // types defined so far, as they are spelt
}

// TestSchemasDescribeTheTypes: names, order and types of the fields of each .avsc
// are those of the Go type, and every field says what it means.
func TestSchemasDescribeTheTypes(t *testing.T) {
	types := map[string]reflect.Type{
		"CallDefined": reflect.TypeFor[CallDefined](), "InstrumentDefined": reflect.TypeFor[InstrumentDefined](),
		"SlotScheduled": reflect.TypeFor[SlotScheduled](), "PollRequested": reflect.TypeFor[PollRequested](),
		"PollFinished": reflect.TypeFor[PollFinished](), "ResponseReceived": reflect.TypeFor[ResponseReceived](),
		"Price": reflect.TypeFor[Price](), "PriceRejected": reflect.TypeFor[PriceRejected](),
		"DeadLetter": reflect.TypeFor[DeadLetter](), "RoleSwitched": reflect.TypeFor[RoleSwitched](), "DeadLetterMarked": reflect.TypeFor[DeadLetterMarked](),
	}
	for _, d := range Definitions() {
		t.Run(d.Topic, func(t *testing.T) {
			var schema map[string]any
			if err := json.Unmarshal([]byte(d.Schema), &schema); err != nil {
				t.Fatal(err)
			}
			if schema["namespace"] != "pricelake.v1" {
				t.Errorf("namespace %v", schema["namespace"])
			}
			b := binder{t: t, named: map[string]string{}}
			b.record(schema, types[d.Record])
		})
	}
}

func (b *binder) record(schema map[string]any, goType reflect.Type) {
	b.t.Helper()
	if goType == nil || schema["name"] != goType.Name() || schema["type"] != "record" || schema["doc"] == nil {
		b.t.Errorf("record %v does not describe %v", schema["name"], goType)
		return
	}
	data, _ := json.Marshal(schema["fields"])
	var fields []avroField
	if err := json.Unmarshal(data, &fields); err != nil {
		b.t.Fatal(err)
	}
	if len(fields) != goType.NumField() {
		b.t.Errorf("%s has %d fields in Avro and %d in Go", goType.Name(), len(fields), goType.NumField())
		return
	}
	for i, field := range fields {
		goField := goType.Field(i)
		name := goType.Name() + "." + goField.Name
		if field.Name != goField.Tag.Get("avro") || field.Name != goField.Tag.Get("json") {
			b.t.Errorf("field %d of %s is %q in Avro and %q in Go", i, goType.Name(), field.Name, goField.Tag)
		}
		if len(field.Doc) < 5 || !strings.HasSuffix(field.Doc, ".") {
			b.t.Errorf("%s has no proper doc: %q", name, field.Doc)
		}
		if got, want := b.spell(field.Type, goField.Type), spellGo(goField.Type); got != want {
			b.t.Errorf("%s is %s in Avro and %s in Go", name, got, want)
		}
	}
}

// spell returns the Go type an Avro type stands for.
func (b *binder) spell(avro any, goType reflect.Type) string {
	switch a := avro.(type) {
	case string:
		if known, ok := b.named[a]; ok {
			return known
		}
		return map[string]string{
			"string": "string", "bytes": "[]uint8", "boolean": "bool", "int": "int32", "long": "int64",
		}[a]
	case []any:
		if len(a) != 2 || a[0] != "null" {
			return fmt.Sprint(a)
		}
		inner := goType
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		return "?" + b.spell(a[1], inner)
	case map[string]any:
		return b.spellObject(a, goType)
	}
	return fmt.Sprint(avro)
}

func (b *binder) spellObject(a map[string]any, goType reflect.Type) string {
	name, _ := a["name"].(string)
	switch a["type"] {
	case "array":
		return "[]" + b.spell(a["items"], goType.Elem())
	case "map":
		return "map[string]" + b.spell(a["values"], goType.Elem())
	case "record":
		b.named[name] = name
		b.record(a, goType)
		return name
	case "enum":
		b.named[name] = name
		want := strings.Split(enumerations()[name].symbols, " ")
		data, _ := json.Marshal(a["symbols"])
		var symbols []string
		_ = json.Unmarshal(data, &symbols)
		if !reflect.DeepEqual(symbols, want) || a["default"] != want[0] {
			b.t.Errorf("enum %s has the symbols %q with default %v, want %q", name, symbols, a["default"], want)
		}
		return name
	case "fixed":
		spelt := fmt.Sprintf("fixed(%v)", a["size"])
		if a["logicalType"] == "decimal" {
			spelt = fmt.Sprintf("decimal(%v,%v) in %s", a["precision"], a["scale"], spelt)
		}
		b.named[name] = spelt
		return spelt
	default:
		return fmt.Sprintf("%v %v", a["logicalType"], a["type"])
	}
}

// spellGo spells a Go type as spell spells its Avro type.
func spellGo(goType reflect.Type) string {
	switch goType {
	case reflect.TypeFor[ID]():
		return "fixed(16)"
	case reflect.TypeFor[Decimal]():
		return fmt.Sprintf("decimal(%d,%d) in fixed(16)", Digits, Scale)
	case reflect.TypeFor[NullDecimal]():
		return "?" + spellGo(reflect.TypeFor[Decimal]())
	case reflect.TypeFor[time.Time]():
		return "timestamp-micros long"
	case reflect.TypeFor[Date]():
		return "date int"
	case reflect.TypeFor[Quality]():
		return "int32"
	}
	switch goType.Kind() {
	case reflect.Pointer:
		return "?" + spellGo(goType.Elem())
	case reflect.Slice:
		return "[]" + spellGo(goType.Elem())
	case reflect.Map:
		return "map[string]" + spellGo(goType.Elem())
	case reflect.Struct, reflect.Uint8:
		if goType.Name() == "uint8" {
			return "uint8"
		}
		return goType.Name()
	}
	return goType.Name()
}
