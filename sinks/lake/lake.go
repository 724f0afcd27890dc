// Package lake is the ClickHouse lake: its tables and views (sql/, run by
// Migrate), the sink that fills the tables from the topics (Sink), and the tools
// that look into it (Verify, Query, Stats).
//
// A row is written by Sink.Write, block by block: decode, columns, one INSERT for
// each partition of the table, under a name that makes its repetition a no-op.
// Which column gets what is in prices.go, polls.go and catalog.go.
package lake

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/pricelake/pricelake/internal/secure"
)

// Role is what the lake calls itself in the dead letters of records that it gave
// up. Verify looks for those.
const Role = "lake"

// DefaultDatabase is the database of the contract.
const DefaultDatabase = "pricelake"

// Config says where the lake is. Take DefaultConfig and change what differs.
type Config struct {
	// Address is host:port of ClickHouse's native protocol.
	Address string
	// User needs all rights on the database, and may end its own queries, as
	// everyone may.
	User     string
	Password string
	// Secret returns the password in place of Password, where that can change
	// under a running process: it is called for each connection, from several
	// goroutines.
	Secret func() (string, error)
	// Account is how the configuration begins the keys of user and password;
	// errors name them.
	Account string
	// Reference is where Secret reads the password, such as file:/run/secrets/x;
	// errors name it.
	Reference string
	Database  string
	// TLS is how the server is recognised.
	TLS secure.TLS
	// MaxInserts bounds the INSERTs under way at once, and with them memory: a
	// block takes about 1 kB a row while it is sent. Further ones wait.
	MaxInserts int
	// DialTimeout bounds the making of a connection, InsertTimeout one INSERT,
	// on the server and here.
	DialTimeout   time.Duration
	InsertTimeout time.Duration
	// StallTimeout is how long the server waits for the data of an INSERT that
	// has begun, in whole seconds. ClickHouse notices that such a query was
	// killed only when data comes or this time has passed (twice, and a second
	// each): a successor of a process that is frozen, not dead, waits for it.
	StallTimeout time.Duration
}

// DefaultConfig is a server on this machine.
func DefaultConfig() Config {
	return Config{
		Address:       "127.0.0.1:9000",
		User:          "default",
		Account:       "clickhouse.",
		Database:      DefaultDatabase,
		MaxInserts:    4,
		DialTimeout:   5 * time.Second,
		InsertTimeout: time.Minute,
		StallTimeout:  5 * time.Second,
	}
}

// Validate names every field that cannot be used.
func (c Config) Validate() error {
	var errs []error
	if c.Address == "" {
		errs = append(errs, errors.New("address: want host:port of ClickHouse's native protocol"))
	}
	if !identifier(c.Database) {
		errs = append(errs, fmt.Errorf("database %q: want a name of letters, digits and underscores", c.Database))
	}
	if c.MaxInserts < 1 {
		errs = append(errs, fmt.Errorf("max inserts %d: want 1 or more", c.MaxInserts))
	}
	if c.DialTimeout <= 0 || c.InsertTimeout < time.Second || c.StallTimeout < time.Second {
		errs = append(errs, errors.New("timeouts: want a dial timeout above zero, an insert and a stall timeout of a second or more"))
	}
	return errors.Join(errs...)
}

func identifier(s string) bool {
	for i, r := range s {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// Lake is one ClickHouse database. It may be used in parallel.
type Lake struct {
	config  Config
	options *clickhouse.Options
	conn    driver.Conn
	inserts *inserters
	dialer  *secure.Dialer
	near    bool        // no network lies between this process and the server
	worked  atomic.Bool // a connection was made
}

// otherConnections is how many connections a Lake has for anything but INSERTs:
// claims, questions, statistics.
const otherConnections = 16

// Open returns the lake of the configuration. It makes no connection: those come
// when they are needed, so a server that is away is met by the first call.
func Open(config Config) (*Lake, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("opening the lake: %w", err)
	}
	l := &Lake{config: config, inserts: newInserters(config.MaxInserts), near: onThisMachine(config.Address) && !config.TLS.Enabled,
		dialer: secure.NewDialer(config.TLS, "clickhouse.tls", config.DialTimeout)}
	l.options = &clickhouse.Options{
		Protocol:        clickhouse.Native,
		Addr:            []string{config.Address},
		Auth:            clickhouse.Auth{Database: config.Database, Username: config.User},
		DialStrategy:    l.dial,
		DialTimeout:     config.DialTimeout,
		ReadTimeout:     config.InsertTimeout + 10*time.Second,
		MaxOpenConns:    otherConnections,
		MaxIdleConns:    otherConnections,
		ConnMaxLifetime: time.Hour,
		// A question may send a column of a large block along: each connection would
		// keep the memory.
		FreeBufOnConnRelease: true,
		ClientInfo: clickhouse.ClientInfo{Products: []struct{ Name, Version string }{
			{Name: "pricelake"},
		}},
	}
	l.options.Compression = l.compression()
	conn, err := clickhouse.Open(l.options)
	if err != nil {
		return nil, fmt.Errorf("opening the lake at %s: %w", config.Address, err)
	}
	l.conn = conn
	for range config.MaxInserts {
		i, err := l.newInserter()
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		l.inserts.add(i)
	}
	return l, nil
}

// compression is that of connections: none to a server that no network lies before.
func (l *Lake) compression() *clickhouse.Compression {
	if l.near {
		return nil
	}
	return &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
}

// Close closes all connections. What runs on them ends with an error.
func (l *Lake) Close() error {
	if err := errors.Join(l.conn.Close(), l.inserts.close()); err != nil {
		return fmt.Errorf("closing the lake: %w", err)
	}
	return nil
}

// Ping says whether the server answers and lets this user into the database.
func (l *Lake) Ping(ctx context.Context) error {
	if err := l.conn.Ping(ctx); err != nil {
		return fmt.Errorf("asking ClickHouse at %s for a sign of life: %w", l.config.Address, err)
	}
	return nil
}
