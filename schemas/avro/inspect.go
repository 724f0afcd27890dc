package avro

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
)

// SubjectState is what a registry knows of a subject.
type SubjectState struct {
	// Versions the subject has, 0 when it is not there.
	Versions int
	// Registered: this binary's schema is one of them.
	Registered bool
	// Level is its compatibility, its own or the registry's.
	Level string
}

// Inspect asks for the state of a subject and changes nothing. ErrUnavailable.
func (c *Client) Inspect(ctx context.Context, s Subject) (SubjectState, error) {
	var state SubjectState
	versions, err := c.registry.SubjectVersions(ctx, s.Name)
	if err != nil {
		if err = c.explain(ctx, err); errors.Is(err, ErrNotFound) {
			return state, nil
		}
		return state, fmt.Errorf("asking for the versions of %q: %w", s.Name, err)
	}
	state.Versions = len(versions)
	_, err = c.Lookup(ctx, s.Name, s.Schema)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return state, err
	}
	state.Registered = err == nil
	for _, r := range c.registry.Compatibility(sr.WithParams(ctx, sr.DefaultToGlobal), s.Name) {
		if r.Err != nil {
			return state, fmt.Errorf("asking for the compatibility of %q: %w", s.Name, c.explain(ctx, r.Err))
		}
		state.Level = r.Level.String()
	}
	return state, nil
}

// ReadWrite is the mode of a registry that takes new schemas.
const ReadWrite = "READWRITE"

// Mode returns whether the registry takes schemas: READWRITE, READONLY and so on;
// empty when it has no modes. ErrUnavailable.
func (c *Client) Mode(ctx context.Context) (string, error) {
	modes := c.registry.Mode(ctx)
	if len(modes) == 0 {
		return "", nil
	}
	global := modes[0] // no subject was asked for
	if global.Err == nil {
		return global.Mode.String(), nil
	}
	err := c.explain(ctx, global.Err)
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	return "", fmt.Errorf("asking for the mode of the registry: %w", err)
}

// Ahead returns how far the registry's clock is ahead of now's, to a second or
// so: that is how exact the Date of an answer is. ok is false without one.
func (c *Client) Ahead(ctx context.Context, now func() time.Time) (ahead time.Duration, ok bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/mode", nil)
	if err != nil {
		return 0, false, fmt.Errorf("asking the registry for its time: %w", err)
	}
	asked := now()
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, false, fmt.Errorf("asking the registry for its time: %w", c.explain(ctx, err))
	}
	trip := now().Sub(asked)
	if err := resp.Body.Close(); err != nil {
		return 0, false, fmt.Errorf("asking the registry for its time: %w", err)
	}
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return 0, false, nil //nolint:nilerr // a server without a clock need send none
	}
	// The Date is cut to the second that it lies in.
	return date.Add(time.Second / 2).Sub(asked.Add(trip / 2)), true, nil
}
