package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/secure"
)

// SASL says who the process is to the brokers. The zero value says nothing.
type SASL struct {
	// Mechanism is one of config.SASLMechanisms, empty for none.
	Mechanism string
	User      string // not for oauthbearer
	// Secret returns the password, or the token of oauthbearer. It is called at
	// each login, so that either can be changed under a running process; from
	// several goroutines.
	Secret func() (string, error)
}

func (s SASL) validate() error {
	_, err := s.mechanism()
	return err
}

// mechanism returns nil, nil where there is none.
func (s SASL) mechanism() (sasl.Mechanism, error) {
	if s.Mechanism != "" && s.Secret == nil {
		return nil, fmt.Errorf("kafka: %s without a secret", s.Mechanism)
	}
	switch s.Mechanism {
	case "":
		return nil, nil
	case config.SASLPlain:
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			secret, err := s.Secret()
			return plain.Auth{User: s.User, Pass: secret}, err
		}), nil
	case config.SASLScram256:
		return scram.Sha256(s.scram), nil
	case config.SASLScram512:
		return scram.Sha512(s.scram), nil
	case config.SASLOAuthBearer:
		return bearer{oauth.Oauth(func(context.Context) (oauth.Auth, error) {
			token, err := s.Secret()
			return oauth.Auth{Token: strings.TrimSpace(token)}, err
		})}, nil
	}
	return nil, fmt.Errorf("kafka: no SASL mechanism %q; there are %s", s.Mechanism, strings.Join(config.SASLMechanisms(), ", "))
}

func (s SASL) scram(context.Context) (scram.Auth, error) {
	secret, err := s.Secret()
	return scram.Auth{User: s.User, Pass: secret}, err
}

// bearer makes what brokers answer to a token readable: the library only says
// that there was an answer.
type bearer struct{ sasl.Mechanism }

func (b bearer) Authenticate(ctx context.Context, host string) (sasl.Session, []byte, error) {
	session, first, err := b.Mechanism.Authenticate(ctx, host)
	return bearerSession{session}, first, err
}

type bearerSession struct{ sasl.Session }

func (s bearerSession) Challenge(answer []byte) (bool, []byte, error) {
	if len(answer) > 0 {
		return false, nil, secure.Refuse(secure.ErrAuthentication, "the brokers refuse the token", "renew what kafka.sasl.token refers to", errors.New(string(answer)))
	}
	return s.Session.Challenge(answer)
}

// securityOptions are part of every client's options.
func securityOptions(c Config) []kgo.Opt {
	dial := c.dialer()
	opts := []kgo.Opt{kgo.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
		return dial.DialContext(ctx, network, addr)
	})}
	if m, err := c.SASL.mechanism(); err == nil && m != nil { // Validate has seen the error
		opts = append(opts, kgo.SASL(m))
	}
	return opts
}

func (c Config) dialer() *secure.Dialer {
	if c.Dialer != nil {
		return c.Dialer
	}
	return secure.NewDialer(secure.TLS{}, "kafka.tls", dialTimeout)
}

// refused explains that brokers and this process do not recognise each other, or
// returns nil.
func refused(err error) error {
	if errors.As(err, new(*secure.Error)) {
		return nil // explained already
	}
	refuse := func(kind error, text, remedy string) error { return secure.Refuse(kind, text, remedy, err) }
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return refuse(secure.ErrAuthentication, "the brokers refuse the account", "check kafka.sasl.user and what kafka.sasl.password (oauthbearer: kafka.sasl.token) refers to")
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return refuse(secure.ErrAuthentication, "the brokers have another way to log in at this port", "change kafka.sasl.mechanism")
	case errors.Is(err, kerr.IllegalSaslState):
		return refuse(secure.ErrAuthentication, "the brokers do not expect SASL at this port", "leave kafka.sasl.mechanism out, or take their SASL port")
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.GroupAuthorizationFailed),
		errors.Is(err, kerr.TransactionalIDAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return refuse(secure.ErrForbidden, "the account lacks an ACL", "add it: `pricelake acl` prints those that every role and tool needs")
	case strings.Contains(err.Error(), "tls alert record"): // the one place where the library says so
		return refuse(secure.ErrTLS, "the brokers speak TLS at this port", "set kafka.tls.enabled to true")
	case errors.As(err, new(*kgo.ErrFirstReadEOF)) && strings.Contains(err.Error(), "SASL is required"):
		return refuse(secure.ErrAuthentication, "the brokers closed the connection at the first request", "if they want a login set kafka.sasl.mechanism")
	case errors.As(err, new(*kgo.ErrFirstReadEOF)):
		return refuse(secure.ErrTLS, "the brokers closed the connection at once", "if they speak TLS at this port set kafka.tls.enabled to true, if they want a login set kafka.sasl.mechanism")
	}
	var explained *secure.Error
	if errors.As(secure.Explain("kafka.tls", "", err), &explained) {
		explained.Cause = err
		return explained
	}
	return nil
}
