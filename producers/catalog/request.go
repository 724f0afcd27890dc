package catalog

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/pricelake/pricelake/schemas"
)

// defaultContact is told to providers when the catalog names no contact.
const defaultContact = "https://github.com/pricelake/pricelake"

// template is what {name} stands for in URL, query, headers and body.
type template struct {
	one     bool // {symbol} is known
	symbol  string
	symbols []string
	join    string
	params  map[string]string
	asked   bool // symbols were asked for
}

var placeholder = regexp.MustCompile(`\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// expand replaces the placeholders of a text; escape is applied to each value.
// It returns the names it does not know.
func (t *template) expand(text string, escape func(string) string) (out string, unknown []string) {
	out = placeholder.ReplaceAllStringFunc(text, func(found string) string {
		name := found[1 : len(found)-1]
		switch {
		case name == "symbol" && t.one:
			t.asked = true
			return escape(t.symbol)
		case name == "symbols":
			t.asked = true
			return escape(t.joined())
		}
		if v, ok := t.params[name]; ok {
			return escape(v)
		}
		unknown = append(unknown, name)
		return found
	})
	return out, unknown
}

func (t *template) joined() string {
	if t.join == "json" {
		text, err := json.Marshal(t.symbols)
		if err != nil {
			return ""
		}
		return string(text)
	}
	if t.join == "" {
		return strings.Join(t.symbols, ",")
	}
	return strings.Join(t.symbols, t.join)
}

// request fills the HTTP request.
func (c *callBuilder) request(symbols []string) {
	r := &c.def.Request
	t := &template{symbols: symbols, one: len(symbols) == 1, params: map[string]string{"contact": c.f.yaml.Contact}}
	if t.one {
		t.symbol = symbols[0]
	}
	if t.params["contact"] == "" {
		t.params["contact"] = defaultContact
	}
	for _, p := range c.in.Params {
		t.params[p.Key] = p.Value
	}
	r.Headers, r.Query = map[string]string{}, map[string]string{}
	text := c.presetRequest(r, t)
	if in := c.in.Request; in != nil {
		if in.URL != "" && c.endpoint == nil {
			text = in.URL
		}
		c.ownRequest(r, t)
	}
	if c.endpoint == nil && text == "" {
		c.report("the request is missing", "write request: {url: https://…}", "request")
		return
	}
	c.batch(symbols, text)
	c.method(r)
	for name, value := range r.Headers {
		r.Headers[name] = c.expand(t, value, asIs, "request", "headers", name)
	}
	for key, value := range r.Query {
		r.Query[key] = c.expand(t, value, asIs, "request", "query", key)
	}
	r.Body, _ = t.expand(r.Body, asIs)
	path := []any{"request", "url"}
	if c.endpoint != nil {
		path = []any{"preset"}
	}
	c.url(r, c.expandURL(t, text, path...), path)
	c.secrets()
	if len(r.Query) == 0 {
		r.Query = nil
	}
}

func asIs(s string) string { return s }

// presetRequest takes the request of the preset and returns its URL.
func (c *callBuilder) presetRequest(r *schemas.CallRequest, t *template) string {
	if c.endpoint == nil {
		return ""
	}
	for _, h := range c.provider.Headers {
		r.Headers[http.CanonicalHeaderKey(h.Key)] = h.Value
	}
	for _, h := range c.endpoint.Headers {
		r.Headers[http.CanonicalHeaderKey(h.Key)] = h.Value
	}
	maps.Copy(r.Query, c.endpoint.Query.Go())
	r.Method, r.Body, t.join = c.endpoint.Method, c.endpoint.Body, c.endpoint.Join
	base := c.provider.BaseURL
	if c.endpoint.BaseURL != "" {
		base = c.endpoint.BaseURL
	}
	if v, ok := c.f.yaml.BaseURLs.Get(c.provider.ID); ok {
		base = v
	}
	if c.in.BaseURL != "" {
		base = c.in.BaseURL
		c.checkBase(c.f, base, "calls", c.i, "base_url")
	}
	return strings.TrimRight(base, "/") + c.endpoint.Path
}

// ownRequest adds what the call itself says.
func (c *callBuilder) ownRequest(r *schemas.CallRequest, t *template) {
	in := c.in.Request
	for _, h := range in.Headers {
		if !headerName.MatchString(h.Key) {
			c.report(fmt.Sprintf("%q is no header name", h.Key), "write one such as Accept", "request", "headers", h.Key)
			continue
		}
		if strings.ContainsAny(h.Value, "\r\n") {
			c.report("the header has a line break", "write it on one line", "request", "headers", h.Key)
			continue
		}
		r.Headers[http.CanonicalHeaderKey(h.Key)] = h.Value
	}
	maps.Copy(r.Query, in.Query.Go())
	if in.Method != "" {
		r.Method = in.Method
	}
	if in.Body != "" {
		r.Body = in.Body
	}
	if in.Join != "" {
		t.join = in.Join
	}
	if c.endpoint == nil {
		if _, ok := r.Headers["User-Agent"]; !ok {
			r.Headers["User-Agent"] = "pricelake (+{contact})"
		}
	}
}

var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// batch checks how many symbols the request can ask for.
func (c *callBuilder) batch(symbols []string, text string) {
	limit := 0
	if c.endpoint != nil {
		limit = c.endpoint.Batch
	} else if strings.Contains(text, "{symbol}") || c.in.Request != nil && strings.Contains(fmt.Sprint(c.in.Request.Query, c.in.Request.Body), "{symbol}") {
		limit = 1
	}
	switch {
	case limit == 1 && len(symbols) > 1:
		c.report(fmt.Sprintf("the request asks for one symbol and the call lists %d", len(symbols)),
			"write one call per symbol: "+c.in.ID+"-"+strings.ToLower(symbols[0])+", "+c.in.ID+"-"+strings.ToLower(symbols[1])+", …", "symbols")
	case limit > 1 && len(symbols) > limit:
		c.report(fmt.Sprintf("the call lists %d symbols, the source takes %d at once", len(symbols), limit),
			"write several calls", "symbols")
	}
}

func (c *callBuilder) method(r *schemas.CallRequest) {
	switch r.Method {
	case "":
		r.Method = http.MethodGet
	case http.MethodGet, http.MethodPost:
	default:
		c.report(fmt.Sprintf("unknown method %q", r.Method), "write GET or POST", "request", "method")
	}
}

func (c *callBuilder) expand(t *template, text string, escape func(string) string, path ...any) string {
	if t.one || !strings.Contains(text, "{symbol}") {
		out, unknown := t.expand(text, escape)
		for _, name := range unknown {
			c.report(fmt.Sprintf("{%s} has no value", name), fmt.Sprintf("write params: {%s: …}", name), path...)
		}
		return out
	}
	return text // several symbols for one: reported by batch
}

// expandURL replaces the placeholders of a URL: a value that stands in the query
// is escaped otherwise than one in the path, or an & in it would begin another
// parameter.
func (c *callBuilder) expandURL(t *template, text string, path ...any) string {
	place, query, found := strings.Cut(text, "?")
	place = c.expand(t, place, url.PathEscape, path...)
	if !found {
		return place
	}
	return place + "?" + c.expand(t, query, url.QueryEscape, path...)
}

// url checks the URL and moves its query to Query. A wrong base URL is reported
// where it stands, so of a preset's URL nothing is.
func (c *callBuilder) url(r *schemas.CallRequest, text string, path []any) {
	u, message, _ := properURL(text)
	if message != "" {
		if c.endpoint == nil {
			c.checkURL(c.f, text, append([]any{"calls", c.i}, path...)...)
		}
		return
	}
	for key, values := range u.Query() {
		if len(values) > 1 {
			c.report(fmt.Sprintf("the query parameter %q stands twice in the URL", key), "write it once, under request.query", path...)
		}
		if secretName(key) && !reference.MatchString(values[0]) {
			c.report("a secret written inline: the URL's query parameter "+key, "leave it out there and write request.query: {"+key+": env:NAME}", path...)
		}
		if _, ok := r.Query[key]; !ok {
			r.Query[key] = values[0]
		}
	}
	u.RawQuery, u.Fragment = "", ""
	r.URL = u.String()
}

// properURL parses a URL and says what is wrong with it, without repeating it: it
// may hold a secret.
func properURL(text string) (u *url.URL, message, hint string) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, "this is no URL", "write https://host/path"
	case u.User != nil:
		return nil, "a secret written inline: the URL holds a user name or password", "write request.headers.Authorization: env:NAME"
	case (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		return nil, "the URL is not one of the web", "write https://host/path"
	}
	return u, "", ""
}

// checkURL reports what is wrong with a URL, if anything.
func (b *builder) checkURL(f *file, text string, path ...any) {
	if _, message, hint := properURL(text); message != "" {
		b.problem(f, message, hint, path...)
	}
}

// checkBase reports what is wrong with a base URL, if anything.
func (b *builder) checkBase(f *file, text string, path ...any) {
	u, message, hint := properURL(text)
	if message == "" && (u.RawQuery != "" || u.Fragment != "") {
		message, hint = "a base URL has no query", "write request.query in the calls, secrets as env:NAME"
	}
	if message != "" {
		b.problem(f, message, hint, path...)
	}
}
