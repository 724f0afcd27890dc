package avro

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/pricelake/pricelake/internal/secure"
	"github.com/pricelake/pricelake/schemas"
)

// answering starts a server that answers every request alike.
func answering(t *testing.T, status int, body string) *Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	client, err := NewClient(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestRegisterAndLookUp(t *testing.T) {
	_, client := newRegistry(t)
	subject := subjectOf(t, schemas.TopicPrices)
	if _, err := client.Lookup(t.Context(), subject.Name, subject.Schema); !errors.Is(err, ErrNotFound) {
		t.Fatalf("looking up before registering: %v", err)
	}
	id, err := client.Register(t.Context(), subject.Name, subject.Schema)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := client.Register(t.Context(), subject.Name, subject.Schema); err != nil || again != id {
		t.Errorf("registering again: id %d after %d, %v", again, id, err)
	}
	if found, err := client.Lookup(t.Context(), subject.Name, subject.Schema); err != nil || found != id {
		t.Errorf("looking up: id %d, want %d, %v", found, id, err)
	}
	if text, err := client.Schema(t.Context(), id); err != nil || text != subject.Schema {
		t.Errorf("schema %d: %q, %v", id, text, err)
	}
	if err := client.SetCompatibility(t.Context(), subject.Name, Compatibility); err != nil {
		t.Error(err)
	}
	if err := client.SetCompatibility(t.Context(), subject.Name, "SOMETIMES"); err == nil {
		t.Error("a level that does not exist was set")
	}
	if reasons, err := client.CheckCompatible(t.Context(), subject.Name, subject.Schema); err != nil || reasons != nil {
		t.Errorf("compatible with itself: %v, %v", reasons, err)
	}
}

// TestKnownSchemasOutliveTheRegistry: ids that were seen are read while the
// registry is down; a new one gives an error that says so and goes away.
func TestKnownSchemasOutliveTheRegistry(t *testing.T) {
	down := atomic.Bool{}
	registry, _ := newRegistry(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		registry.Handler().ServeHTTP(w, r)
	}))
	defer server.Close()
	client, err := NewClient(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	subject := subjectOf(t, schemas.TopicPrices)
	registry.SeedSchema(subject.Name, 1, 7, sr.Schema{Schema: subject.Schema})
	registry.SeedSchema(subject.Name, 2, 8, sr.Schema{Schema: otherVersion(t, "never rounded", "not rounded")})
	codec, err := NewCodec[schemas.Price](schemas.TopicPrices, client)
	if err != nil {
		t.Fatal(err)
	}
	if err := codec.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	wire, err := codec.Append(nil, typicalPrice(t))
	if err != nil {
		t.Fatal(err)
	}
	down.Store(true)
	var price schemas.Price
	if err := codec.Decode(t.Context(), wire, &price); err != nil {
		t.Errorf("a known id: %v", err)
	}
	if _, err := client.DecodeJSON(t.Context(), wire); err != nil {
		t.Errorf("a known id as JSON: %v", err)
	}
	other := append(appendHeader(nil, 8), wire[wireHeader:]...)
	err = codec.Decode(t.Context(), other, &price)
	if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrBadRecord) || !strings.Contains(err.Error(), server.URL) {
		t.Errorf("an unknown id: %v", err)
	}
	down.Store(false)
	if err := codec.Decode(t.Context(), other, &price); err != nil {
		t.Errorf("after the registry came back: %v", err)
	}
}

func TestRegistryErrors(t *testing.T) {
	f := func(name string, client *Client, want error, text string) {
		t.Helper()
		_, err := client.Schema(t.Context(), 1)
		if err == nil || want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: got %v", name, err)
		}
		for _, other := range []error{ErrUnavailable, ErrNotFound, ErrIncompatible, ErrBadRecord} {
			if !errors.Is(want, other) && errors.Is(err, other) {
				t.Errorf("%s: %v is also %v", name, err, other)
			}
		}
		if len(err.Error()) > 1000 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
	f("not found", answering(t, 404, `{"error_code":40403,"message":"Schema not found"}`), ErrNotFound, "Schema not found")
	f("conflict", answering(t, 409, `{"error_code":409,"message":"incompatible"}`), ErrIncompatible, "incompatible")
	f("failure", answering(t, 500, strings.Repeat("<html>", 10000)), ErrUnavailable, "status 500")
	f("too many", answering(t, 429, ""), ErrUnavailable, "429")
	f("credentials", answering(t, 401, "no"), secure.ErrAuthentication, "registry.password")
	f("bad request", answering(t, 422, `{"error_code":42201,"message":"Invalid schema"}`), nil, "Invalid schema")
	f("html", answering(t, 200, "<html>login</html>"), ErrUnavailable, "")
	f("too large", answering(t, 200, `{"schema":"`+strings.Repeat("x", maxAnswer)+`"}`), ErrUnavailable, "too large")
	f("other type", answering(t, 200, `{"schema":"syntax","schemaType":"PROTOBUF"}`), ErrBadRecord, "Avro")
	f("references", answering(t, 200, `{"schema":"\"x\"","references":[{"name":"a","subject":"b","version":1}]}`), ErrBadRecord, "self-contained")

	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	client, err := NewClient(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	f("down", client, ErrUnavailable, server.URL)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Schema(ctx, 1); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestCheckCompatibleGivesReasons(t *testing.T) {
	client := answering(t, 200, `{"is_compatible":false,"messages":["field x has no default"]}`)
	reasons, err := client.CheckCompatible(t.Context(), "s", `"string"`)
	if err != nil || len(reasons) != 1 || reasons[0] != "field x has no default" {
		t.Errorf("got %q, %v", reasons, err)
	}
	if reasons, err := answering(t, 200, `{"is_compatible":false}`).CheckCompatible(t.Context(), "s", `"string"`); err != nil || len(reasons) != 1 {
		t.Errorf("without messages: %q, %v", reasons, err)
	}
	if reasons, err := answering(t, 404, `{}`).CheckCompatible(t.Context(), "s", `"string"`); err != nil || reasons != nil {
		t.Errorf("a new subject: %q, %v", reasons, err)
	}
	if _, err := answering(t, 503, `{}`).CheckCompatible(t.Context(), "s", `"string"`); !errors.Is(err, ErrUnavailable) {
		t.Errorf("unavailable: %v", err)
	}
}

func TestNewClient(t *testing.T) {
	for _, address := range []string{"", "127.0.0.1:8081", "ftp://host", "http://", "http://%zz", "http://user:password@host"} {
		if _, err := NewClient(address); err == nil {
			t.Errorf("a client of %q", address)
		}
	}
}

// TestParallelUse runs under the race detector.
func TestParallelUse(t *testing.T) {
	codec, older := olderPrice(t)
	newer, err := codec.Append(nil, typicalPrice(t))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				var price schemas.Price
				for _, wire := range [][]byte{older, newer} {
					if err := codec.Decode(t.Context(), wire, &price); err != nil {
						t.Error(err)
					}
					if _, err := codec.client.DecodeJSON(t.Context(), wire); err != nil {
						t.Error(err)
					}
				}
				if _, err := codec.Append(nil, &price); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestCacheIsBounded(t *testing.T) {
	client := answering(t, 200, `{"schema":"\"string\""}`)
	for id := range maxSchemas {
		client.remember(id, `"string"`)
	}
	for id := range maxSchemas + 10 {
		if text, err := client.Schema(t.Context(), id); err != nil || text != `"string"` {
			t.Fatal(text, err)
		}
	}
	if len(client.schemas) != maxSchemas {
		t.Errorf("%d schemas kept", len(client.schemas))
	}
}
