package avro

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
)

const (
	requestTimeout = 5 * time.Second
	maxAnswer      = 4 << 20 // bytes of one answer of the registry
	maxSchemas     = 1024    // cached ids; further ones are asked for each time
)

// Client speaks to a schema registry with the Confluent API. It may be used in
// parallel. An id that it has seen is never asked for again, so records of
// known schemas are read while the registry is down.
type Client struct {
	url      string // for messages
	http     *http.Client
	registry *sr.Client

	mu      sync.Mutex
	schemas map[int]*cached
	missing missing
}

// cached is what is known of one id.
type cached struct {
	text    string
	generic func() (*generic, error) // made once, when first asked for
}

// NewClient returns a client of the registry at an address such as
// http://127.0.0.1:8081 or https://host/apis/ccompat/v7, without options an
// anonymous one. It sends nothing yet.
func NewClient(address string, options ...Options) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the schema registry's address must be a URL such as http://127.0.0.1:8081, without user and password")
	}
	var o Options
	for _, given := range options {
		o = given
	}
	client := &http.Client{Timeout: requestTimeout, Transport: newTransport(o, u.Scheme == "https", requestTimeout)}
	registry, err := sr.NewClient(sr.UserAgent("pricelake"), sr.URLs(u.String()), sr.HTTPClient(client))
	if err != nil {
		return nil, fmt.Errorf("making a client of the schema registry at %s: %w", u, err)
	}
	return &Client{url: u.String(), http: client, registry: registry, schemas: make(map[int]*cached)}, nil
}

// Register makes the schema a version of the subject and returns its id; a
// schema that is one already keeps its id. ErrIncompatible, ErrUnavailable.
func (c *Client) Register(ctx context.Context, subject, schema string) (id int, err error) {
	id, err = c.registry.RegisterSchema(ctx, subject, avroSchema(schema), -1, -1)
	if err != nil {
		return 0, fmt.Errorf("registering the schema of %q: %w", subject, c.explain(ctx, err))
	}
	c.remember(id, schema)
	return id, nil
}

// Lookup returns the id of a schema that is a version of the subject.
// ErrNotFound, ErrUnavailable.
func (c *Client) Lookup(ctx context.Context, subject, schema string) (id int, err error) {
	found, err := c.registry.LookupSchema(ctx, subject, avroSchema(schema))
	if err != nil {
		return 0, fmt.Errorf("looking up the schema of %q: %w", subject, c.explain(ctx, err))
	}
	c.remember(found.ID, schema)
	return found.ID, nil
}

// Schema returns the text of the Avro schema with the id. ErrNotFound,
// ErrUnavailable.
func (c *Client) Schema(ctx context.Context, id int) (string, error) {
	known, err := c.schema(ctx, id)
	if err != nil {
		return "", err
	}
	return known.text, nil
}

func (c *Client) schema(ctx context.Context, id int) (*cached, error) {
	c.mu.Lock()
	known := c.schemas[id]
	c.mu.Unlock()
	if known != nil {
		return known, nil
	}
	// Several callers may ask for one new id at a time; the answers are equal.
	found, err := c.registry.SchemaByID(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("fetching the schema with the id %d: %w", id, c.explain(ctx, err))
	}
	if found.Type != sr.TypeAvro || len(found.References) > 0 {
		return nil, fmt.Errorf("fetching the schema with the id %d: it is not one self-contained Avro schema: %w (%w)", id, ErrBadRecord, ErrUnreadable)
	}
	return c.remember(id, found.Schema), nil
}

// remember keeps what is known of an id. An id never gets another schema.
func (c *Client) remember(id int, text string) *cached {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.schemas[id]; known != nil {
		return known
	}
	known := &cached{text: text, generic: sync.OnceValues(func() (*generic, error) { return newGeneric(text) })}
	if len(c.schemas) < maxSchemas {
		c.schemas[id] = known
	}
	return known
}

// CheckCompatible asks whether the schema could become a version of the
// subject. No reasons and no error means yes, also for a subject that does not
// exist. ErrUnavailable.
func (c *Client) CheckCompatible(ctx context.Context, subject, schema string) (reasons []string, err error) {
	const allVersions = -2
	answer, err := c.registry.CheckCompatibility(sr.WithParams(ctx, sr.Verbose), subject, allVersions, avroSchema(schema))
	if err != nil {
		if err = c.explain(ctx, err); errors.Is(err, ErrNotFound) {
			return nil, nil
		}
		return nil, fmt.Errorf("checking the schema of %q: %w", subject, err)
	}
	if answer.Is {
		return nil, nil
	}
	if len(answer.Messages) == 0 {
		return []string{"the registry gives no reason"}, nil
	}
	return answer.Messages, nil
}

// SetCompatibility sets the level of a subject, such as FULL_TRANSITIVE.
// ErrUnavailable.
func (c *Client) SetCompatibility(ctx context.Context, subject, level string) error {
	var set sr.SetCompatibility
	if err := set.Level.UnmarshalText([]byte(level)); err != nil {
		return fmt.Errorf("setting the compatibility of %q to %q: %w", subject, level, err)
	}
	for _, result := range c.registry.SetCompatibility(ctx, set, subject) {
		if result.Err != nil {
			return fmt.Errorf("setting the compatibility of %q to %q: %w", subject, level, c.explain(ctx, result.Err))
		}
	}
	return nil
}

func avroSchema(text string) sr.Schema { return sr.Schema{Schema: text, Type: sr.TypeAvro} }
