package avro

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/pricelake/pricelake/internal/secure"
)

// Errors of the registry, wrapped with what was asked.
var (
	// ErrUnavailable: the registry cannot be reached or cannot answer now.
	// Asking again may help.
	ErrUnavailable = errors.New("the schema registry is not available")
	// ErrNotFound: it does not know the id, the subject or the schema.
	ErrNotFound = errors.New("the schema registry does not have it")
	// ErrIncompatible: it refuses the schema because an earlier version of the
	// subject cannot be read with it, or it with an earlier one.
	ErrIncompatible = errors.New("the schema is incompatible with an earlier version")
)

// explain puts an error of the registry into the classes above.
func (c *Client) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var answer *sr.ResponseError
	if !errors.As(err, &answer) { // no answer, or one that is no registry's
		var refused *secure.Error
		if errors.As(err, &refused) {
			return fmt.Errorf("the schema registry at %s: %w", c.url, refused)
		}
		return fmt.Errorf("%w at %s: %w", ErrUnavailable, c.url, err)
	}
	err = fmt.Errorf("status %d: %s", answer.StatusCode, shorten(answer.Error()))
	if refused := c.refused(answer.StatusCode, err); refused != nil {
		return refused
	}
	switch status := answer.StatusCode; {
	case status == http.StatusNotFound:
		return fmt.Errorf("%w (%s): %w", ErrNotFound, c.url, err)
	case status == http.StatusConflict:
		return fmt.Errorf("%w (%s): %w", ErrIncompatible, c.url, err)
	case strings.Contains(err.Error(), plainToTLS):
		return secure.Refuse(secure.ErrTLS, fmt.Sprintf("the schema registry at %s speaks TLS at this port", c.url), "write https in registry.url", err)
	case status >= http.StatusInternalServerError, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout:
		return fmt.Errorf("%w at %s: %w", ErrUnavailable, c.url, err)
	default:
		return fmt.Errorf("the schema registry at %s refuses: %w", c.url, err)
	}
}

// shorten keeps the message of an answer that is a page of a proxy readable.
func shorten(message string) string {
	const most = 300
	if len(message) <= most {
		return message
	}
	return strings.ToValidUTF8(message[:most], "") + "…"
}
