package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// ApplyFile sets the values that a YAML file names. Every mistake is reported at
// once, as Problems with line and remedy.
func (c *Config) ApplyFile(name string) error {
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no configuration file %q; name one with --config or PRICELAKE_CONFIG", name)
	}
	if err != nil {
		return fmt.Errorf("reading configuration: %w", err)
	}
	doc, err := ParseYAML(name, data)
	if err != nil {
		return err
	}
	if doc.Empty() {
		return nil
	}
	return doc.Decode(c).Err()
}
