package poller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/pricelake/pricelake/schemas"
)

// prepared is a request with its secrets in it, and what is needed to keep them
// from going anywhere else.
type prepared struct {
	http      *http.Request
	publicURL string
	redactor  redactor
}

// prepare builds the request of a call. Its errors mean that the call cannot be
// made as it is configured.
func (c *Client) prepare(ctx context.Context, call *schemas.CallRequest) (*prepared, error) {
	p := &prepared{}
	target, err := parseURL(call.URL)
	if err != nil {
		return nil, err
	}
	public := *target
	if err := c.addQuery(p, target, &public, call.Query); err != nil {
		return nil, err
	}
	p.publicURL = public.String()
	method := call.Method
	if method == "" {
		method = http.MethodGet
	}
	p.http, err = http.NewRequestWithContext(ctx, method, target.String(), strings.NewReader(call.Body))
	if err != nil {
		return nil, fmt.Errorf("making a %q request: %s", method, p.text(err))
	}
	if call.Body == "" {
		p.http.Body, p.http.GetBody = http.NoBody, nil
	}
	p.http.Header.Set("User-Agent", c.userAgent)
	p.http.Header.Set("Accept", defaultAccept)
	p.http.Header.Set("Accept-Encoding", defaultAcceptCoding)
	for name, value := range call.Headers {
		if value, err = c.resolve(p, value); err != nil {
			return nil, fmt.Errorf("header %q: %w", name, err)
		}
		if strings.EqualFold(name, "Host") {
			p.http.Host = value
			continue
		}
		p.http.Header.Set(name, value)
	}
	return p, nil
}

// parseURL accepts absolute http and https URLs without user name and password
// (a secret in the catalog). Its errors do not repeat the URL, which may hold
// what does not belong there.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("the call's URL cannot be read")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("the call's URL has scheme %q: write http or https", u.Scheme)
	case u.Hostname() == "":
		return nil, errors.New("the call's URL names no host")
	case u.User != nil:
		return nil, errors.New("the call's URL has a user name or password: put a secret reference into a header")
	}
	u.Fragment = ""
	return u, nil
}

// addQuery appends the call's query in order of its names: the values to
// target, a placeholder for each secret to public. What the URL has already is
// left as written.
func (c *Client) addQuery(p *prepared, target, public *url.URL, query map[string]string) error {
	var values, shown strings.Builder
	values.WriteString(target.RawQuery)
	shown.WriteString(target.RawQuery)
	for _, name := range slices.Sorted(maps.Keys(query)) {
		value, err := c.resolve(p, query[name])
		if err != nil {
			return fmt.Errorf("query parameter %q: %w", name, err)
		}
		text := value
		if IsSecretReference(query[name]) {
			text = redacted
		}
		for b, v := range map[*strings.Builder]string{&values: value, &shown: text} {
			if b.Len() > 0 {
				b.WriteByte('&')
			}
			b.WriteString(url.QueryEscape(name) + "=" + url.QueryEscape(v))
		}
	}
	target.RawQuery, public.RawQuery = values.String(), shown.String()
	return nil
}

// resolve returns the value to send for a value of the catalog.
func (c *Client) resolve(p *prepared, value string) (string, error) {
	if !IsSecretReference(value) {
		return value, nil
	}
	secret, err := c.secrets.Resolve(value)
	if err != nil {
		return "", err
	}
	p.redactor.add(secret)
	return secret, nil
}

// describe makes an error that is fit to be kept: net/http puts the URL with
// its query into its own, so only their cause is taken, as text.
func (p *prepared) describe(err error) error { return errors.New(p.text(err)) }

func (p *prepared) text(err error) string {
	var withURL *url.Error
	for errors.As(err, &withURL) {
		err = withURL.Err
	}
	return p.redactor.text(err.Error())
}

// redactedHeader says in an answer that a secret was taken out of it.
const redactedHeader = "x-pricelake-redacted"

func (p *prepared) redactAnswer(a *Answer) {
	body, found := p.redactor.answer(a.Body)
	a.Body = body
	for name, value := range a.Headers {
		clean, echoed := p.redactor.answer([]byte(value))
		if echoed {
			a.Headers[name] = string(clean)
			found = true
		}
	}
	if found {
		a.Headers[redactedHeader] = "a secret of the request"
	}
}
