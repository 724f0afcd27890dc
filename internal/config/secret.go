package config

import (
	"fmt"
	"os"
	"strings"
)

// Secret is a reference to a secret, `env:NAME` or `file:/path`, never the
// secret itself. It prints as its reference.
type Secret string

// UnmarshalText refuses a secret written inline, without echoing it.
func (s *Secret) UnmarshalText(text []byte) error {
	v := string(text)
	if v != "" && !strings.HasPrefix(v, "env:") && !strings.HasPrefix(v, "file:") {
		return fmt.Errorf("a secret written inline: write env:NAME or file:/path instead")
	}
	*s = Secret(v)
	return nil
}

// Resolve reads the secret. getenv is os.Getenv but in tests. A file loses its
// trailing newline.
func (s Secret) Resolve(getenv func(string) string) (string, error) {
	switch ref := string(s); {
	case ref == "":
		return "", nil
	case strings.HasPrefix(ref, "env:"):
		name := strings.TrimPrefix(ref, "env:")
		v := getenv(name)
		if v == "" {
			return "", fmt.Errorf("reading secret %q: the environment variable is empty; set it", ref)
		}
		return v, nil
	default:
		b, err := os.ReadFile(strings.TrimPrefix(ref, "file:"))
		if err != nil {
			return "", fmt.Errorf("reading secret %q: %w", ref, err)
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	}
}
