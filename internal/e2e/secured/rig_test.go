package secured

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/secure"
	"github.com/pricelake/pricelake/internal/secure/securetest"
	"github.com/pricelake/pricelake/internal/servers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The listeners of the broker beside PLAINTEXT, which is the administrator's and
// the broker's own.
const (
	login   = "LOGIN"   // SASL over TLS
	mutual  = "MUTUAL"  // TLS with a certificate of the client
	expired = "EXPIRED" // SASL over TLS, with a certificate that has expired
)

// stranger has an account and no ACL; elsewhere is a topic, a group and a
// transactional id that are none of ours.
const (
	stranger  = "stranger"
	elsewhere = "elsewhere"
)

// rig is an Apache Kafka that allows nothing that is not in an ACL, with an
// account for each role and class of tools.
type rig struct {
	t     *testing.T
	kafka *servers.Kafka
	ca    *securetest.Authority
	names []string // roles and classes of tools
	root  *kgo.Client
	admin *kadm.Client
}

func password(name string) string { return "password of " + name }

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, ca: securetest.NewAuthority(t, "pricelake tests")}
	r.names, _ = app.ACLNames()
	good, old := r.ca.Issue("broker", time.Now().Add(time.Hour)), r.ca.Issue("broker", time.Now().Add(-time.Hour))
	properties := map[string]string{
		"authorizer.class.name":                       "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"allow.everyone.if.no.acl.found":              "false",
		"super.users":                                 "User:ANONYMOUS", // who comes by PLAINTEXT
		"sasl.enabled.mechanisms":                     "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
		"ssl.keystore.type":                           "PEM",
		"ssl.keystore.location":                       keystore(t, good),
		"ssl.truststore.type":                         "PEM",
		"ssl.truststore.location":                     r.ca.File,
		"ssl.principal.mapping.rules":                 "RULE:^CN=(.*?)$/$1/",
		"listener.name.mutual.ssl.client.auth":        "required",
		"listener.name.expired.ssl.keystore.type":     "PEM",
		"listener.name.expired.ssl.keystore.location": keystore(t, old),
		// A login ends after this and is made anew on the same connection.
		"connections.max.reauth.ms": "2000",
	}
	const module = "org.apache.kafka.common.security."
	plain := module + "plain.PlainLoginModule required"
	var format []string
	for _, name := range append(r.names, stranger) {
		plain += fmt.Sprintf(" user_%s=\"%s\"", name, password(name))
		for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
			format = append(format, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, name, password(name)))
		}
	}
	for _, listener := range []string{"login", "expired"} {
		prefix := "listener.name." + listener + "."
		properties[prefix+"plain.sasl.jaas.config"] = plain + ";"
		properties[prefix+"scram-sha-256.sasl.jaas.config"] = module + "scram.ScramLoginModule required;"
		properties[prefix+"scram-sha-512.sasl.jaas.config"] = module + "scram.ScramLoginModule required;"
		properties[prefix+"oauthbearer.sasl.jaas.config"] = module + "oauthbearer.OAuthBearerLoginModule required;"
	}
	r.kafka = servers.StartKafka(t, servers.KafkaConfig{
		Properties: properties, Format: format,
		Listeners: map[string]string{login: "SASL_SSL", mutual: "SSL", expired: "SASL_SSL"},
	})
	t.Logf("Apache Kafka %s with the standard authorizer", r.kafka.Version())
	client, err := kgo.NewClient(kgo.SeedBrokers(r.kafka.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	r.root, r.admin = client, kadm.NewClient(client)
	return r
}

// keystore is a certificate as Kafka takes it: the key and the certificate in
// one file.
func keystore(t *testing.T, c securetest.Certificate) string {
	t.Helper()
	key, err := os.ReadFile(c.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := os.ReadFile(c.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "keystore.pem")
	if err := os.WriteFile(name, append(key, cert...), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// config is that of a client with the account of a role or a class of tools.
func (r *rig) config(name, listener string) kafka.Config {
	c := kafka.DefaultConfig()
	c.Brokers = []string{r.kafka.ListenerAddr(listener)}
	c.Dialer = secure.NewDialer(secure.TLS{Enabled: true, CAFile: r.ca.File}, "kafka.tls", 10*time.Second)
	c.SASL = kafka.SASL{Mechanism: "scram-sha-512", User: name, Secret: func() (string, error) { return password(name), nil }}
	return c
}

// allow gives the principals the ACLs of the declaration.
func (r *rig) allow(acls []app.ACL) {
	r.t.Helper()
	req := kmsg.NewPtrCreateACLsRequest()
	for _, a := range acls {
		c := kmsg.NewCreateACLsRequestCreation()
		c.ResourceName, c.Principal, c.Host = a.Name, a.Principal, "*"
		c.ResourcePatternType = kmsg.ACLResourcePatternTypeLiteral
		if a.Prefixed {
			c.ResourcePatternType = kmsg.ACLResourcePatternTypePrefixed
		}
		must(r.t, c.ResourceType.UnmarshalText([]byte(strings.ReplaceAll(a.Resource, "-", "_"))))
		must(r.t, c.Operation.UnmarshalText([]byte(a.Operation)))
		c.PermissionType = kmsg.ACLPermissionTypeAllow
		req.Creations = append(req.Creations, c)
	}
	resp, err := r.root.Request(r.t.Context(), req)
	must(r.t, err)
	for i, result := range resp.(*kmsg.CreateACLsResponse).Results {
		if err := kerr.ErrorForCode(result.ErrorCode); err != nil {
			r.t.Fatalf("%+v: %v", acls[i], err)
		}
	}
	// The answer runs ahead of the authorizer: it is asked until it knows the
	// last one.
	last := acls[len(acls)-1]
	await(r.t, "the ACLs", func() error {
		b := kadm.NewACLs().Allow(last.Principal).AllowHosts("*").AnyResource().Operations(kadm.OpAny).ResourcePatternType(kadm.ACLPatternAny)
		described, err := r.admin.DescribeACLs(r.t.Context(), b)
		if err == nil && (len(described) == 0 || len(described[0].Described) == 0) {
			err = errors.New("not there")
		}
		return err
	})
}

// token is one for Kafka's validator of unsecured tokens, good for a while.
func token(name string, good time.Duration) string {
	part := func(v any) string {
		b, _ := json.Marshal(v) // maps of text and numbers
		return base64.RawURLEncoding.EncodeToString(b)
	}
	now := time.Now()
	return part(map[string]any{"alg": "none"}) + "." + part(map[string]any{"sub": name, "iat": now.Add(-time.Minute).Unix(), "exp": now.Add(good).Unix()}) + "."
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await asks until the answer is nil.
func await(t testing.TB, what string, ask func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v", what, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
