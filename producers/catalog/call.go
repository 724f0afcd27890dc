package catalog

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/producers/mapping"
	"github.com/pricelake/pricelake/producers/providers"
	"github.com/pricelake/pricelake/schemas"
)

// Defaults of a call. The body limit leaves room for the rest of the record in
// the 8 MiB that a record of responses.v1 may have.
const (
	defaultTimeout    = 10 * time.Second
	defaultAttempts   = 5
	defaultBackoff    = time.Second
	defaultMaxBackoff = 30 * time.Second
	defaultMaxBody    = 7 << 20
	maxBodyLimit      = 8<<20 - 64<<10

	maxTimeout  = 10 * time.Minute
	maxAttempts = 20
)

// callBuilder makes one call.
type callBuilder struct {
	*builder
	f        *file
	i        int
	in       *callYAML
	provider *providers.Provider // nil: no preset
	endpoint *providers.Endpoint
	def      schemas.CallDefined
}

func (b *builder) callsOf(f *file) {
	for i, e := range f.yaml.BaseURLs {
		if _, ok := b.presets[e.Key]; !ok && !slices.ContainsFunc(f.yaml.Calls, func(c callYAML) bool { return c.Provider == e.Key }) {
			b.problem(f, fmt.Sprintf("there is no provider %q", e.Key), config.DidYouMean(e.Key, sortedKeys(b.presets)), "base_urls", e.Key)
		}
		b.checkBase(f, f.yaml.BaseURLs[i].Value, "base_urls", e.Key)
	}
	for i := range f.yaml.Calls {
		c := &callBuilder{builder: b, f: f, i: i, in: &f.yaml.Calls[i]}
		c.build()
	}
}

func (c *callBuilder) report(message, hint string, path ...any) {
	c.problem(c.f, message, hint, append([]any{"calls", c.i}, path...)...)
}

func (c *callBuilder) build() {
	before := len(c.problems)
	c.identity()
	if !c.source() {
		return
	}
	symbols := c.symbols()
	c.request(symbols)
	c.limits()
	c.schedule()
	c.mapping()
	c.terms()
	if len(c.problems) > before {
		return
	}
	version, err := versionOf(c.def)
	if err != nil {
		c.report(err.Error(), "")
		return
	}
	c.def.Version = version
	if _, err := mapping.Compile(&c.def); err != nil {
		wrong := mapping.FieldError{Message: err.Error()}
		errors.As(err, &wrong)
		c.report(wrong.Message, wrong.Hint, append([]any{"mapping"}, wrong.Path...)...)
		return
	}
	c.out.Calls = append(c.out.Calls, c.def)
}

func (c *callBuilder) identity() {
	in := c.in
	switch at, twice := c.callAt[in.ID]; {
	case !callID.MatchString(in.ID):
		c.report(fmt.Sprintf("the id %q is not a proper name", in.ID), "write lower-case letters, digits, -, _ and . such as kraken-ticker", "id")
	case twice:
		c.report(fmt.Sprintf("the call %s is already defined at %s", in.ID, at), "give each call its own id", "id")
	default:
		c.callAt[in.ID] = place(c.f, "calls", c.i, "id")
	}
	c.def.CallID = in.ID
	c.def.Enabled = in.Enabled == nil || *in.Enabled
}

// source finds the preset, or checks that the call says everything itself. It
// reports false when nothing more can be checked.
func (c *callBuilder) source() bool {
	in := c.in
	if in.Preset != "" {
		var ok bool
		if c.provider, c.endpoint, ok = c.presets.Find(in.Preset); !ok {
			c.report(fmt.Sprintf("there is no preset %q", in.Preset), config.DidYouMean(in.Preset, c.presets.Names()), "preset")
		}
		if in.Provider != "" {
			c.report("preset and provider are both set", "keep preset, it names the provider", "provider")
		}
		if in.Request != nil && in.Request.URL != "" {
			c.report("the preset knows the URL", "write base_url to reach the same API at another address", "request", "url")
		}
		if !ok {
			return false
		}
		c.def.Provider = c.provider.ID
	} else {
		c.def.Provider = in.Provider
		if !callID.MatchString(in.Provider) {
			c.report("neither a preset nor a proper provider is named", "write preset: kraken/ticker, or provider: my-bank with request and mapping", "provider")
		}
		if _, ok := c.presets[in.Provider]; ok {
			c.report(fmt.Sprintf("%q is the provider of presets", in.Provider), "write preset: "+in.Provider+"/…, or another name", "provider")
		}
	}
	c.def.Account = c.def.Provider
	if in.Account != "" {
		c.def.Account = in.Account
		if !callID.MatchString(in.Account) {
			c.report(fmt.Sprintf("the account %q is not a proper name", in.Account), "write lower-case letters, digits, -, _ and .", "account")
		}
	}
	return true
}

