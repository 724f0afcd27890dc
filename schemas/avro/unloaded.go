package avro

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/sr"
)

// Unloaded returns the fields of the newest version of a subject that our schema
// does not have: what others write and this binary passes over. ErrUnavailable.
func (c *Client) Unloaded(ctx context.Context, s Subject) ([]string, error) {
	const newest = -1
	found, err := c.registry.SchemaByVersion(ctx, s.Name, newest)
	if err != nil {
		if err = c.explain(ctx, err); errors.Is(err, ErrNotFound) {
			return nil, nil
		}
		return nil, fmt.Errorf("asking for the newest version of %q: %w", s.Name, err)
	}
	if found.Type != sr.TypeAvro {
		return nil, nil
	}
	ours, err := newShape(s.Schema)
	if err != nil {
		return nil, fmt.Errorf("reading our schema of %q: %w", s.Name, err)
	}
	written, err := newShape(found.Schema.Schema)
	if err != nil {
		return nil, fmt.Errorf("reading the newest version of %q: %w", s.Name, err)
	}
	return unknownFields(ours, written), nil
}
