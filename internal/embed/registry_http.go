package embed

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// maxSchemaBytes bounds a request to the registry.
const maxSchemaBytes = 1 << 20

// registryHandler answers the part of the Confluent API that its clients use.
type registryHandler struct{ store *registryStore }

// answer is the body of a successful request.
type answer func(r *http.Request) (any, error)

func newRegistryHandler(store *registryStore) http.Handler {
	h := registryHandler{store: store}
	mux := http.NewServeMux()
	for pattern, fn := range map[string]answer{
		"GET /{$}":                                                  func(*http.Request) (any, error) { return map[string]string{}, nil },
		"GET /mode":                                                 func(*http.Request) (any, error) { return map[string]string{"mode": "READWRITE"}, nil },
		"GET /mode/{subject}":                                       func(*http.Request) (any, error) { return map[string]string{"mode": "READWRITE"}, nil },
		"GET /schemas/types":                                        func(*http.Request) (any, error) { return []string{"AVRO"}, nil },
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

// schemaRequest is the body of every POST with a schema.
type schemaRequest struct {
	Schema     string            `json:"schema"`
	SchemaType string            `json:"schemaType"`
	References []json.RawMessage `json:"references"`
}

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

func readSchema(r *http.Request) (string, error) {
	var req schemaRequest
	if err := readBody(r, &req); err != nil {
		return "", err
	}
	if req.SchemaType != "" && req.SchemaType != "AVRO" {
		return "", &registryError{http.StatusUnprocessableEntity, 42201, fmt.Sprintf("schema type %q: this registry keeps Avro only", req.SchemaType)}
	}
	if len(req.References) > 0 {
		return "", &registryError{http.StatusUnprocessableEntity, 42201, "schema references are not supported: write the schema out"}
	}
	return req.Schema, nil
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
	name := r.PathValue("subject")
	canonical, err := h.store.valid(name, schema)
	if err != nil {
		return nil, err
	}
	h.store.mu.RLock()
	defer h.store.mu.RUnlock()
	sub, err := h.subject(name)
	if err != nil {
		return nil, err
	}
	id, version, ok := h.store.find(sub, canonical)
	if !ok {
		return nil, &registryError{http.StatusNotFound, 40403, fmt.Sprintf("subject %q has no such schema", name)}
	}
	return h.versionAnswer(name, version, id), nil
}

func (h registryHandler) compatible(r *http.Request) (any, error) {
	schema, err := readSchema(r)
	if err != nil {
		return nil, err
	}
	name := r.PathValue("subject")
	if _, err := h.store.valid(name, schema); err != nil {
		return nil, err
	}
	h.store.mu.RLock()
	defer h.store.mu.RUnlock()
	if _, err := h.subject(name); err != nil {
		return nil, err
	}
	reason := h.store.compatible(name, schema)
	body := map[string]any{"is_compatible": reason == nil}
	if reason != nil {
		body["messages"] = []string{reason.Error()}
	}
	return body, nil
}

func (h registryHandler) schemaByID(r *http.Request) (any, error) {
	_, text, err := h.byID(r)
	return map[string]string{"schema": text}, err
}

func (h registryHandler) textByID(r *http.Request) (any, error) {
	_, text, err := h.byID(r)
	return json.RawMessage(text), err
}

func (h registryHandler) byID(r *http.Request) (id int, text string, err error) {
	h.store.mu.RLock()
	defer h.store.mu.RUnlock()
	id, convErr := strconv.Atoi(r.PathValue("id"))
	text, ok := h.store.state.Schemas[id]
	if convErr != nil || !ok {
		return 0, "", &registryError{http.StatusNotFound, 40403, fmt.Sprintf("schema %q is not known here", r.PathValue("id"))}
	}
	return id, text, nil
}

// usage is one place where a schema is used.
type usage struct {
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

func (h registryHandler) versionsByID(r *http.Request) (any, error) {
	id, _, err := h.byID(r)
	if err != nil {
		return nil, err
	}
	h.store.mu.RLock()
	defer h.store.mu.RUnlock()
	uses := []usage{}
	for name, sub := range h.store.state.Subjects {
		for i, have := range sub.IDs {
			if have == id {
				uses = append(uses, usage{Subject: name, Version: i + 1})
			}
		}
	}
	slices.SortFunc(uses, func(a, b usage) int { return strings.Compare(a.Subject, b.Subject) })
	return uses, nil
}

func (h registryHandler) subjectsByID(r *http.Request) (any, error) {
	uses, err := h.versionsByID(r)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, u := range uses.([]usage) {
		names = append(names, u.Subject)
	}
	return slices.Compact(names), nil
}

func (h registryHandler) subjects(r *http.Request) (any, error) {
	prefix := r.URL.Query().Get("subjectPrefix")
	h.store.mu.RLock()
	defer h.store.mu.RUnlock()
	names := []string{}
	for name, sub := range h.store.state.Subjects {
		if len(sub.IDs) > 0 && strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// subject is the subject of that name, if it has a version. The caller holds
// the lock.
func (h registryHandler) subject(name string) (*subject, error) {
	sub := h.store.state.Subjects[name]
	if sub == nil || len(sub.IDs) == 0 {
		return nil, &registryError{http.StatusNotFound, 40401, fmt.Sprintf("subject %q is not known here", name)}
	}
	return sub, nil
}

func (h registryHandler) versions(r *http.Request) (any, error) {
	h.store.mu.RLock()
	defer h.store.mu.RUnlock()
	sub, err := h.subject(r.PathValue("subject"))
	if err != nil {
		return nil, err
	}
	numbers := make([]int, len(sub.IDs))
	for i := range numbers {
		numbers[i] = i + 1
	}
	return numbers, nil
}

// versionBody describes one version of a subject.
type versionBody struct {
	Subject string `json:"subject"`
	Version int    `json:"version"`
	ID      int    `json:"id"`
	Schema  string `json:"schema"`
}

func (h registryHandler) versionAnswer(name string, version, id int) versionBody {
	return versionBody{Subject: name, Version: version, ID: id, Schema: h.store.state.Schemas[id]}
}

func (h registryHandler) version(r *http.Request) (any, error) {
	h.store.mu.RLock()
	defer h.store.mu.RUnlock()
	name, text := r.PathValue("subject"), r.PathValue("version")
	sub, err := h.subject(name)
	if err != nil {
		return nil, err
	}
	version := len(sub.IDs)
	if text != "latest" && text != "-1" {
		version, err = strconv.Atoi(text)
		if err != nil || version < 1 {
			return nil, &registryError{http.StatusUnprocessableEntity, 42202, fmt.Sprintf("version %q is neither a positive number nor \"latest\"", text)}
		}
	}
	if version > len(sub.IDs) {
		return nil, &registryError{http.StatusNotFound, 40402, fmt.Sprintf("subject %q has no version %d", name, version)}
	}
	return h.versionAnswer(name, version, sub.IDs[version-1]), nil
}

func (h registryHandler) versionText(r *http.Request) (any, error) {
	body, err := h.version(r)
	if err != nil {
		return nil, err
	}
	return json.RawMessage(body.(versionBody).Schema), nil
}

func (h registryHandler) level(r *http.Request) (any, error) {
	h.store.mu.RLock()
	defer h.store.mu.RUnlock()
	return map[string]string{"compatibilityLevel": h.store.level(h.store.state.Subjects[r.PathValue("subject")])}, nil
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
