package embed

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// usage is one place where a schema is used.
type usage struct {
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// versionBody is one version of a subject.
type versionBody struct {
	Subject string `json:"subject"`
	Version int    `json:"version"`
	ID      int    `json:"id"`
	Schema  string `json:"schema"`
}

// names are the subjects that have a version.
func (s *registryStore) names(prefix string) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	names := []string{}
	for name, sub := range s.state.Subjects {
		if len(sub.IDs) > 0 && strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// schema is the text under an id, which comes as the client wrote it.
func (s *registryStore) schema(id string) (string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.schemaLocked(id)
}

func (s *registryStore) schemaLocked(id string) (string, error) {
	n, err := strconv.Atoi(id)
	text, ok := s.state.Schemas[n]
	if err != nil || !ok {
		return "", &registryError{http.StatusNotFound, 40403, fmt.Sprintf("schema %q is not known here", id)}
	}
	return text, nil
}

// usages says which versions of which subjects have the id, in order.
func (s *registryStore) usages(id string) ([]usage, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, err := s.schemaLocked(id); err != nil {
		return nil, err
	}
	uses := []usage{}
	for name, sub := range s.state.Subjects {
		for i, have := range sub.IDs {
			if strconv.Itoa(have) == id {
				uses = append(uses, usage{Subject: name, Version: i + 1})
			}
		}
	}
	slices.SortFunc(uses, func(a, b usage) int { return strings.Compare(a.Subject, b.Subject) })
	return uses, nil
}

// versions are the version numbers of a subject.
func (s *registryStore) versions(name string) ([]int, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	sub, err := s.subjectLocked(name)
	if err != nil {
		return nil, err
	}
	numbers := make([]int, len(sub.IDs))
	for i := range numbers {
		numbers[i] = i + 1
	}
	return numbers, nil
}

// version is one version of a subject, or "latest".
func (s *registryStore) version(name, version string) (versionBody, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	sub, err := s.subjectLocked(name)
	if err != nil {
		return versionBody{}, err
	}
	n := len(sub.IDs)
	if version != "latest" && version != "-1" {
		n, err = strconv.Atoi(version)
		if err != nil || n < 1 {
			return versionBody{}, &registryError{http.StatusUnprocessableEntity, 42202, fmt.Sprintf("version %q is neither a positive number nor \"latest\"", version)}
		}
	}
	if n > len(sub.IDs) {
		return versionBody{}, &registryError{http.StatusNotFound, 40402, fmt.Sprintf("subject %q has no version %d", name, n)}
	}
	return s.bodyLocked(name, n, sub.IDs[n-1]), nil
}

// lookup finds the version of a subject that has this schema.
func (s *registryStore) lookup(name, schema string) (versionBody, error) {
	canonical, err := s.valid(name, schema)
	if err != nil {
		return versionBody{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	sub, err := s.subjectLocked(name)
	if err != nil {
		return versionBody{}, err
	}
	id, version, ok := s.find(sub, canonical)
	if !ok {
		return versionBody{}, &registryError{http.StatusNotFound, 40403, fmt.Sprintf("subject %q has no such schema", name)}
	}
	return s.bodyLocked(name, version, id), nil
}

// wouldTake says why the subject would not take schema as its newest version.
// The second error is that the question cannot be answered.
func (s *registryStore) wouldTake(name, schema string) (reason, err error) {
	if _, err := s.valid(name, schema); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, err := s.subjectLocked(name); err != nil {
		return nil, err
	}
	return s.compatible(name, schema), nil
}

// levelOf is the compatibility level that holds for a subject, or for all of
// them when name is empty.
func (s *registryStore) levelOf(name string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.level(s.state.Subjects[name])
}

func (s *registryStore) subjectLocked(name string) (*subject, error) {
	sub := s.state.Subjects[name]
	if sub == nil || len(sub.IDs) == 0 {
		return nil, &registryError{http.StatusNotFound, 40401, fmt.Sprintf("subject %q is not known here", name)}
	}
	return sub, nil
}

func (s *registryStore) bodyLocked(name string, version, id int) versionBody {
	return versionBody{Subject: name, Version: version, ID: id, Schema: s.state.Schemas[id]}
}
