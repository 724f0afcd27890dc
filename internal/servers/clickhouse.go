package servers

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/freeport"
)

// ClickHouseConfig says how a ClickHouse differs from the one tests usually
// want, with an owner and a reader of the database pricelake.
type ClickHouseConfig struct {
	// UsersDir is a folder of XML files that declare the users, read again at
	// each start. With one there are no others, Owner and Reader are empty.
	UsersDir string
	// PassEnv names the environment variables those files refer to with from_env.
	PassEnv []string
}

// Credentials are a name and a password.
type Credentials struct {
	User, Password string
}

// ClickHouse is a ClickHouse server: the engine, run by `pricelake engine run`.
type ClickHouse struct {
	*server
	native, http  string
	owner, reader Credentials
}

// StartClickHouse starts a ClickHouse and returns when it answers.
func StartClickHouse(t testing.TB, cfg ClickHouseConfig) *ClickHouse {
	t.Helper()
	binary := Pricelake(t)
	c := &ClickHouse{}
	for _, addr := range []*string{&c.native, &c.http} {
		port, err := freeport.Find()
		need(t, err)
		*addr = loopback(port)
	}
	argv := []string{binary, "engine", "run", "--json", "--data-dir", "", "--native-addr", c.native, "--http-addr", c.http}
	if cfg.UsersDir != "" {
		argv = append(argv, "--users", cfg.UsersDir)
	}
	if len(cfg.PassEnv) > 0 {
		argv = append(argv, "--pass-env", strings.Join(cfg.PassEnv, ","))
	}
	c.server = &server{t: t, name: "ClickHouse", dir: t.TempDir(), log: logFile(t, "clickhouse"), ready: c.answers}
	t.Cleanup(c.close)
	argv[slices.Index(argv, "--data-dir")+1] = c.dir
	c.argv = func() []string { return argv }
	if err := c.start(); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *ClickHouse) answers() error {
	if err := answers(c.HTTPURL() + "/ping"); err != nil {
		return err
	}
	return c.readUsers()
}

// readUsers finds the users in the line the server prints when it is ready.
func (c *ClickHouse) readUsers() error {
	for line := range strings.Lines(c.Log()) {
		var ready struct {
			Event          string `json:"event"`
			User           string `json:"clickhouse_user"`
			Password       string `json:"clickhouse_password"`
			ReaderUser     string `json:"clickhouse_reader_user"`
			ReaderPassword string `json:"clickhouse_reader_password"`
		}
		if json.Unmarshal([]byte(line), &ready) == nil && ready.Event == "ready" {
			c.owner, c.reader = Credentials{ready.User, ready.Password}, Credentials{ready.ReaderUser, ready.ReaderPassword}
			return nil
		}
	}
	return fmt.Errorf("ClickHouse did not say that it is ready:\n%s", c.tail())
}

// NativeAddr is the host:port of the native protocol.
func (c *ClickHouse) NativeAddr() string { return c.native }

// HTTPURL is the base URL of the HTTP interface.
func (c *ClickHouse) HTTPURL() string { return "http://" + c.http }

// Owner may read and write the database pricelake and no other.
func (c *ClickHouse) Owner() Credentials { return c.owner }

// Reader may read the database pricelake.
func (c *ClickHouse) Reader() Credentials { return c.reader }

// Version asks the server for its own, as the owner.
func (c *ClickHouse) Version() string {
	v := url.Values{"user": {c.owner.User}, "password": {c.owner.Password}, "query": {"SELECT version()"}}
	text, err := get(c.HTTPURL() + "/?" + v.Encode())
	if err != nil {
		return "of unknown version (" + err.Error() + ")"
	}
	return strings.TrimSpace(string(text))
}
