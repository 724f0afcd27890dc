package secure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// The kinds of Error. A role that meets one waits and says so: a person mends
// the configuration or the server, and it goes on.
var (
	// ErrTLS: no connection, because certificates or TLS itself do not fit.
	ErrTLS = errors.New("no TLS connection")
	// ErrAuthentication: the server does not take the credentials.
	ErrAuthentication = errors.New("authentication failed")
	// ErrForbidden: the server knows the account, and it lacks a right.
	ErrForbidden = errors.New("not allowed")
)

// Error is a server and this process not recognising each other. Its text says
// what to change.
type Error struct {
	// Kind is one of the errors above; errors.Is finds it.
	Kind error
	// Text says what is wrong, Remedy what to do, naming keys of the
	// configuration.
	Text, Remedy string
	// Cause is what the connection said; it is in the message, and errors.As
	// finds it unless it is of the network.
	Cause error

	passing bool
}

// Refuse returns an Error of the kind.
func Refuse(kind error, text, remedy string, cause error) *Error {
	return &Error{Kind: kind, Text: text, Remedy: remedy, Cause: cause}
}

// Error returns kind, text, remedy and cause.
func (e *Error) Error() string {
	text := e.Kind.Error() + ": " + e.Text + ": " + e.Remedy
	if e.Cause != nil {
		text += " (" + e.Cause.Error() + ")"
	}
	return text
}

// Unwrap returns the kind, and a cause that is not of the network: clients take
// errors of the network for a reason to try again at once, for long and
// silently.
func (e *Error) Unwrap() []error {
	var system *os.SyscallError
	var network net.Error
	if e.Cause == nil || errors.As(e.Cause, &system) || errors.As(e.Cause, &network) || errors.Is(e.Cause, io.EOF) || errors.Is(e.Cause, io.ErrUnexpectedEOF) {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}

// Temporary reports whether trying again at once may help: the same settings
// have worked before, and the connection broke in the handshake.
func (e *Error) Temporary() bool { return e.passing }

// Explain is the function Explain for the dialer's section.
func (d *Dialer) Explain(addr string, err error) error { return Explain(d.section, addr, err) }

// Explain makes an Error of what is wrong with a certificate, as this process or
// the server says, while or after connecting to addr; any other error comes back
// as it is. section is the part of the configuration to name. addr may be empty.
func Explain(section, addr string, err error) error {
	if err == nil || errors.As(err, new(*Error)) {
		return err
	}
	server := "the server"
	if addr != "" {
		server = addr
	}
	if text, remedy := certificate(section, server, err); text != "" {
		return Refuse(ErrTLS, text, remedy, nil)
	}
	if text, remedy := alert(section, server, err); text != "" {
		return Refuse(ErrTLS, text, remedy, nil)
	}
	if errors.As(err, new(tls.RecordHeaderError)) {
		return Refuse(ErrTLS, server+" does not speak TLS at this port", fmt.Sprintf("take its TLS port, or set %s.enabled to false", section), err)
	}
	return err
}

// handshake is Explain for what ended the handshake with addr, where a
// connection that breaks means more than it does later.
func (d *Dialer) handshake(addr string, err error) error {
	explained := d.Explain(addr, err)
	if errors.As(explained, new(*Error)) || errors.Is(err, context.Canceled) {
		return explained
	}
	what := "broke off the TLS handshake"
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		what = "did not answer the TLS handshake in time"
	}
	return &Error{Kind: ErrTLS, Cause: err, passing: d.worked.Load(),
		Text: addr + " " + what, Remedy: fmt.Sprintf("if it does not speak TLS at this port, take its TLS port or set %s.enabled to false", d.section)}
}

// certificate explains why the server's certificate is not taken; the text is
// empty when err is not about it.
func certificate(section, server string, err error) (text, remedy string) {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && time.Now().Before(invalid.Cert.NotBefore):
		return fmt.Sprintf("the certificate of %s (%s) is valid only from %s", server, invalid.Cert.Subject, day(invalid.Cert.NotBefore)), "look at the clock of this machine"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("the certificate of %s (%s) expired on %s", server, invalid.Cert.Subject, day(invalid.Cert.NotAfter)), "renew it there"
	case errors.As(err, &invalid):
		return fmt.Sprintf("the certificate of %s cannot be used: %s", server, invalid.Error()), "give the server another one"
	case errors.As(err, &unknown):
		issuer := ""
		if unknown.Cert != nil {
			issuer = fmt.Sprintf(" (%s)", unknown.Cert.Issuer)
		}
		return fmt.Sprintf("the certificate of %s is signed by an authority that is not known here%s", server, issuer), fmt.Sprintf("name the authority's PEM file in %s.ca_file", section)
	case errors.As(err, &host):
		return fmt.Sprintf("the certificate of %s is not for the name %q but for %s", server, host.Host, strings.Join(names(host.Certificate), ", ")),
			fmt.Sprintf("connect by such a name, or name it in %s.server_name", section)
	}
	return "", ""
}

func names(c *x509.Certificate) []string {
	all := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return []string{"no name at all"}
	}
	return all
}

// alert explains what the server said before it hung up; empty when it said
// nothing. The texts are those of RFC 8446 as crypto/tls writes them, the only
// place where it shows an alert.
func alert(section, server string, err error) (text, remedy string) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return "", ""
	}
	said := strings.TrimPrefix(op.Err.Error(), "tls: ")
	own := section + ".cert_file and " + section + ".key_file"
	switch {
	case said == "certificate required":
		return server + " asks for a certificate of this process that it trusts", "name one in " + own
	case said == "handshake failure":
		return fmt.Sprintf("%s ended the TLS handshake (%s)", server, said), "if it asks for a certificate of this process, name one in " + own
	case strings.Contains(said, "certificate"):
		return fmt.Sprintf("%s does not take the certificate of this process, or got none (%s)", server, said), "check " + own + ", and that the server trusts who signed it"
	case said == "protocol version not supported":
		return server + " speaks no TLS version that this process does (1.2 or later)", "update or configure the server"
	case said == "unrecognized name":
		return server + " has no certificate for the name asked for", fmt.Sprintf("check %s.server_name", section)
	}
	return fmt.Sprintf("%s ended the TLS handshake (%s)", server, said), "look at the server's log"
}
