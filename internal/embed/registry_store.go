package embed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

// CheckSchema judges a new schema of a subject against the earlier ones, the
// oldest first. Without earlier ones it only says whether the schema is valid.
// Its error is the reason that a person reads.
type CheckSchema func(subject, schema string, earlier []string) error

// Compatibility levels the registry knows, by their Confluent names.
const (
	compatNone           = "NONE"
	compatFull           = "FULL"
	compatFullTransitive = "FULL_TRANSITIVE"
)

// registryState is what registry.json holds. Schemas are never removed: a
// record in the log needs the schema that wrote it.
type registryState struct {
	Schemas       map[int]string      `json:"schemas"`
	Subjects      map[string]*subject `json:"subjects"`
	Compatibility string              `json:"compatibility"`
}

type subject struct {
	// IDs holds the schema id of version 1, 2, ….
	IDs           []int  `json:"ids"`
	Compatibility string `json:"compatibility,omitempty"`
}

// registryStore is the state in memory and on disk; a change is on disk before
// its method returns.
type registryStore struct {
	path  string
	check CheckSchema

	mu    sync.RWMutex
	state registryState
}

// registryError is an answer to a client: HTTP status, Confluent error code,
// message.
type registryError struct {
	status  int
	code    int
	message string
}

func (e *registryError) Error() string { return e.message }

// registryRemedy is what to do about a file that cannot be used. Without it the ids in
// the log would be given to other schemas.
const registryRemedy = "put it back from a backup: the records of the log cannot be read without its schemas (a lake that may be lost begins anew in another --data-dir)"

func openRegistryStore(path string, check CheckSchema) (*registryStore, error) {
	s := &registryStore{path: path, check: check, state: registryState{
		Schemas:       map[int]string{},
		Subjects:      map[string]*subject{},
		Compatibility: compatFullTransitive,
	}}
	if _, err := readJSON(path, &s.state); err != nil {
		return nil, fmt.Errorf("loading the schema registry: %w; %s", err, registryRemedy)
	}
	for name, sub := range s.state.Subjects {
		for _, id := range sub.IDs {
			if _, ok := s.state.Schemas[id]; !ok {
				return nil, fmt.Errorf("loading the schema registry: %q lacks schema %d of subject %q; %s", path, id, name, registryRemedy)
			}
		}
	}
	return s, nil
}

// register adds schema as the newest version of the subject and returns its
// id; a schema the subject has already keeps its id and version.
func (s *registryStore) register(name, schema string) (id int, err error) {
	canonical, err := s.valid(name, schema)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := s.state.Subjects[name]
	if id, _, ok := s.find(sub, canonical); ok {
		return id, nil
	}
	if err := s.compatible(name, schema); err != nil {
		return 0, err
	}
	next := s.state.clone()
	id, ok := next.idOf(canonical)
	if !ok {
		id = next.nextID()
		next.Schemas[id] = schema
	}
	if next.Subjects[name] == nil {
		next.Subjects[name] = &subject{}
	}
	next.Subjects[name].IDs = append(next.Subjects[name].IDs, id)
	return id, s.save(next)
}

// valid refuses what is not a schema at all and returns its canonical text.
func (s *registryStore) valid(name, schema string) (canonical string, err error) {
	canonical, err = canonicalJSON(schema)
	if err == nil {
		err = s.check(name, schema, nil)
	}
	if err != nil {
		return "", &registryError{422, 42201, "invalid schema: " + err.Error()}
	}
	return canonical, nil
}

// compatible says why the subject cannot take schema as its newest version.
// The caller holds the lock.
func (s *registryStore) compatible(name, schema string) error {
	sub := s.state.Subjects[name]
	if sub == nil || len(sub.IDs) == 0 {
		return nil
	}
	ids := sub.IDs
	switch s.level(sub) {
	case compatNone:
		return nil
	case compatFull:
		ids = ids[len(ids)-1:]
	}
	earlier := make([]string, len(ids))
	for i, id := range ids {
		earlier[i] = s.state.Schemas[id]
	}
	if err := s.check(name, schema, earlier); err != nil {
		return &registryError{409, 409, fmt.Sprintf("schema is not compatible with the earlier versions of subject %q: %v", name, err)}
	}
	return nil
}

func (s *registryStore) level(sub *subject) string {
	if sub != nil && sub.Compatibility != "" {
		return sub.Compatibility
	}
	return s.state.Compatibility
}

// setLevel changes the compatibility level of one subject, or of all that have
// none of their own when name is empty. An empty level takes a subject's own
// one away.
func (s *registryStore) setLevel(name, level string) error {
	known := []string{compatFullTransitive, compatFull, compatNone}
	if level != "" && !slices.Contains(known, level) {
		return &registryError{422, 42203, fmt.Sprintf("compatibility level %q is not one this registry checks: use one of %v", level, known)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.state.clone()
	switch {
	case name == "":
		next.Compatibility = level
	case next.Subjects[name] == nil:
		next.Subjects[name] = &subject{Compatibility: level}
	default:
		next.Subjects[name].Compatibility = level
	}
	return s.save(next)
}

// save makes next the state: on disk first, then in memory.
func (s *registryStore) save(next registryState) error {
	if err := writeJSON(s.path, next); err != nil {
		return fmt.Errorf("saving the schema registry: %w", err)
	}
	s.state = next
	return nil
}

// find looks the canonical schema up among the subject's versions.
func (s *registryStore) find(sub *subject, canonical string) (id, version int, ok bool) {
	if sub == nil {
		return 0, 0, false
	}
	for i, id := range sub.IDs {
		if have, err := canonicalJSON(s.state.Schemas[id]); err == nil && have == canonical {
			return id, i + 1, true
		}
	}
	return 0, 0, false
}

func (st registryState) clone() registryState {
	next := registryState{Schemas: map[int]string{}, Subjects: map[string]*subject{}, Compatibility: st.Compatibility}
	for id, schema := range st.Schemas {
		next.Schemas[id] = schema
	}
	for name, sub := range st.Subjects {
		next.Subjects[name] = &subject{IDs: slices.Clone(sub.IDs), Compatibility: sub.Compatibility}
	}
	return next
}

// idOf finds a schema that another subject registered: one schema, one id.
func (st registryState) idOf(canonical string) (int, bool) {
	for id, schema := range st.Schemas {
		if have, err := canonicalJSON(schema); err == nil && have == canonical {
			return id, true
		}
	}
	return 0, false
}

func (st registryState) nextID() int {
	next := 1
	for id := range st.Schemas {
		next = max(next, id+1)
	}
	return next
}

// canonicalJSON is one text for all spellings of a JSON value that differ in
// space and in the order of keys.
func canonicalJSON(text string) (string, error) {
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return "", fmt.Errorf("not JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return "", errors.New("not JSON: something follows the first value")
	}
	out, err := json.Marshal(v)
	return string(out), err
}
