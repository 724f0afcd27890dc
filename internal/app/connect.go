package app

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/secure"
	"github.com/pricelake/pricelake/schemas/avro"
	"github.com/pricelake/pricelake/sinks/lake"
)

// How the configuration becomes the clients' own: addresses, TLS and accounts.
// Secrets go along as functions, so that each login reads what is there then.

// dialTimeout bounds the making of a connection, TLS included.
const dialTimeout = 5 * time.Second

// secret reads what the configuration refers to under a key.
func (s Settings) secret(key string, ref config.Secret) func() (string, error) {
	return func() (string, error) {
		value, err := ref.Resolve(s.Getenv)
		if err != nil {
			return "", fmt.Errorf("%s: %w", key, err)
		}
		return value, nil
	}
}

// kafkaDialer is shared by all clients of a process.
func (s Settings) kafkaDialer() *secure.Dialer {
	return secure.NewDialer(secure.TLS(s.Config.Kafka.TLS), "kafka.tls", dialTimeout)
}

func (s Settings) sasl() kafka.SASL {
	c := s.Config.Kafka.SASL
	out := kafka.SASL{Mechanism: c.Mechanism, User: c.User, Secret: s.secret("kafka.sasl.password", c.Password)}
	if c.Mechanism == config.SASLOAuthBearer {
		out.Secret = s.secret("kafka.sasl.token", c.Token)
	}
	return out
}

// kafkaConfig is the Kafka client's configuration of one part of the process.
func (a *App) kafkaConfig(part string) kafka.Config {
	c := kafka.DefaultConfig()
	k := a.settings.Config.Kafka
	c.Brokers = k.Brokers
	c.ClientID = "pricelake-" + part
	c.SessionTimeout = k.SessionTimeout
	c.TransactionTimeout = k.TransactionTimeout
	c.Dialer = a.dialer
	c.SASL = a.settings.sasl()
	c.Logger = a.log.With("part", part)
	c.Registerer = a.metrics
	c.Failpoints = a.settings.Failpoints
	return c
}

func (s Settings) registry() (*avro.Client, error) {
	r := s.Config.Registry
	client, err := avro.NewClient(r.URL, avro.Options{User: r.User, Password: s.secret("registry.password", r.Password), TLS: secure.TLS(r.TLS)})
	if err != nil {
		return nil, fmt.Errorf("using schema registry %q: %w", r.URL, err)
	}
	return client, nil
}

// lakeAccount is who asks ClickHouse.
type lakeAccount int

const (
	mainAccount lakeAccount = iota
	readerAccount
	migratorAccount
)

// lakeConfig is the lake's configuration for an account. One that is not
// configured is the main account.
func (a *App) lakeConfig(who lakeAccount) lake.Config {
	s, ch := a.settings, a.settings.Config.ClickHouse
	c := lake.DefaultConfig()
	c.Address, c.Database, c.TLS = ch.Addr, ch.Database, secure.TLS(ch.TLS)
	c.User, c.Password = ch.User, s.ClickHousePassword
	if ch.Password != "" {
		c.Secret, c.Reference = s.secret("clickhouse.password", ch.Password), string(ch.Password)
	}
	switch {
	case who == readerAccount && ch.ReaderUser != "":
		c.User, c.Account = ch.ReaderUser, "clickhouse.reader_"
		c.Secret, c.Reference = s.secret("clickhouse.reader_password", ch.ReaderPassword), string(ch.ReaderPassword)
	case who == readerAccount && s.ReaderUser != "":
		c.User, c.Password, c.Secret, c.Reference = s.ReaderUser, s.ReaderPassword, nil, ""
	case who == migratorAccount && ch.MigratorUser != "":
		c.User, c.Account = ch.MigratorUser, "clickhouse.migrator_"
		c.Secret, c.Reference = s.secret("clickhouse.migrator_password", ch.MigratorPassword), string(ch.MigratorPassword)
	}
	return c
}

// CheckFiles reads everything the configuration refers to, and reports what is
// not there or of no use.
func (s Settings) CheckFiles() []error {
	var errs []error
	c := s.Config
	for key, ref := range map[string]config.Secret{
		"kafka.sasl.password": c.Kafka.SASL.Password, "kafka.sasl.token": c.Kafka.SASL.Token, "registry.password": c.Registry.Password,
		"clickhouse.password": c.ClickHouse.Password, "clickhouse.reader_password": c.ClickHouse.ReaderPassword, "clickhouse.migrator_password": c.ClickHouse.MigratorPassword,
	} {
		if _, err := s.secret(key, ref)(); err != nil {
			errs = append(errs, err)
		}
	}
	for section, t := range map[string]config.TLS{"kafka.tls": c.Kafka.TLS, "registry.tls": c.Registry.TLS, "clickhouse.tls": c.ClickHouse.TLS} {
		t.Enabled = true // files that are named must be there
		if _, err := secure.NewDialer(secure.TLS(t), section, dialTimeout).Config("server:0"); err != nil {
			errs = append(errs, err)
		}
	}
	slices.SortFunc(errs, func(x, y error) int { return strings.Compare(x.Error(), y.Error()) })
	return errs
}