// limits fills timeout, attempts, backoff and body limit.
func (c *callBuilder) limits() {
	in, r := c.in, &c.def.Request
	timeout, body := in.Timeout, int64(in.MaxBody)
	if c.endpoint != nil {
		if !c.has("timeout") {
			timeout = c.endpoint.Timeout
		}
		if body == 0 {
			body = c.endpoint.MaxBody
		}
	}
	switch {
	case timeout == 0 && !c.has("timeout"):
		timeout = defaultTimeout
	case timeout < 10*time.Millisecond || timeout > maxTimeout:
		c.report(fmt.Sprintf("a timeout of %v", timeout), "write one between 10ms and 10m, such as 10s", "timeout")
	}
	attempts := int32(defaultAttempts)
	if in.Attempts != nil {
		if attempts = *in.Attempts; attempts < 1 || attempts > maxAttempts {
			c.report(fmt.Sprintf("%d attempts", attempts), fmt.Sprintf("write a number between 1 and %d", maxAttempts), "attempts")
		}
	}
	backoff, maxBackoff := defaultBackoff, defaultMaxBackoff
	if in.Backoff != nil {
		if backoff = *in.Backoff; backoff < time.Millisecond || backoff > time.Hour {
			c.report(fmt.Sprintf("a backoff of %v", backoff), "write one between 1ms and 1h, such as 1s", "backoff")
		}
		maxBackoff = max(maxBackoff, backoff)
	}
	if in.MaxBackoff != nil {
		if maxBackoff = *in.MaxBackoff; maxBackoff < backoff || maxBackoff > 24*time.Hour {
			c.report(fmt.Sprintf("a max_backoff of %v", maxBackoff), fmt.Sprintf("write one between backoff (%v) and 24h", backoff), "max_backoff")
		}
	}
	if body == 0 {
		body = defaultMaxBody
	}
	if body > maxBodyLimit {
		c.report(fmt.Sprintf("a max_body of %d bytes", body), fmt.Sprintf("write at most %dKiB: an answer must fit into one record", maxBodyLimit>>10), "max_body")
	}
	r.TimeoutMicros, r.MaxBodyBytes, r.MaxAttempts = timeout.Microseconds(), body, attempts
	r.BackoffMicros, r.MaxBackoffMicros = backoff.Microseconds(), maxBackoff.Microseconds()
}

// has reports whether the call has the key in the file.
func (c *callBuilder) has(key string) bool { return c.f.doc.Has("calls", c.i, key) }

func (c *callBuilder) mapping() {
	m := c.in.Mapping
	if m == nil {
		if c.endpoint == nil {
			c.report("the mapping is missing", "write mapping: with rows, symbol, kind and price; docs/catalog.md has examples", "mapping")
			return
		}
		m = &c.endpoint.Mapping
	} else {
		for _, p := range m.Check() {
			c.report(p.Message, p.Hint, append([]any{"mapping"}, p.Path...)...)
		}
	}
	text, err := m.JSON()
	if err != nil {
		c.report(err.Error(), "", "mapping")
	}
	c.def.Mapping = text
}

func (c *callBuilder) terms() {
	d, in := &c.def, c.in
	d.TermsURL, d.Attribution, d.Redistribution = in.TermsURL, in.Attribution, in.Redistribution
	if p := c.provider; p != nil {
		d.RetentionDays = p.RetentionDays
		if d.TermsURL == "" {
			d.TermsURL = p.TermsURL
		}
		if d.Attribution == "" {
			d.Attribution = p.Attribution
		}
		if d.Redistribution == "" {
			d.Redistribution = p.Redistribution
		}
	}
	switch d.Redistribution {
	case "":
		d.Redistribution = "restricted"
	case "free", "attribution", "restricted":
	default:
		c.report(fmt.Sprintf("unknown redistribution %q", d.Redistribution), "write free, attribution or restricted", "redistribution")
	}
	if in.RetentionDays != nil {
		if d.RetentionDays = *in.RetentionDays; d.RetentionDays < 0 || d.RetentionDays > 36500 {
			c.report(fmt.Sprintf("%d days of retention", d.RetentionDays), "write 1 to 36500, or 0 for the lake's default", "retention_days")
		}
	}
}
