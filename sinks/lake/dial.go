package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/pricelake/pricelake/internal/secure"
)

// Errors of ClickHouse about accounts.
const (
	codeAuthenticationFailed = 516
	codeAccessDenied         = 497
)

// dial makes one connection, with the password and the certificates that are
// there now, and says what to change when server and process do not recognise
// each other.
func (l *Lake) dial(ctx context.Context, _ int, options *clickhouse.Options, dial clickhouse.Dial) (clickhouse.DialResult, error) {
	result, _, err := l.connect(ctx, options, dial)
	return result, err
}

// connect is dial that tells the connection under the library's.
func (l *Lake) connect(ctx context.Context, options *clickhouse.Options, dial clickhouse.Dial) (_ clickhouse.DialResult, conn net.Conn, _ error) {
	o, err := l.current(options)
	if err != nil {
		return clickhouse.DialResult{}, nil, err
	}
	connect := o.DialContext
	o.DialContext = func(ctx context.Context, addr string) (_ net.Conn, err error) {
		conn, err = connect(ctx, addr)
		return conn, err
	}
	result, err := dial(ctx, l.config.Address, o)
	if err != nil {
		if conn != nil {
			_ = conn.Close() // the library leaves it open when the server does not let us in
		}
		return result, nil, l.explain(err)
	}
	l.worked.Store(true)
	return result, conn, nil
}

// current returns the options with what is read for each connection.
func (l *Lake) current(options *clickhouse.Options) (*clickhouse.Options, error) {
	o := *options
	o.Auth.Password = l.config.Password
	if l.config.Secret != nil {
		password, err := l.config.Secret()
		if err != nil {
			return nil, err
		}
		o.Auth.Password = password
	}
	o.DialContext = func(ctx context.Context, addr string) (net.Conn, error) {
		return l.dialer.DialContext(ctx, "tcp", addr)
	}
	return &o, nil
}

// alertPacket is how the library tells of a TLS alert where it expects the
// server's hello: 21 is the first byte of one.
const alertPacket = "unexpected packet [21]"

// explain makes an error of a new connection one that names the key to change.
func (l *Lake) explain(err error) error {
	if hasCode(err, codeAuthenticationFailed) {
		return secure.Refuse(secure.ErrAuthentication, fmt.Sprintf("ClickHouse at %s refuses the account %q", l.config.Address, l.config.User),
			l.loginRemedy(), err)
	}
	if explained := l.dialer.Explain(l.config.Address, err); errors.As(explained, new(*secure.Error)) {
		return explained
	}
	silent := !l.worked.Load() && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF))
	if !l.dialer.Enabled() && (silent || strings.Contains(err.Error(), alertPacket)) {
		return secure.Refuse(secure.ErrTLS, fmt.Sprintf("ClickHouse at %s ends connections at once", l.config.Address),
			"if it speaks TLS at this port set clickhouse.tls.enabled to true, if it speaks HTTP take the port of the native protocol", err)
	}
	return err
}

// loginRemedy says which keys to check, and where the password was read.
func (l *Lake) loginRemedy() string {
	if l.config.Reference == "" {
		return fmt.Sprintf("check %suser and what %spassword refers to", l.config.Account, l.config.Account)
	}
	return fmt.Sprintf("check %suser and the password in %s, to which %spassword refers: it must be the one that the server knows; "+
		"of docker-compose.yml's servers all are made anew by `docker compose run --rm secrets renew && docker compose up --wait --force-recreate`",
		l.config.Account, l.config.Reference, l.config.Account)
}

// denied says that the account may not do what a person or a migration asked.
func (l *Lake) denied(err error) error {
	if !hasCode(err, codeAccessDenied) {
		return err
	}
	return secure.Refuse(secure.ErrForbidden, fmt.Sprintf("the account %q lacks a right on ClickHouse at %s", l.config.User, l.config.Address),
		fmt.Sprintf("give it the right, or name another account in %suser; deploy/clickhouse has the accounts with their rights", l.config.Account), err)
}
