package embed_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/pricelake/pricelake/internal/embed"
)

// checkFields is a compatibility check for tests: later versions of a record
// may not lose a name that an earlier one has, and "bad" is no schema.
func checkFields(_, schema string, earlier []string) error {
	if strings.Contains(schema, "bad") {
		return errors.New("bad is not a type")
	}
	for _, old := range earlier {
		for _, name := range []string{"alpha", "beta"} {
			if strings.Contains(old, name) && !strings.Contains(schema, name) {
				return fmt.Errorf("field %q was removed", name)
			}
		}
	}
	return nil
}

func startRegistry(t *testing.T, dir string) (*embed.Registry, *sr.Client) {
	t.Helper()
	r, err := embed.StartRegistry(t.Context(), embed.RegistryConfig{
		DataDir: dir, Addresses: addresses(t, dir), Addr: "127.0.0.1:0", Check: checkFields, Logger: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	c, err := sr.NewClient(sr.URLs(r.URL()), sr.HTTPClient(&http.Client{Transport: transport}))
	if err != nil {
		t.Fatal(err)
	}
	return r, c
}

func record(fields ...string) sr.Schema {
	var list []string
	for _, f := range fields {
		list = append(list, fmt.Sprintf(`{"name":%q,"type":"string"}`, f))
	}
	return sr.Schema{Schema: fmt.Sprintf(`{"type":"record","name":"R","fields":[%s]}`, strings.Join(list, ","))}
}

func TestRegistryKeepsIDsOverRestarts(t *testing.T) {
	dir := t.TempDir()
	r, c := startRegistry(t, dir)
	first, err := c.CreateSchema(t.Context(), "a-value", record("alpha"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.CreateSchema(t.Context(), "a-value", record("alpha", "beta"))
	if err != nil {
		t.Fatal(err)
	}
	shared, err := c.CreateSchema(t.Context(), "b-value", record("alpha"))
	if err != nil {
		t.Fatal(err)
	}
	if first.ID == second.ID || shared.ID != first.ID || second.Version != 2 {
		t.Fatalf("ids %d, %d, %d and version %d: want one id for one schema, and version 2", first.ID, second.ID, shared.ID, second.Version)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	_, c = startRegistry(t, dir)
	for id, want := range map[int]string{first.ID: record("alpha").Schema, second.ID: record("alpha", "beta").Schema} {
		if got, err := c.SchemaByID(t.Context(), id); err != nil || got.Schema != want {
			t.Errorf("schema %d after a restart: %q, %v; want %q", id, got.Schema, err, want)
		}
	}
	// White space and the order of keys do not make another schema.
	spaced := sr.Schema{Schema: `{ "fields":[{"type":"string","name":"alpha"}], "name":"R", "type":"record" }`}
	if got, err := c.CreateSchema(t.Context(), "a-value", spaced); err != nil || got.ID != first.ID || got.Version != 1 {
		t.Errorf("registering again: %+v, %v; want id %d", got, err, first.ID)
	}
	third, err := c.CreateSchema(t.Context(), "c-value", record("gamma"))
	if err != nil || third.ID <= second.ID {
		t.Errorf("a new schema got id %d, %v; want one above %d", third.ID, err, second.ID)
	}
}

func TestRegistryReads(t *testing.T) {
	_, c := startRegistry(t, t.TempDir())
	for _, s := range []sr.Schema{record("alpha"), record("alpha", "beta")} {
		if _, err := c.CreateSchema(t.Context(), "a-value", s); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := c.Subjects(t.Context()); err != nil || !slices.Equal(got, []string{"a-value"}) {
		t.Errorf("subjects %v, %v", got, err)
	}
	if got, err := c.SubjectVersions(t.Context(), "a-value"); err != nil || !slices.Equal(got, []int{1, 2}) {
		t.Errorf("versions %v, %v", got, err)
	}
	if got, err := c.SchemaByVersion(t.Context(), "a-value", -1); err != nil || got.Version != 2 || got.ID != 2 {
		t.Errorf("latest %+v, %v", got, err)
	}
	if got, err := c.LookupSchema(t.Context(), "a-value", record("alpha")); err != nil || got.Version != 1 || got.ID != 1 {
		t.Errorf("lookup %+v, %v", got, err)
	}
	if got, err := c.SchemaTextByID(t.Context(), 1); err != nil || !strings.Contains(got, "alpha") {
		t.Errorf("text %q, %v", got, err)
	}
	if got, err := c.SubjectsByID(t.Context(), 2); err != nil || !slices.Equal(got, []string{"a-value"}) {
		t.Errorf("subjects by id %v, %v", got, err)
	}
	if got, err := c.SchemaUsagesByID(t.Context(), 1); err != nil || len(got) != 1 || got[0].Version != 1 {
		t.Errorf("usages %+v, %v", got, err)
	}
	if got, err := c.SupportedTypes(t.Context()); err != nil || !slices.Equal(got, []sr.SchemaType{sr.TypeAvro}) {
		t.Errorf("types %v, %v", got, err)
	}
	if got := c.Compatibility(t.Context()); got[0].Err != nil || got[0].Level != sr.CompatFullTransitive {
		t.Errorf("compatibility %+v, want FULL_TRANSITIVE", got)
	}
}

func status(err error) int {
	var e *sr.ResponseError
	if errors.As(err, &e) {
		return e.StatusCode
	}
	return 0
}

func TestRegistryRefuses(t *testing.T) {
	_, c := startRegistry(t, t.TempDir())
	ctx := t.Context()
	if _, err := c.CreateSchema(ctx, "a-value", record("alpha", "beta")); err != nil {
		t.Fatal(err)
	}
	_, incompatible := c.CreateSchema(ctx, "a-value", record("alpha"))
	_, invalid := c.CreateSchema(ctx, "a-value", record("bad"))
	_, notJSON := c.CreateSchema(ctx, "a-value", sr.Schema{Schema: "{"})
	_, proto := c.CreateSchema(ctx, "a-value", sr.Schema{Schema: "x", Type: sr.TypeProtobuf})
	_, refs := c.CreateSchema(ctx, "a-value", sr.Schema{Schema: "{}", References: []sr.SchemaReference{{Name: "x", Subject: "y", Version: 1}}})
	_, large := c.CreateSchema(ctx, "a-value", sr.Schema{Schema: `"` + strings.Repeat("x", 2<<20) + `"`})
	_, noID := c.SchemaByID(ctx, 99)
	_, noSubject := c.SubjectVersions(ctx, "none")
	_, noVersion := c.SchemaByVersion(ctx, "a-value", 7)
	_, deleted := c.DeleteSubject(ctx, "a-value", sr.SoftDelete)
	backward := c.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatBackward}, "a-value")[0].Err
	for _, tc := range []struct {
		name   string
		err    error
		status int
		text   string
	}{
		{"incompatible", incompatible, 409, `"beta" was removed`},
		{"invalid", invalid, 422, "bad is not a type"},
		{"not JSON", notJSON, 422, "not JSON"},
		{"protobuf", proto, 422, "Avro only"},
		{"references", refs, 422, "references"},
		{"too large", large, 413, "larger than"},
		{"unknown id", noID, 404, "99"},
		{"unknown subject", noSubject, 404, "none"},
		{"unknown version", noVersion, 404, "7"},
		{"delete", deleted, 405, "never deleted"},
		{"level it cannot check", backward, 422, "FULL_TRANSITIVE"},
	} {
		if status(tc.err) != tc.status || !strings.Contains(fmt.Sprint(tc.err), tc.text) {
			t.Errorf("%s: %v, want status %d and %q", tc.name, tc.err, tc.status, tc.text)
		}
	}
	if got, err := c.CheckCompatibility(ctx, "a-value", -1, record("alpha")); err != nil || got.Is || len(got.Messages) == 0 || !strings.Contains(got.Messages[0], "beta") {
		t.Errorf("compatibility check %+v, %v; want a reason that names beta", got, err)
	}
	if got, err := c.CheckCompatibility(ctx, "a-value", -1, record("alpha", "beta", "gamma")); err != nil || !got.Is {
		t.Errorf("compatibility check %+v, %v; want yes", got, err)
	}
	if got, err := c.SubjectVersions(ctx, "a-value"); err != nil || len(got) != 1 {
		t.Errorf("versions after the refusals: %v, %v; want one", got, err)
	}
}

func TestRegistryLevels(t *testing.T) {
	dir := t.TempDir()
	r, c := startRegistry(t, dir)
	ctx := t.Context()
	for _, s := range []sr.Schema{record("alpha", "beta")} {
		if _, err := c.CreateSchema(ctx, "a-value", s); err != nil {
			t.Fatal(err)
		}
	}
	if res := c.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatNone}, "a-value"); res[0].Err != nil {
		t.Fatal(res[0].Err)
	}
	if _, err := c.CreateSchema(ctx, "a-value", record("alpha")); err != nil {
		t.Errorf("level NONE: %v", err)
	}
	if res := c.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatFull}, "a-value"); res[0].Err != nil {
		t.Fatal(res[0].Err)
	}
	if err := r.Close(ctx); err != nil {
		t.Fatal(err)
	}
	_, c = startRegistry(t, dir)
	// FULL looks at the last version only, which has no beta.
	if _, err := c.CreateSchema(ctx, "a-value", record("alpha", "gamma")); err != nil {
		t.Errorf("level FULL after a restart: %v", err)
	}
	if res := c.ResetCompatibility(ctx, "a-value"); res[0].Err != nil {
		t.Fatal(res[0].Err)
	}
	if _, err := c.CreateSchema(ctx, "a-value", record("alpha", "delta")); status(err) != 409 {
		t.Errorf("level FULL_TRANSITIVE: %v, want 409", err)
	}
}

