package poller

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	redacted = "REDACTED"
	// maxSecretBytes is generous for tokens and signed keys alike.
	maxSecretBytes = 64 << 10
	// minRedactable is the length from which a secret's value is also removed
	// from answers that echo it. A shorter one could be part of a price.
	minRedactable = 8
)

// Secrets turns references in a call's headers and query into values: env:NAME
// reads Env, file:/path reads ReadFile without the newline at the end. References
// are resolved when a request is sent, so a rotated file is taken at the next
// attempt.
type Secrets struct {
	Env      func(name string) (string, bool)
	ReadFile func(path string) ([]byte, error)
}

// IsSecretReference reports whether a header or query value of a call names a
// secret instead of being the value.
func IsSecretReference(value string) bool {
	return strings.HasPrefix(value, "env:") || strings.HasPrefix(value, "file:")
}

// Resolve returns the value behind a reference. Its errors name the reference,
// never the value.
func (s Secrets) Resolve(reference string) (string, error) {
	value, err := s.read(reference)
	switch {
	case err != nil:
		return "", fmt.Errorf("resolving secret %q: %w", reference, err)
	case value == "":
		return "", fmt.Errorf("resolving secret %q: it is empty", reference)
	case len(value) > maxSecretBytes:
		return "", fmt.Errorf("resolving secret %q: it has %d bytes, the limit is %d", reference, len(value), maxSecretBytes)
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", fmt.Errorf("resolving secret %q: it has control characters or more than one line", reference)
	}
	return value, nil
}

func (s Secrets) read(reference string) (string, error) {
	if name, ok := strings.CutPrefix(reference, "env:"); ok {
		if s.Env == nil {
			return "", errors.New("this process reads no secrets from the environment")
		}
		value, ok := s.Env(name)
		if !ok {
			return "", errors.New("the environment variable is not set")
		}
		return value, nil
	}
	path, ok := strings.CutPrefix(reference, "file:")
	if !ok {
		return "", errors.New("write env:NAME or file:/path")
	}
	if s.ReadFile == nil {
		return "", errors.New("this process reads no secrets from files")
	}
	value, err := s.ReadFile(path)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(value), "\r\n"), nil
}

// redactor removes the values of one request's secrets from whatever that
// request gave rise to.
type redactor struct {
	spellings []string // longest first
}

// add makes the redactor know a value in the spellings it may come back in.
func (r *redactor) add(secret string) {
	quoted := strconv.Quote(secret)
	inJSON, err := json.Marshal(secret)
	if err != nil {
		inJSON = []byte(quoted)
	}
	r.spellings = append(r.spellings, secret, url.QueryEscape(secret), url.PathEscape(secret),
		quoted[1:len(quoted)-1], string(inJSON[1:len(inJSON)-1]))
	slices.SortFunc(r.spellings, func(a, b string) int { return len(b) - len(a) })
	r.spellings = slices.Compact(r.spellings)
}

// text removes every secret from a message.
func (r *redactor) text(s string) string {
	for _, spelling := range r.spellings {
		s = strings.ReplaceAll(s, spelling, redacted)
	}
	return s
}

// answer removes secrets from a part of an answer and says whether there were
// any. That an answer echoes the key of its request is the one reason for which
// an answer is not kept as it came.
func (r *redactor) answer(b []byte) ([]byte, bool) {
	found := false
	for _, spelling := range r.spellings {
		if len(spelling) >= minRedactable && bytes.Contains(b, []byte(spelling)) {
			b = bytes.ReplaceAll(b, []byte(spelling), []byte(redacted))
			found = true
		}
	}
	return b, found
}
