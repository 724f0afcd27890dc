package avro

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/pricelake/pricelake/schemas"
)

// countingRegistry counts questions for schemas by their id.
func countingRegistry(t *testing.T) (*srfake.Registry, *Client, *atomic.Int64) {
	t.Helper()
	registry, asked := srfake.NewRegistry(), new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/schemas/ids/") {
			asked.Add(1)
		}
		registry.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	client, err := NewClient(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return registry, client, asked
}

// A record whose schema nobody has is found out once: a registry that is late has a
// second chance, and those that follow cost no question. A registry that has lost
// our schema too says nothing about the record.
func TestSchemasThatDoNotExist(t *testing.T) {
	registry, client, asked := countingRegistry(t)
	subject := subjectOf(t, schemas.TopicPrices)
	codec, err := NewCodec[schemas.Price](schemas.TopicPrices, client)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := NewRows[schemas.Price](schemas.TopicPrices, client)
	if err != nil {
		t.Fatal(err)
	}
	row := make([]schemas.Field, rows.Width())
	decode := func(id uint32) (one, other error) {
		var price schemas.Price
		one = codec.Decode(t.Context(), appendHeader(nil, id), &price)
		_, other = rows.Read(t.Context(), appendHeader(nil, id), row)
		return one, other
	}
	if one, other := decode(77); errors.Is(one, ErrNoSchema) || errors.Is(other, ErrNoSchema) || !errors.Is(one, ErrNotFound) || !errors.Is(other, ErrNotFound) {
		t.Errorf("a registry without any schema: %v, %v", one, other)
	}
	registry.SeedSchema(subject.Name, 1, 7, sr.Schema{Schema: subject.Schema})
	asked.Store(0)
	for range 3 {
		if one, other := decode(77); !errors.Is(one, ErrNoSchema) || !errors.Is(other, ErrNoSchema) || errors.Is(one, ErrBadRecord) {
			t.Errorf("an id that nobody has: %v, %v", one, other)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the registry was asked %d times for one id", n)
	}
	client.missing.grace = client.missing.grace.Add(-graceEvery)
	asked.Store(0)
	if one, _ := decode(78); !errors.Is(one, ErrNoSchema) || asked.Load() != int64(1+len(graces())) {
		t.Errorf("an id that nobody has, after %d questions: %v", asked.Load(), one)
	}
	later := func(d time.Duration) {
		client.missing.grace = client.missing.grace.Add(-d)
		for id, a := range client.missing.ids {
			client.missing.ids[id] = absence{a.since.Add(-d), a.err, a.grace.Add(-d)}
		}
	}
	for _, c := range []struct {
		after     time.Duration
		questions int
	}{{2 * graceEvery, 1}, {2 * graceEvery, 1}, {graceAgain, 1 + len(graces())}} {
		later(c.after)
		asked.Store(0)
		if one, _ := decode(78); !errors.Is(one, ErrNoSchema) || asked.Load() != int64(c.questions) {
			t.Errorf("an id that nobody has, %v later, after %d questions of %d: %v", c.after, asked.Load(), c.questions, one)
		}
	}
	later(graceAgain)
	ended, cancel := context.WithTimeout(t.Context(), graces()[0]/2)
	defer cancel()
	if _, err := client.writerSchema(ended, 78, subject); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second chance that ends early: %v", err)
	}
	later(2 * graceEvery)
	for i := range maxSchemas {
		_ = client.missing.put(1000+i, ErrNoSchema)
	}
	asked.Store(0)
	if one, _ := decode(78); !errors.Is(one, ErrNoSchema) || asked.Load() != int64(1+len(graces())) {
		t.Errorf("an id whose second chance was broken off, after %d questions: %v", asked.Load(), one)
	}
	later(2 * graceEvery)
	for i := range maxSchemas {
		_ = client.missing.put(2000+maxSchemas+i, ErrNoSchema)
	}
	asked.Store(0)
	if one, _ := decode(78); !errors.Is(one, ErrNoSchema) || asked.Load() != 1 {
		t.Errorf("an id among very many, after %d questions: %v", asked.Load(), one)
	}
	client.missing.ids[77] = absence{}
	registry.SeedSchema(subject.Name, 2, 77, sr.Schema{Schema: otherVersion(t, "never rounded", "not rounded")})
	if one, other := decode(77); !errors.Is(one, ErrBadRecord) || !errors.Is(other, ErrBadRecord) {
		t.Errorf("an id that came late: %v, %v; want that its empty record cannot be read", one, other)
	}
	if one, other := decode(1 << 31); !errors.Is(one, ErrBadRecord) || !errors.Is(other, ErrBadRecord) {
		t.Errorf("an id above all: %v, %v", one, other)
	}
}

// A schema that cannot be read as ours is resolved once, not for each of its
// records.
func TestUnreadableSchemasAreRemembered(t *testing.T) {
	registry, client, asked := countingRegistry(t)
	subject := subjectOf(t, schemas.TopicPrices)
	registry.SeedSchema(subject.Name, 1, 7, sr.Schema{Schema: subject.Schema})
	registry.SeedSchema("other-value", 1, 8, sr.Schema{Schema: otherVersion(t, `{"name":"provider","type":"string"`, `{"name":"provider","type":"double"`)})
	registry.SeedSchema("proto-value", 1, 9, sr.Schema{Schema: "syntax", Type: sr.TypeProtobuf})
	codec, err := NewCodec[schemas.Price](schemas.TopicPrices, client)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := NewRows[schemas.Price](schemas.TopicPrices, client)
	if err != nil {
		t.Fatal(err)
	}
	var price schemas.Price
	row := make([]schemas.Field, rows.Width())
	for range 3 {
		if err := codec.Decode(t.Context(), appendHeader(nil, 8), &price); !errors.Is(err, ErrBadRecord) {
			t.Errorf("a value of another schema: %v", err)
		}
		if _, err := rows.Read(t.Context(), appendHeader(nil, 8), row); !errors.Is(err, ErrUnreadable) || errors.Is(err, ErrBadRecord) {
			t.Errorf("a row of another schema: %v", err)
		}
		if _, err := rows.Read(t.Context(), appendHeader(nil, 9), row); !errors.Is(err, ErrBadRecord) {
			t.Errorf("a row of no Avro schema: %v", err)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the registry was asked %d times for two ids", n)
	}
	if w, _ := codec.writer(t.Context(), 8); w == nil || w.unreadable == nil {
		t.Error("the codec does not remember that it cannot read a schema")
	}
	if p := rows.plans.get(8); p == nil || p.unreadable == nil {
		t.Error("the rows do not remember that they cannot read a schema")
	}
}