func TestRegistryTakesSchemasInParallel(t *testing.T) {
	_, c := startRegistry(t, t.TempDir())
	var wg sync.WaitGroup
	ids := make([]int, 16)
	for i := range ids {
		wg.Go(func() {
			s, err := c.CreateSchema(t.Context(), fmt.Sprintf("s%d-value", i), record(fmt.Sprintf("f%d", i/2)))
			if err != nil {
				t.Error(err)
			}
			ids[i] = s.ID
		})
	}
	wg.Wait()
	for i := 0; i < len(ids); i += 2 {
		if ids[i] != ids[i+1] {
			t.Errorf("one schema has the ids %d and %d", ids[i], ids[i+1])
		}
	}
	slices.Sort(ids)
	if got := len(slices.Compact(ids)); got != 8 {
		t.Errorf("%d ids for 8 schemas", got)
	}
}

func TestRegistryIsForThisMachineOnly(t *testing.T) {
	r, _ := startRegistry(t, t.TempDir())
	own := strings.TrimPrefix(r.URL(), "http://")
	for _, tc := range []struct {
		host, origin string
		want         int
	}{
		{own, "", 200},
		{"localhost:1", "", 200},
		{"[::1]:1", "", 200},
		{own, "http://" + own, 200},
		{"evil.example", "", 403},
		{"evil.example:8081", "", 403},
		{"127.0.0.1.evil.example", "", 403},
		{own, "http://evil.example", 403},
		{own, "null", 403},
		{own, "http://localhost:3000", 403},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL()+"/subjects", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = tc.host
		if tc.origin != "" {
			req.Header.Set("Origin", tc.origin)
		}
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != tc.want {
			t.Errorf("Host %q, Origin %q: status %d, want %d", tc.host, tc.origin, resp.StatusCode, tc.want)
		}
	}
}

func TestRegistryRefusesABrokenFile(t *testing.T) {
	for _, content := range []string{"{", `{"schemas":{},"subjects":{"a-value":{"ids":[1]}}}`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "registry.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := embed.StartRegistry(t.Context(), embed.RegistryConfig{DataDir: dir, Addresses: addresses(t, dir), Check: checkFields, Logger: quiet})
		if err == nil || !strings.Contains(err.Error(), "registry.json") || !strings.Contains(err.Error(), "backup") {
			t.Errorf("state %q: error %v, want one that names the file and what to do", content, err)
		}
	}
}
