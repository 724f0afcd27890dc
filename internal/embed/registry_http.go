package embed

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// maxSchemaBytes bounds a request to the registry.
const maxSchemaBytes = 1 << 20

// registryHandler answers the part of the Confluent API that its clients use.
type registryHandler struct{ store *registryStore }

// answer makes the body of a successful request.
type answer func(r *http.Request) (any, error)

func newRegistryHandler(store *registryStore) http.Handler {
	h := registryHandler{store: store}
	mux := http.NewServeMux()
	for pattern, fn := range map[string]answer{
		"GET /{$}":                                                  constant(map[string]string{}),
		"GET /mode":                                                 constant(map[string]string{"mode": "READWRITE"}),
		"GET /mode/{subject}":                                       constant(map[string]string{"mode": "READWRITE"}),
		"GET /schemas/types":                                        constant([]string{"AVRO"}),
		"GET /schemas/ids/{id}":                                     h.schemaByID,
		"GET /schemas/ids/{id}/schema":                              h.textByID,
		"GET /schemas/ids/{id}/versions":                            h.versionsByID,
		"GET /schemas/ids/{id}/subjects":                            h.subjectsByID,
		"GET /subjects":                                             h.subjects,
		"POST /subjects/{subject}":                                  h.lookup,
		"GET /subjects/{subject}/versions":                          h.versions,
		"POST /subjects/{subject}/versions":                         h.register,
		"GET /subjects/{subject}/versions/{version}":                h.version,
		"GET /subjects/{subject}/versions/{version}/schema":         h.versionText,
		"POST /compatibility/subjects/{subject}/versions":           h.compatible,
		"POST /compatibility/subjects/{subject}/versions/{version}": h.compatible,
		"GET /config":                                               h.level,
		"GET /config/{subject}":                                     h.level,
		"PUT /config":                                               h.setLevel,
		"PUT /config/{subject}":                                     h.setLevel,
		"DELETE /config/{subject}":                                  h.dropLevel,
		"DELETE /subjects/":                                         h.neverDeleted,
		"/":                                                         h.unknown,
	} {
		mux.HandleFunc(pattern, respond(fn))
	}
	return mux
}

func respond(fn answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxSchemaBytes)
		status := http.StatusOK
		body, err := fn(r)
		if err != nil {
			var known *registryError
			if !errors.As(err, &known) {
				known = &registryError{http.StatusInternalServerError, 50001, err.Error()}
			}
			status = known.status
			body = map[string]any{"error_code": known.code, "message": known.message}
		}
		w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body) // a client that went away needs no answer
	}
}

func constant(body any) answer {
	return func(*http.Request) (any, error) { return body, nil }
}

// readBody fills v from the request.
func readBody(r *http.Request, v any) error {
	err := json.NewDecoder(r.Body).Decode(v)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return &registryError{http.StatusRequestEntityTooLarge, 413, fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit)}
	case err != nil:
		return &registryError{http.StatusUnprocessableEntity, 42201, "the body is not the JSON object this call takes: " + err.Error()}
	}
	return nil
}

// readSchema takes the schema out of the body of a POST.
func readSchema(r *http.Request) (string, error) {
	var body struct {
		Schema     string            `json:"schema"`
		SchemaType string            `json:"schemaType"`
		References []json.RawMessage `json:"references"`
	}
	if err := readBody(r, &body); err != nil {
		return "", err
	}
	if body.SchemaType != "" && body.SchemaType != "AVRO" {
		return "", &registryError{http.StatusUnprocessableEntity, 42201, fmt.Sprintf("schema type %q: this registry keeps Avro only", body.SchemaType)}
	}
	if len(body.References) > 0 {
		return "", &registryError{http.StatusUnprocessableEntity, 42201, "schema references are not supported: write the schema out"}
	}
	return body.Schema, nil
}

func (h registryHandler) register(r *http.Request) (any, error) {
	schema, err := readSchema(r)
	if err != nil {
		return nil, err
	}
	id, err := h.store.register(r.PathValue("subject"), schema)
	return map[string]int{"id": id}, err
}

func (h registryHandler) lookup(r *http.Request) (any, error) {
	schema, err := readSchema(r)
	if err != nil {
		return nil, err
	}
	return h.store.lookup(r.PathValue("subject"), schema)
}

func (h registryHandler) compatible(r *http.Request) (any, error) {
	schema, err := readSchema(r)
	if err != nil {
		return nil, err
	}
	reason, err := h.store.wouldTake(r.PathValue("subject"), schema)
	body := map[string]any{"is_compatible": reason == nil}
	if reason != nil {
		body["messages"] = []string{reason.Error()}
	}
	return body, err
}

func (h registryHandler) schemaByID(r *http.Request) (any, error) {
	text, err := h.store.schema(r.PathValue("id"))
	return map[string]string{"schema": text}, err
}

func (h registryHandler) textByID(r *http.Request) (any, error) {
	text, err := h.store.schema(r.PathValue("id"))
	return json.RawMessage(text), err
}

func (h registryHandler) versionsByID(r *http.Request) (any, error) {
	return h.store.usages(r.PathValue("id"))
}

func (h registryHandler) subjectsByID(r *http.Request) (any, error) {
	uses, err := h.store.usages(r.PathValue("id"))
	names := make([]string, len(uses))
	for i, u := range uses {
		names[i] = u.Subject
	}
	return slices.Compact(names), err
}

func (h registryHandler) subjects(r *http.Request) (any, error) {
	return h.store.names(r.URL.Query().Get("subjectPrefix")), nil
}

func (h registryHandler) versions(r *http.Request) (any, error) {
	return h.store.versions(r.PathValue("subject"))
}

func (h registryHandler) version(r *http.Request) (any, error) {
	return h.store.version(r.PathValue("subject"), r.PathValue("version"))
}

func (h registryHandler) versionText(r *http.Request) (any, error) {
	body, err := h.store.version(r.PathValue("subject"), r.PathValue("version"))
	return json.RawMessage(body.Schema), err
}

func (h registryHandler) level(r *http.Request) (any, error) {
	return map[string]string{"compatibilityLevel": h.store.levelOf(r.PathValue("subject"))}, nil
}

func (h registryHandler) setLevel(r *http.Request) (any, error) {
	var body struct {
		Compatibility string `json:"compatibility"`
	}
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	if body.Compatibility == "" {
		return nil, &registryError{http.StatusUnprocessableEntity, 42203, `the body lacks "compatibility"`}
	}
	return body, h.store.setLevel(r.PathValue("subject"), body.Compatibility)
}

func (h registryHandler) dropLevel(r *http.Request) (any, error) {
	if err := h.store.setLevel(r.PathValue("subject"), ""); err != nil {
		return nil, err
	}
	return h.level(r)
}

func (registryHandler) neverDeleted(*http.Request) (any, error) {
	return nil, &registryError{http.StatusMethodNotAllowed, 405, "schemas are never deleted here: records in the log need them"}
}

func (registryHandler) unknown(r *http.Request) (any, error) {
	return nil, &registryError{http.StatusNotFound, 404, fmt.Sprintf("%s %s is not part of this registry's API", r.Method, r.URL.Path)}
}
