package avro

import (
	"errors"
	"fmt"

	"github.com/linkedin/goavro/v2"
	twmb "github.com/twmb/avro"
)

// CheckFullTransitive says whether a schema may become the next version after
// the earlier ones: it must read what each of them wrote, and each of them what
// it writes. The error names every pair that fails, versions counted from 1.
// Schemas that goavro, our reference, cannot use are refused too.
func CheckFullTransitive(newSchema string, earlier []string) error {
	next, err := parseChecked(newSchema)
	if err != nil {
		return fmt.Errorf("checking the new schema: %w", err)
	}
	var failed []error
	for i, text := range earlier {
		before, err := parseChecked(text)
		if err != nil {
			failed = append(failed, fmt.Errorf("checking against version %d: %w", i+1, err))
			continue
		}
		if err := twmb.CheckCompatibility(before, next); err != nil {
			failed = append(failed, fmt.Errorf("the new schema cannot read version %d: %w", i+1, err))
		}
		if err := twmb.CheckCompatibility(next, before); err != nil {
			failed = append(failed, fmt.Errorf("version %d cannot read the new schema: %w", i+1, err))
		}
	}
	return errors.Join(failed...)
}

func parseChecked(text string) (*twmb.Schema, error) {
	if _, err := goavro.NewCodec(text); err != nil {
		return nil, err
	}
	return twmb.Parse(text)
}
