package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Kafka configures the broker's clients.
type Kafka struct {
	// Addresses to start from, host:port; the brokers name the others.
	Brokers []string `yaml:"brokers"`
	TLS     TLS      `yaml:"tls"`
	SASL    SASL     `yaml:"sasl"`
	// Partitions of keyed topics when `topics apply` creates them. Those of a
	// topic that is there are never changed.
	Partitions int `yaml:"partitions"`
	// Replicas of a topic that `topics apply` creates; -1 leaves it to the
	// brokers.
	ReplicationFactor int `yaml:"replication_factor"`
	// How long a member that went silent keeps its partitions. Brokers refuse
	// less than their group.min.session.timeout.ms, 6s unless set.
	SessionTimeout time.Duration `yaml:"session_timeout"`
	// How long brokers wait for a transaction whose owner went silent, and its
	// successor with them; at most the session timeout.
	TransactionTimeout time.Duration `yaml:"transaction_timeout"`
}

// Registry configures the schema registry (Confluent API). The scheme of its URL
// decides whether TLS is spoken; `registry.tls.enabled` alone insists that it is
// https.
type Registry struct {
	// Where the Confluent API begins, with its path if it has one, such as
	// /apis/ccompat/v7 of Apicurio.
	URL string `yaml:"url"`
	// Account for HTTP basic authentication; empty: none.
	User string `yaml:"user"`
	// Password of the account, by reference.
	Password Secret `yaml:"password"`
	TLS      TLS    `yaml:"tls"`
}

// ClickHouse configures the lake's server.
type ClickHouse struct {
	// Address of the native protocol, host:port: 9000, with TLS 9440.
	Addr string `yaml:"addr"`
	// Account of the role lake and of the tools; see docs/security.md for the
	// rights it needs.
	User string `yaml:"user"`
	// Password of the account, by reference.
	Password Secret `yaml:"password"`
	// Account of `sql` without --write; empty: the main account.
	ReaderUser string `yaml:"reader_user"`
	// Password of the reader, by reference.
	ReaderPassword Secret `yaml:"reader_password"`
	// Account of `migrate`; empty: the main account.
	MigratorUser string `yaml:"migrator_user"`
	// Password of the migrator, by reference.
	MigratorPassword Secret `yaml:"migrator_password"`
	// Database of the lake.
	Database string `yaml:"database"`
	TLS      TLS    `yaml:"tls"`
}

// TLS says how a server is recognised, and this process by it. Certificates are
// read again when their files change: new connections use the new ones.
type TLS struct {
	// Speak TLS, version 1.2 or later.
	Enabled bool `yaml:"enabled"`
	// PEM file of the authorities to trust; empty: those of this machine.
	CAFile string `yaml:"ca_file"`
	// PEM file of this process' certificate, for servers that ask for one.
	CertFile string `yaml:"cert_file"`
	// PEM file of the certificate's private key.
	KeyFile string `yaml:"key_file"`
	// Name to expect in the server's certificate; empty: the address'.
	ServerName string `yaml:"server_name"`
}

// SASL says who this process is to the brokers.
type SASL struct {
	// plain, scram-sha-256, scram-sha-512 or oauthbearer; empty: no SASL.
	Mechanism string `yaml:"mechanism"`
	// Account, for plain and scram.
	User string `yaml:"user"`
	// Password of the account, by reference; read again at each login, so that
	// it can be changed under a running process.
	Password Secret `yaml:"password"`
	// Token for oauthbearer, by reference; read again at each login.
	Token Secret `yaml:"token"`
}

// The SASL mechanisms as kafka.sasl.mechanism names them.
const (
	SASLPlain       = "plain"
	SASLScram256    = "scram-sha-256"
	SASLScram512    = "scram-sha-512"
	SASLOAuthBearer = "oauthbearer"
)

// SASLMechanisms lists the mechanisms.
func SASLMechanisms() []string {
	return []string{SASLPlain, SASLScram256, SASLScram512, SASLOAuthBearer}
}

