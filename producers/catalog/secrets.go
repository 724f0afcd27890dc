package catalog

import (
	"regexp"
	"slices"
	"strings"
)

// secretName recognises headers and query keys that carry secrets, in any
// spelling. The list is of names, never of values: a value cannot be told from
// a symbol.
func secretName(name string) bool {
	plain := strings.NewReplacer("-", "", "_", "", ".", "", " ", "").Replace(strings.ToLower(name))
	for _, end := range []string{"apikey", "accesskey", "secretkey", "privatekey", "appkey", "authkey", "subscriptionkey",
		"token", "secret", "password", "passwd", "authorization", "credential", "credentials",
		"signature", "cookie", "appid", "passphrase"} {
		if strings.HasSuffix(plain, end) {
			return true
		}
	}
	return slices.Contains([]string{"key", "auth", "crumb", "pass", "pwd", "sig", "jwt", "bearer"}, plain)
}

var reference = regexp.MustCompile(`^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$`)

// secrets refuses secrets in the clear, in the call's own words only and never
// repeating them.
func (c *callBuilder) secrets() {
	const hint = `write env:NAME or file:/path, and put the whole value there, "Bearer " included`
	check := func(name, value string, path ...any) {
		isReference := strings.HasPrefix(value, "env:") || strings.HasPrefix(value, "file:")
		switch {
		case isReference && !reference.MatchString(value):
			c.report("this is no reference to a secret", "write env:NAME with letters, digits and _, or file:/path", path...)
		case !isReference && value != "" && secretName(name):
			c.report("a secret written inline", hint, path...)
		}
	}
	if in := c.in.Request; in != nil {
		for _, h := range in.Headers {
			check(h.Key, h.Value, "request", "headers", h.Key)
		}
		for _, q := range in.Query {
			check(q.Key, q.Value, "request", "query", q.Key)
		}
	}
	for _, p := range c.in.Params {
		check(p.Key, p.Value, "params", p.Key)
	}
}
