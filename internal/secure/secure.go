// Package secure is how this process and a server recognise each other: TLS from
// files that may be renewed under a running process, and errors that name the
// setting to change. It knows no protocol above TLS and nothing of the house.
package secure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// TLS says how a server is recognised, and this process by it.
type TLS struct {
	Enabled bool
	// CAFile is a PEM file of the authorities to trust; empty: those of the
	// machine.
	CAFile string
	// CertFile and KeyFile are this process' certificate, for servers that ask
	// for one.
	CertFile, KeyFile string
	// ServerName to expect in the server's certificate; empty: the address'.
	ServerName string
}

// Dialer makes connections to the addresses of one server, with TLS if that is
// enabled: version 1.2 or later, the server's certificate always verified. The
// files are read for each connection, so renewed ones need no restart. It may be
// used in parallel.
type Dialer struct {
	tls     TLS
	section string
	timeout time.Duration
	worked  atomic.Bool
}

// NewDialer returns a Dialer. section is the part of the configuration that t
// comes from, such as "kafka.tls": errors name its keys. timeout bounds one
// connection, handshake included.
func NewDialer(t TLS, section string, timeout time.Duration) *Dialer {
	return &Dialer{tls: t, section: section, timeout: timeout}
}

// Enabled reports whether connections speak TLS.
func (d *Dialer) Enabled() bool { return d.tls.Enabled }

// Section returns the part of the configuration that errors name.
func (d *Dialer) Section() string { return d.section }

// DialContext connects to addr, host:port. What fails after the connection is
// there is an *Error with the kind ErrTLS.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	config, err := d.Config(addr)
	if err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil || config == nil {
		return conn, err
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // an end of time has closed it already
		return nil, d.handshake(addr, err)
	}
	d.worked.Store(true)
	return secured, nil
}

// Config returns the TLS configuration of a connection to addr, host:port, from
// what the files hold now; nil when TLS is not enabled.
func (d *Dialer) Config(addr string) (*tls.Config, error) {
	if !d.tls.Enabled {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: d.tls.ServerName}
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("finding the host in %q: %w", addr, err)
		}
		config.ServerName = host
	}
	if d.tls.CAFile != "" {
		pool, err := d.authorities()
		if err != nil {
			return nil, err
		}
		config.RootCAs = pool
	}
	if d.tls.CertFile != "" {
		own, err := d.own()
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{own}
	}
	return config, nil
}

func (d *Dialer) authorities() (*x509.CertPool, error) {
	pem, err := os.ReadFile(d.tls.CAFile)
	if err != nil {
		return nil, Refuse(ErrTLS, d.section+".ca_file cannot be read", "correct its path, or let this process read it", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, Refuse(ErrTLS, fmt.Sprintf("there is no certificate in %s, which is %s.ca_file", d.tls.CAFile, d.section), "write PEM, with BEGIN CERTIFICATE", nil)
	}
	return pool, nil
}

// own returns this process' certificate. One that has expired is an error here:
// servers only answer that it is bad.
func (d *Dialer) own() (tls.Certificate, error) {
	own, err := tls.LoadX509KeyPair(d.tls.CertFile, d.tls.KeyFile)
	if err != nil {
		return own, Refuse(ErrTLS, fmt.Sprintf("%s.cert_file and %s.key_file cannot be used", d.section, d.section), "name PEM files of a certificate and of its own key", err)
	}
	if now := time.Now(); now.After(own.Leaf.NotAfter) {
		return own, Refuse(ErrTLS, fmt.Sprintf("the certificate in %s.cert_file (%s) expired on %s", d.section, d.tls.CertFile, day(own.Leaf.NotAfter)), "renew it", nil)
	}
	return own, nil
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