func (k *Kafka) validate(bad check) {
	bad(len(k.Brokers) > 0, "kafka.brokers", "at least one host:port")
	for _, b := range k.Brokers {
		bad(isHostPort(b), "kafka.brokers", fmt.Sprintf("host:port instead of %q", b))
	}
	k.TLS.validate("kafka.tls", bad)
	k.SASL.validate("kafka.sasl", bad)
	bad(k.Partitions > 0, "kafka.partitions", "a number above 0")
	bad(k.ReplicationFactor == -1 || k.ReplicationFactor > 0, "kafka.replication_factor", "-1 (the broker's default) or a number above 0")
	bad(k.SessionTimeout >= time.Second, "kafka.session_timeout", "at least 1s")
	bad(k.TransactionTimeout >= time.Second && k.TransactionTimeout <= k.SessionTimeout,
		"kafka.transaction_timeout", "at least 1s and at most kafka.session_timeout: a killed owner's open transaction holds up its successor that long")
}

func (s *SASL) validate(key string, bad check) {
	bad(s.Mechanism == "" || slices.Contains(SASLMechanisms(), s.Mechanism), key+".mechanism", "one of "+strings.Join(SASLMechanisms(), ", ")+", or nothing")
	switch s.Mechanism {
	case "":
		bad(s.User == "" && s.Password == "" && s.Token == "", key+".mechanism", "one of "+strings.Join(SASLMechanisms(), ", ")+": without it the other keys of "+key+" have no effect")
	case SASLOAuthBearer:
		bad(s.Token != "", key+".token", "env:NAME or file:/path: oauthbearer needs a token")
		bad(s.User == "" && s.Password == "", key+".user", "nothing, and nothing as password: oauthbearer has a token instead")
	default:
		bad(s.User != "", key+".user", "the account's name: "+s.Mechanism+" needs one")
		bad(s.Password != "", key+".password", "env:NAME or file:/path: "+s.Mechanism+" needs a password")
		bad(s.Token == "", key+".token", "nothing: only oauthbearer has a token")
	}
}

func (t *TLS) validate(key string, bad check) {
	bad(t.Enabled || t.CAFile == "" && t.CertFile == "" && t.KeyFile == "" && t.ServerName == "",
		key+".enabled", "true: without it the other keys of "+key+" have no effect")
	bad(t.KeyFile == "" || t.CertFile != "", key+".cert_file", "the certificate that belongs to "+key+".key_file")
	bad(t.CertFile == "" || t.KeyFile != "", key+".key_file", "the private key that belongs to "+key+".cert_file")
}

func (r *Registry) validate(bad check) {
	u, err := url.Parse(r.URL)
	ok := err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
	bad(ok, "registry.url", "http://host:port or https://host:port, with the path of the Confluent API if it has one")
	if !ok {
		return
	}
	bad(u.User == nil, "registry.url", "it without user and password: those are registry.user and registry.password")
	bad(!r.TLS.Enabled || u.Scheme == "https", "registry.url", "https://…: registry.tls.enabled is true")
	tls := r.TLS
	tls.Enabled = u.Scheme == "https"
	tls.validate("registry.tls", bad)
	account("registry", r.User, r.Password, bad)
}

func (c *ClickHouse) validate(bad check) {
	bad(isHostPort(c.Addr), "clickhouse.addr", "host:port of the native protocol")
	bad(c.User != "", "clickhouse.user", "the account's name")
	bad(c.Database != "", "clickhouse.database", "a database name")
	account("clickhouse.reader", c.ReaderUser, c.ReaderPassword, bad)
	account("clickhouse.migrator", c.MigratorUser, c.MigratorPassword, bad)
	c.TLS.validate("clickhouse.tls", bad)
}

// account checks a password that has no account. An account without a password
// is fine.
func account(key, user string, password Secret, bad check) {
	name := key + "_user"
	if !strings.Contains(key, ".") {
		name = key + ".user"
	}
	bad(password == "" || user != "", name, "the name of the account that the password is of")
}

func isHostPort(addr string) bool {
	host, port, err := net.SplitHostPort(addr)
	return err == nil && host != "" && port != ""
}
