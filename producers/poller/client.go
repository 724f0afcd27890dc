package poller

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/pricelake/pricelake/schemas"
)

const (
	defaultTimeout      = 10 * time.Second // of an attempt whose call names none
	tlsTimeout          = 5 * time.Second
	maxHeaderBytes      = 64 << 10
	idleTimeout         = 90 * time.Second
	idlePerHost         = 16
	defaultUserAgent    = "pricelake (+https://github.com/pricelake/pricelake)"
	defaultAccept       = "application/json, application/xml;q=0.9, text/xml;q=0.9, text/csv;q=0.9, */*;q=0.5"
	defaultAcceptCoding = "gzip"
)

// ClientConfig is what the guarded HTTP call is made of. The zero value calls
// public addresses only and knows no secrets.
type ClientConfig struct {
	// UserAgent is sent unless the call has one of its own. It should name a
	// contact.
	UserAgent string
	// AllowPrivate names hosts ("host" or "host:port") whose addresses may also
	// be private or loopback.
	AllowPrivate []string
	Secrets      Secrets
	// Now is the clock of the answers' times; time.Now when nil.
	Now func() time.Time
}

// Client makes the guarded HTTP call: no redirects, addresses checked when they
// are dialled, everything bounded in time and size, secrets put in at the last
// moment and taken out of everything that comes back. It may be used in
// parallel. Close it when done.
type Client struct {
	http      *http.Client
	transport *http.Transport
	secrets   Secrets
	userAgent string
	now       func() time.Time
}

// NewClient returns a client. It opens no connection.
func NewClient(cfg ClientConfig) *Client {
	if cfg.UserAgent == "" {
		cfg.UserAgent = defaultUserAgent
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	g := &guard{policy: publicOnly(), wider: publicOrPrivate(), private: cfg.AllowPrivate}
	t := &http.Transport{
		Proxy:                  nil, // a proxy would dial for us, past the guard; the environment is not asked
		DialContext:            g.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    tlsTimeout,
		DisableCompression:     true, // its decompression has no limit; see readBody
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
	return &Client{
		http: &http.Client{
			Transport:     t,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		transport: t,
		secrets:   cfg.Secrets,
		userAgent: cfg.UserAgent,
		now:       cfg.Now,
	}
}

// Close closes idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Answer is what one attempt brought.
type Answer struct {
	// Outcome is ok for a whole answer with status 2xx.
	Outcome schemas.AttemptOutcome
	// Complete says that the body was read to its end.
	Complete bool
	// Status is 0 when there was no answer at all.
	Status      int32
	Method      string
	URL         string            // values of secrets replaced
	Headers     map[string]string // the few that matter, lower-case names
	Body        []byte            // without content encoding, where it is gzip or deflate
	RequestedAt time.Time         // when the request was sent
	FetchedAt   time.Time         // when the body was read to its end
	// Wait is how long the server asks to be left alone, 0 when it does not.
	Wait time.Duration
}

// Do makes one attempt. It returns when the body has been read or the call's
// timeout has passed, however slowly a server sends headers or body. The error
// says why the answer is not complete; its text has neither URL nor secrets. A
// complete answer with any status is no error: see Outcome.
func (c *Client) Do(ctx context.Context, call *schemas.CallRequest) (Answer, error) {
	timeout := time.Duration(call.TimeoutMicros) * time.Microsecond
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	a := Answer{Outcome: schemas.AttemptSetup, RequestedAt: c.now()}
	p, err := c.prepare(ctx, call)
	if err != nil {
		return a, err
	}
	a.Method, a.URL = p.http.Method, p.publicURL
	a.RequestedAt = c.now()
	resp, err := c.http.Do(p.http)
	if err != nil {
		a.Outcome = outcomeOf(err)
		return a, p.describe(err)
	}
	defer func() { _ = resp.Body.Close() }() // what matters was read, or failed already
	a.Status = int32(resp.StatusCode)
	a.Outcome = outcomeOfStatus(resp.StatusCode)
	a.Headers = keptHeaders(resp.Header)
	a.Wait, _ = retryAfter(resp.Header.Get("Retry-After"), resp.Header.Get("Date"), c.now())
	if err := a.read(resp, call.MaxBodyBytes); err != nil {
		return a, p.describe(err)
	}
	a.FetchedAt = c.now()
	a.Complete = true
	p.redactAnswer(&a)
	return a, nil
}

// read takes the body. A status that says more than a broken body is kept as
// the outcome: 429 always, any failure whose body is only too large.
func (a *Answer) read(resp *http.Response, limit int64) error {
	if limit <= 0 || limit > bodyCeiling {
		limit = bodyCeiling
	}
	if a.Outcome != schemas.AttemptOK {
		limit = min(limit, errorBodyLimit)
	}
	encoding := resp.Header.Get("Content-Encoding")
	var err error
	if resp.ContentLength > limit {
		err = fmt.Errorf("an answer of %d bytes where %d are allowed: %w", resp.ContentLength, limit, errTooLarge)
	} else {
		a.Body, err = readBody(resp.Body, encoding, limit)
	}
	if err == nil {
		if decodable(encoding) {
			delete(a.Headers, "content-encoding")
		}
		return nil
	}
	broken := outcomeOf(err)
	if a.Outcome == schemas.AttemptOK || a.Outcome == schemas.AttemptStatus && broken != schemas.AttemptTooLarge {
		a.Outcome = broken
	}
	return fmt.Errorf("status %d, reading the answer: %w", resp.StatusCode, err)
}

// outcomeOf classifies what kept an answer from being read.
func outcomeOf(err error) schemas.AttemptOutcome {
	var timeout net.Error
	switch {
	case errors.Is(err, errTooLarge):
		return schemas.AttemptTooLarge
	case errors.Is(err, errDenied):
		return schemas.AttemptSetup
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return schemas.AttemptTimeout
	default:
		return schemas.AttemptNetwork
	}
}

func outcomeOfStatus(status int) schemas.AttemptOutcome {
	switch {
	case status >= 200 && status < 300:
		return schemas.AttemptOK
	case status == http.StatusTooManyRequests:
		return schemas.AttemptRateLimited
	default:
		return schemas.AttemptStatus
	}
}

const (
	maxKeptHeaders     = 32
	maxKeptHeaderBytes = 1 << 10
)

// keptHeaders picks the headers that say how old an answer is, what it is, and
// what is left of a rate budget.
func keptHeaders(h http.Header) map[string]string {
	kept := map[string]string{}
	for name, values := range h {
		name = strings.ToLower(name)
		if len(kept) < maxKeptHeaders && keepHeader(name) {
			kept[name] = clip(strings.Join(values, ", "), maxKeptHeaderBytes)
		}
	}
	return kept
}

func keepHeader(name string) bool {
	switch name {
	case "content-type", "content-encoding", "date", "last-modified", "etag", "age",
		"cache-control", "retry-after", "x-simulator-id":
		return true
	}
	return strings.HasPrefix(name, "x-ratelimit-") || strings.HasPrefix(name, "ratelimit") ||
		strings.HasPrefix(name, "x-mbx-used-weight")
}

// clip makes text from outside fit for a record: valid UTF-8 of at most n
// bytes.
func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}
