package secured

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/secure"
	"github.com/pricelake/pricelake/internal/secure/securetest"
	"github.com/pricelake/pricelake/schemas"
)

// logins tries every way to be recognised by the broker, and not to be: the
// latter are told with their kind and the key to change.
func (r *rig) logins(t *testing.T) {
	own := r.ca.Issue("reader", time.Now().Add(time.Hour))
	other := securetest.NewAuthority(t, "other")
	forged := other.Issue("reader", time.Now().Add(time.Hour))
	trust := secure.TLS{Enabled: true, CAFile: r.ca.File}
	sasl := func(mechanism, user, secret string) kafka.SASL {
		return kafka.SASL{Mechanism: mechanism, User: user, Secret: func() (string, error) { return secret, nil }}
	}
	reader := sasl(config.SASLScram512, "reader", password("reader"))

	f := func(name, listener string, o secure.TLS, s kafka.SASL, kind error, want string) {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			c := r.config("reader", listener)
			c.Dialer, c.SASL = secure.NewDialer(o, "kafka.tls", 5*time.Second), s
			log, err := kafka.NewLog(c)
			must(t, err)
			defer log.Close()
			started := time.Now()
			_, _, err = log.Describe(t.Context(), schemas.TopicPrices)
			if kind == nil && err != nil || kind != nil && (!errors.Is(err, kind) || !strings.Contains(err.Error(), want)) {
				t.Errorf("got %v, want %v with %q", err, kind, want)
			}
			t.Logf("after %v: %v", time.Since(started).Round(time.Millisecond), err)
		})
	}
	f("plain", login, trust, sasl(config.SASLPlain, "reader", password("reader")), nil, "")
	f("scram 256", login, trust, sasl(config.SASLScram256, "reader", password("reader")), nil, "")
	f("scram 512", login, trust, reader, nil, "")
	f("token", login, trust, sasl(config.SASLOAuthBearer, "", token("reader", time.Minute)), nil, "")
	f("certificate", mutual, secure.TLS{Enabled: true, CAFile: r.ca.File, CertFile: own.CertFile, KeyFile: own.KeyFile}, kafka.SASL{}, nil, "")

	f("a wrong password", login, trust, sasl(config.SASLScram512, "reader", "guess"), secure.ErrAuthentication, "kafka.sasl.password")
	f("a wrong plain password", login, trust, sasl(config.SASLPlain, "reader", "guess"), secure.ErrAuthentication, "kafka.sasl.password")
	f("no such account", login, trust, sasl(config.SASLScram256, "nobody", "guess"), secure.ErrAuthentication, "kafka.sasl.user")
	f("a token that has expired", login, trust, sasl(config.SASLOAuthBearer, "", token("reader", -time.Second)), secure.ErrAuthentication, "kafka.sasl.token")
	f("no login", login, trust, kafka.SASL{}, secure.ErrAuthentication, "set kafka.sasl.mechanism")
	f("an account without ACLs", login, trust, sasl(config.SASLScram512, stranger, password(stranger)), secure.ErrForbidden, "pricelake acl")
	f("a login where none is expected", mutual, secure.TLS{Enabled: true, CAFile: r.ca.File, CertFile: own.CertFile, KeyFile: own.KeyFile}, reader, secure.ErrAuthentication, "kafka.sasl.mechanism")
	f("no certificate", mutual, trust, kafka.SASL{}, secure.ErrTLS, "kafka.tls.cert_file")
	f("a forged certificate", mutual, secure.TLS{Enabled: true, CAFile: r.ca.File, CertFile: forged.CertFile, KeyFile: forged.KeyFile}, kafka.SASL{}, secure.ErrTLS, "kafka.tls.cert_file")
	f("an expired certificate", expired, trust, reader, secure.ErrTLS, "expired on")
	f("an unknown authority", login, secure.TLS{Enabled: true, CAFile: other.File}, reader, secure.ErrTLS, "kafka.tls.ca_file")
	f("another name", login, secure.TLS{Enabled: true, CAFile: r.ca.File, ServerName: "kafka.example.com"}, reader, secure.ErrTLS, "kafka.tls.server_name")
	f("plain to TLS", login, secure.TLS{}, reader, secure.ErrTLS, "set kafka.tls.enabled to true")
	f("TLS to plain", "PLAINTEXT", trust, kafka.SASL{}, secure.ErrTLS, "set kafka.tls.enabled to false")
}

// renewal renews a token under a running client: the broker lets a login stand
// for two seconds.
func (r *rig) renewal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	renew := func(name string) {
		part := file + ".new"
		must(t, os.WriteFile(part, []byte(token(name, 4*time.Second)+"\n"), 0o600))
		must(t, os.Rename(part, file))
	}
	renew("reader")
	var asked atomic.Int64 // by several connections
	c := r.config("reader", login)
	c.SASL = kafka.SASL{Mechanism: config.SASLOAuthBearer, Secret: func() (string, error) {
		asked.Add(1)
		return config.Secret("file:" + file).Resolve(os.Getenv)
	}}
	log, err := kafka.NewLog(c)
	must(t, err)
	defer log.Close()
	for end := time.Now().Add(6 * time.Second); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		renew("reader")
		if _, _, err := log.Describe(t.Context(), schemas.TopicPrices); err != nil {
			t.Fatalf("after %d logins: %v", asked.Load(), err)
		}
	}
	if n := asked.Load(); n < 3 {
		t.Errorf("the token was read %d times", n)
	}
	// A token of somebody else: the broker lets nobody change names within a
	// connection.
	renew(stranger)
	await(t, "a refusal", func() error {
		_, _, err := log.Describe(t.Context(), schemas.TopicPrices)
		if err == nil {
			return errors.New("still let in")
		}
		return nil
	})
}
