package avro

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/pricelake/pricelake/internal/secure"
)

// Options say how the registry and this process recognise each other. The zero
// value is no account, and the authorities of this machine for https.
type Options struct {
	// User and Password are for HTTP basic authentication; Password is called
	// for each request, from several goroutines. An empty User: none.
	User     string
	Password func() (string, error)
	// TLS is for https; the address' scheme decides.
	TLS secure.TLS
}

// transport makes a connection for each request: there are a handful in the
// life of a process, and nothing is left open behind them. So each takes the
// password and the certificates that are there now.
type transport struct {
	user     string
	password func() (string, error)
	dialer   *secure.Dialer
}

const section = "registry.tls" // of the configuration, for messages

func newTransport(o Options, https bool, timeout time.Duration) *transport {
	o.TLS.Enabled = https
	return &transport{user: o.User, password: o.Password, dialer: secure.NewDialer(o.TLS, section, timeout)}
}

// RoundTrip implements http.RoundTripper. An answer that is larger than any
// schema ends in an error.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.user != "" {
		password, err := t.password()
		if err != nil {
			return nil, err
		}
		req = req.Clone(req.Context())
		req.SetBasicAuth(t.user, password)
	}
	port := req.URL.Port()
	if port == "" {
		port = "443"
	}
	addr := net.JoinHostPort(req.URL.Hostname(), port)
	config, err := t.dialer.Config(addr)
	if err != nil {
		return nil, err
	}
	once := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSClientConfig: config}
	if config != nil {
		once.DialTLSContext = t.dialer.DialContext // through a proxy the library dials, with the same configuration
	}
	resp, err := once.RoundTrip(req)
	if err != nil {
		return nil, t.dialer.Explain(addr, err)
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	return resp, nil
}

// plainToTLS recognises what servers say to a request that came without TLS.
const plainToTLS = "Client sent an HTTP request to an HTTPS server"

// refused explains that registry and this process do not recognise each other.
func (c *Client) refused(status int, err error) error {
	switch status {
	case http.StatusUnauthorized:
		return secure.Refuse(secure.ErrAuthentication, fmt.Sprintf("the schema registry at %s refuses the account", c.url), "check registry.user and what registry.password refers to", err)
	case http.StatusForbidden:
		return secure.Refuse(secure.ErrForbidden, fmt.Sprintf("the schema registry at %s does not let the account do this", c.url), "give the account in registry.user the right: roles read schemas, `schemas register` writes them", err)
	}
	return nil
}
