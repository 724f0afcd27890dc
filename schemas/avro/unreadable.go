package avro

import (
	"context"
	"errors"
	"fmt"

	twmb "github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
)

// UnreadableVersion is a version of a subject whose records this binary cannot
// read.
type UnreadableVersion struct {
	Version int
	ID      int
	Reason  string
}

// Unreadable returns the versions of a subject that cannot be read as our schema,
// the oldest first: a registry takes such a one where the subject's compatibility
// was not ours. ErrUnavailable.
func (c *Client) Unreadable(ctx context.Context, s Subject) ([]UnreadableVersion, error) {
	ours, err := parseRaw(s.Schema)
	if err != nil {
		return nil, fmt.Errorf("reading our schema of %q: %w", s.Name, err)
	}
	versions, err := c.registry.SubjectVersions(ctx, s.Name)
	if err != nil {
		if err = c.explain(ctx, err); errors.Is(err, ErrNotFound) {
			return nil, nil
		}
		return nil, fmt.Errorf("asking for the versions of %q: %w", s.Name, err)
	}
	var all []UnreadableVersion
	for _, version := range versions {
		found, err := c.registry.SchemaByVersion(ctx, s.Name, version)
		if err != nil {
			return nil, fmt.Errorf("asking for version %d of %q: %w", version, s.Name, c.explain(ctx, err))
		}
		if err := readableAs(ours, found.Schema); err != nil {
			all = append(all, UnreadableVersion{Version: version, ID: found.ID, Reason: err.Error()})
		}
	}
	return all, nil
}

var errNotAvro = errors.New("it is not one self-contained Avro schema")

func readableAs(ours *twmb.Schema, written sr.Schema) error {
	if written.Type != sr.TypeAvro || len(written.References) > 0 {
		return errNotAvro
	}
	theirs, err := parseRaw(written.Schema)
	if err != nil {
		return err
	}
	_, err = twmb.Resolve(theirs, ours)
	return err
}
