package avro_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/embed"
	"github.com/pricelake/pricelake/internal/servers"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
)

// TestRegistries: what the client promises holds with the registry the product
// embeds and with Apicurio Registry.
func TestRegistries(t *testing.T) {
	t.Run("embedded", func(t *testing.T) { conform(t, embeddedRegistry(t)) })
	t.Run("Apicurio", func(t *testing.T) {
		if testing.Short() {
			t.Skip("starts a registry: not with -short")
		}
		r := servers.StartRegistry(t, servers.RegistryConfig{})
		t.Logf("Apicurio Registry %s", r.Version())
		conform(t, r.URL())
	})
}

func embeddedRegistry(t *testing.T) string {
	t.Helper()
	if !embed.Available() {
		t.Skip("this build has no embedded registry")
	}
	dir := t.TempDir()
	addresses, err := embed.OpenAddresses(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := embed.StartRegistry(t.Context(), embed.RegistryConfig{DataDir: dir, Addresses: addresses, Addr: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler),
		Check: func(_, schema string, earlier []string) error { return avro.CheckFullTransitive(schema, earlier) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r.URL()
}

// registry is a client and where it asks.
type registry struct {
	*avro.Client
	url string
}

func conform(t *testing.T, url string) {
	c := anotherClient(t, registry{url: url})
	for name, test := range map[string]func(*testing.T, registry){
		"every subject":        everySubject,
		"the first version":    firstVersion,
		"later versions":       laterVersions,
		"layouts":              layouts,
		"incompatible schemas": incompatible,
		"transitive":           transitive,
		"what is not there":    notThere,
		"no schema":            noSchema,
		"a record":             aRecord,
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) { test(t, c) })
	}
}

// everySubject does what `schemas register` does, twice, as every set-up does.
func everySubject(t *testing.T, c registry) {
	ids := map[string]int{}
	for range 2 {
		for _, s := range avro.Schemas() {
			if err := c.SetCompatibility(t.Context(), s.Name, avro.Compatibility); err != nil {
				t.Fatalf("%s: %v", s.Name, err)
			}
			id, err := c.Register(t.Context(), s.Name, s.Schema)
			if err != nil {
				t.Fatalf("%s: %v", s.Name, err)
			}
			if before, again := ids[s.Name]; again && before != id {
				t.Errorf("%s has the id %d, had %d", s.Name, id, before)
			}
			ids[s.Name] = id
			if reasons, err := c.CheckCompatible(t.Context(), s.Name, s.Schema); err != nil || reasons != nil {
				t.Errorf("%s is not compatible with itself: %q %v", s.Name, reasons, err)
			}
		}
	}
}

func register(t *testing.T, c registry, subject, schema string) int {
	t.Helper()
	id, err := c.Register(t.Context(), subject, schema)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// record is a schema with these fields.
func record(fields ...string) string {
	return `{"type":"record","name":"R","namespace":"test","fields":[` + strings.Join(fields, ",") + `]}`
}

const (
	fieldA     = `{"name":"a","type":"string"}`
	fieldB     = `{"name":"b","type":"long","default":0}`
	fieldC     = `{"name":"c","type":["null","string"],"default":null}`
	required   = `{"name":"d","type":"string"}`
	fieldBText = `{"name":"b","type":"string","default":""}`
)

func firstVersion(t *testing.T, c registry) {
	if _, err := c.Lookup(t.Context(), "first-value", record(fieldA)); !errors.Is(err, avro.ErrNotFound) {
		t.Errorf("looking up in a subject that is not there: %v", err)
	}
	if reasons, err := c.CheckCompatible(t.Context(), "first-value", record(fieldA)); err != nil || reasons != nil {
		t.Errorf("checking against a subject that is not there: %q %v", reasons, err)
	}
	id := register(t, c, "first-value", record(fieldA))
	if again := register(t, c, "first-value", record(fieldA)); again != id {
		t.Errorf("registered again: id %d, was %d", again, id)
	}
	if found, err := c.Lookup(t.Context(), "first-value", record(fieldA)); err != nil || found != id {
		t.Errorf("looked up: id %d, want %d, %v", found, id, err)
	}
	fresh := anotherClient(t, c)
	if text, err := fresh.Schema(t.Context(), id); err != nil || !sameJSON(text, record(fieldA)) {
		t.Errorf("schema %d: %s %v", id, text, err)
	}
}

// anotherClient knows nothing yet.
func anotherClient(t *testing.T, c registry) registry {
	t.Helper()
	fresh, err := avro.NewClient(c.url)
	if err != nil {
		t.Fatal(err)
	}
	return registry{fresh, c.url}
}

func sameJSON(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	s, _ := json.Marshal(x)
	u, _ := json.Marshal(y)
	return string(s) == string(u)
}

// laterVersions: every version keeps its id, whatever comes after it.
func laterVersions(t *testing.T, c registry) {
	const subject = "later-value"
	if err := c.SetCompatibility(t.Context(), subject, avro.Compatibility); err != nil {
		t.Fatal(err)
	}
	versions := []string{record(fieldA), record(fieldA, fieldB), record(fieldA, fieldB, fieldC)}
	var ids []int
	for _, v := range versions {
		ids = append(ids, register(t, c, subject, v))
	}
	fresh := anotherClient(t, c)
	for i, v := range versions {
		if found, err := fresh.Lookup(t.Context(), subject, v); err != nil || found != ids[i] {
			t.Errorf("version %d has the id %d, was registered with %d: %v", i+1, found, ids[i], err)
		}
		if text, err := fresh.Schema(t.Context(), ids[i]); err != nil || !sameJSON(text, v) {
			t.Errorf("version %d by its id: %s %v", i+1, text, err)
		}
	}
}

// layouts: schemas whose records look different on the wire, or mean something
// else, have ids of their own. Those that differ in words alone may share one
// (in Apicurio they do, as do those that differ in aliases or in the default of
// an enumeration), so whoever looks up the id of such a schema gets an answer.
func layouts(t *testing.T, c registry) {
	const subject = "layouts-value"
	if err := c.SetCompatibility(t.Context(), subject, "NONE"); err != nil {
		t.Fatal(err)
	}
	seen := map[int]string{}
	for _, schema := range []string{
		record(fieldA, fieldB), record(fieldB, fieldA),
		record(fieldA, strings.Replace(fieldB, "0", "5", 1)),
		record(fieldA, `{"name":"b","type":{"type":"long","logicalType":"timestamp-micros"},"default":0}`),
		record(`{"name":"a","type":{"type":"fixed","name":"D","size":16,"logicalType":"decimal","precision":38,"scale":18}}`),
		record(`{"name":"a","type":{"type":"fixed","name":"D","size":16,"logicalType":"decimal","precision":38,"scale":10}}`),
		record(`{"name":"e","type":{"type":"enum","name":"E","symbols":["x","y"],"default":"x"}}`),
		record(`{"name":"e","type":{"type":"enum","name":"E","symbols":["y","x"],"default":"x"}}`),
	} {
		id := register(t, c, subject, schema)
		if other, taken := seen[id]; taken {
			t.Errorf("one id, %d, for\n%s and\n%s", id, other, schema)
		}
		seen[id] = schema
	}
	for _, schema := range []string{
		strings.Replace(record(fieldA, fieldB), `"name":"R"`, `"name":"R","doc":"What it is."`, 1),
		record(`{"name":"e","type":{"type":"enum","name":"E","symbols":["x","y"],"default":"y"}}`),
	} {
		id := register(t, c, subject, schema)
		if found, err := anotherClient(t, c).Lookup(t.Context(), subject, schema); err != nil || found != id {
			t.Errorf("%s: looked up: id %d, registered with %d: %v", schema, found, id, err)
		}
	}
}

func incompatible(t *testing.T, c registry) {
	const subject = "incompatible-value"
	if err := c.SetCompatibility(t.Context(), subject, avro.Compatibility); err != nil {
		t.Fatal(err)
	}
	register(t, c, subject, record(fieldA, fieldB))
	for name, schema := range map[string]string{
		"a new field without default":           record(fieldA, fieldB, required),
		"a lost field without default":          record(fieldB),
		"another type":                          record(fieldA, fieldBText),
		"another name of the record":            strings.Replace(record(fieldA, fieldB), `"R"`, `"S"`, 1),
		"another kind of schema":                `"string"`,
		"another name and a field more besides": strings.Replace(record(fieldA, fieldB, fieldC), `"R"`, `"S"`, 1),
	} {
		reasons, err := c.CheckCompatible(t.Context(), subject, schema)
		if err != nil || len(reasons) == 0 || strings.TrimSpace(reasons[0]) == "" {
			t.Errorf("%s: checked: %q %v", name, reasons, err)
		}
		if _, err := c.Register(t.Context(), subject, schema); !errors.Is(err, avro.ErrIncompatible) {
			t.Errorf("%s: registered: %v", name, err)
		}
	}
}

// transitive: the last version alone would let it pass.
func transitive(t *testing.T, c registry) {
	const subject = "transitive-value"
	if err := c.SetCompatibility(t.Context(), subject, avro.Compatibility); err != nil {
		t.Fatal(err)
	}
	register(t, c, subject, record(fieldA, fieldB))
	register(t, c, subject, record(fieldA))
	schema := record(fieldA, fieldBText)
	if reasons, err := c.CheckCompatible(t.Context(), subject, schema); err != nil || len(reasons) == 0 {
		t.Errorf("checked: %q %v", reasons, err)
	}
	if _, err := c.Register(t.Context(), subject, schema); !errors.Is(err, avro.ErrIncompatible) {
		t.Errorf("registered: %v", err)
	}
}

func notThere(t *testing.T, c registry) {
	if _, err := c.Schema(t.Context(), 1_000_000); !errors.Is(err, avro.ErrNotFound) {
		t.Errorf("an id nobody has: %v", err)
	}
	register(t, c, "there-value", record(fieldA))
	if _, err := c.Lookup(t.Context(), "there-value", record(fieldA, fieldC)); !errors.Is(err, avro.ErrNotFound) {
		t.Errorf("a schema the subject does not have: %v", err)
	}
}

func noSchema(t *testing.T, c registry) {
	for _, text := range []string{"{", `{"type":"record"}`, `{"type":"nothing"}`} {
		_, err := c.Register(t.Context(), "broken-value", text)
		if err == nil || errors.Is(err, avro.ErrUnavailable) || errors.Is(err, avro.ErrIncompatible) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// aRecord takes a record through codecs that know nothing of each other.
func aRecord(t *testing.T, c registry) {
	var wire []byte
	price := schemas.Price{Provider: "p", Instrument: "BTC-USD"}
	for _, s := range avro.Schemas() {
		if s.Topic == schemas.TopicPrices {
			register(t, c, s.Name, s.Schema)
		}
	}
	for range 2 {
		codec, err := avro.NewCodec[schemas.Price](schemas.TopicPrices, anotherClient(t, c).Client)
		if err != nil {
			t.Fatal(err)
		}
		if err := codec.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		if wire == nil {
			if wire, err = codec.Append(nil, &price); err != nil {
				t.Fatal(err)
			}
			continue
		}
		var got schemas.Price
		if err := codec.Decode(t.Context(), wire, &got); err != nil || got.Instrument != price.Instrument {
			t.Errorf("%+v %v", got, err)
		}
	}
	text, err := anotherClient(t, c).DecodeJSON(t.Context(), wire)
	if err != nil || !strings.Contains(string(text), "BTC-USD") {
		t.Errorf("as JSON: %s %v", text, err)
	}
}
