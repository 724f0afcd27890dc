//go:build !noembed && unix

package embed_test

import (
	"crypto/rand"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/pricelake/pricelake/internal/embed"
	"github.com/pricelake/pricelake/internal/embed/embedtest"
)

func TestOwnerWorksInItsDatabase(t *testing.T) {
	ch, db := embedtest.ClickHouse(t), embedtest.Database(t)
	for _, sql := range []string{
		"CREATE TABLE t (k LowCardinality(String), ts DateTime64(3), v Decimal(38, 18)) ENGINE = MergeTree ORDER BY (k, ts) SETTINGS non_replicated_deduplication_window = 100",
		"INSERT INTO t SELECT toString(number % 3), now64(3), number FROM numbers(10)",
		"CREATE VIEW highest AS SELECT k, max(v) AS top FROM t WHERE v < {below:UInt32} GROUP BY k",
		"SELECT throwIf(count() != 3) FROM highest(below = 10)",
		"SELECT a.k, b.v FROM t a ASOF JOIN t b ON a.k = b.k AND a.ts >= b.ts",
		"CREATE MATERIALIZED VIEW mv ENGINE = AggregatingMergeTree ORDER BY k AS SELECT k, maxState(v) AS m FROM t GROUP BY k",
		"ALTER TABLE t ADD COLUMN z Int8",
		"ALTER TABLE t ADD PROJECTION p (SELECT k, count() GROUP BY k)",
		"ALTER TABLE t UPDATE z = 1 WHERE 1 SETTINGS mutations_sync = 1",
		"OPTIMIZE TABLE t FINAL",
		"CREATE TABLE u AS t",
		"EXCHANGE TABLES t AND u",
		"TRUNCATE TABLE u",
		"DROP TABLE u",
		"CREATE TEMPORARY TABLE x (n Int8)",
		"SELECT count() FROM system.processes",
		"SELECT count() FROM system.parts",
		"SELECT count() FROM information_schema.tables",
		"KILL QUERY WHERE query_id = 'nobody' SYNC",
		"SYSTEM FLUSH LOGS",
		"SELECT throwIf(count() = 0) FROM system.query_log",
	} {
		if _, err := tryAsk(t.Context(), ch.HTTPURL()+"/?database="+db, ch.Owner(), sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if got := ask(t, ch.HTTPURL(), ch.Owner(), "SELECT timezone(), currentDatabase()"); got != "UTC\tpricelake" {
		t.Errorf("time zone and database %q, want UTC and pricelake", got)
	}
}

func TestNobodyReachesOutside(t *testing.T) {
	ch := embedtest.ClickHouse(t)
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, "s3cr3t")
	anonymous := embed.Credentials{}
	for _, as := range []embed.Credentials{ch.Owner(), ch.Reader(), anonymous} {
		for _, sql := range []string{
			"SELECT * FROM file('/etc/hostname')",
			"SELECT * FROM file('" + secret + "', 'LineAsString')",
			// These ask for no right in this engine: it is the kernel that refuses.
			"SELECT file('" + secret + "')",
			"SELECT file('/proc/1/environ')",
			"SELECT 1 AS a FORMAT Template SETTINGS format_template_resultset = '" + secret + "'",
			"SELECT * FROM url('" + ch.HTTPURL() + "/ping', 'LineAsString')",
			"SELECT * FROM remote('" + ch.NativeAddr() + "', system.one)",
			"SELECT * FROM s3('http://127.0.0.1:1/bucket/key', 'CSV', 'a Int8')",
			"SELECT * FROM executable('id', 'TSV', 'a String')",
			"SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
			"SELECT * FROM sqlite('" + secret + "', 't')",
			"INSERT INTO FUNCTION file('" + secret + "', 'CSV', 'a Int8') VALUES (1)",
			"CREATE TABLE pricelake.out (a Int8) ENGINE = File(CSV)",
			"CREATE TABLE pricelake.out (a Int8) ENGINE = Kafka('a', 'b', 'c', 'JSONEachRow')",
			"CREATE DICTIONARY pricelake.d (a String, b String) PRIMARY KEY a SOURCE(EXECUTABLE(COMMAND 'id' FORMAT 'TSV')) LAYOUT(COMPLEX_KEY_HASHED()) LIFETIME(0)",
			"CREATE DATABASE outside",
			"CREATE USER eve",
			"CREATE FUNCTION f AS x -> x",
			"GRANT ALL ON *.* TO pricelake",
			"BACKUP DATABASE pricelake TO File('/tmp/b')",
			"DROP DATABASE pricelake",
			"SYSTEM SHUTDOWN",
		} {
			if answer, err := tryAsk(t.Context(), ch.HTTPURL(), as, sql); err == nil {
				t.Errorf("user %q may %s: %q", as.User, sql, answer)
			} else if strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("user %q: the refusal of %s tells the secret: %v", as.User, sql, err)
			}
		}
	}
	for _, sql := range []string{"SELECT 1", "SHOW DATABASES", "SET max_ast_elements = 100", "SELECT 1 SETTINGS max_ast_elements = 100"} {
		if answer, err := tryAsk(t.Context(), ch.HTTPURL(), anonymous, sql); err == nil {
			t.Errorf("without a password one may %s: %q", sql, answer)
		}
	}
	// A program that even the operator cannot start: the kernel forbids it.
	ask(t, ch.HTTPURL(), ch.Operator(), "CREATE DICTIONARY pricelake.run (a String, b String) PRIMARY KEY a SOURCE(EXECUTABLE(COMMAND 'id' FORMAT 'TSV')) LAYOUT(COMPLEX_KEY_HASHED()) LIFETIME(0)")
	if answer, err := tryAsk(t.Context(), ch.HTTPURL(), ch.Operator(), "SELECT * FROM pricelake.run"); err == nil || strings.Contains(err.Error(), "uid=") {
		t.Errorf("the engine ran a program: %q, %v", answer, err)
	}
	ask(t, ch.HTTPURL(), ch.Operator(), "DROP DICTIONARY pricelake.run")
}

func TestReaderReads(t *testing.T) {
	ch, db := embedtest.ClickHouse(t), embedtest.Database(t)
	ask(t, ch.HTTPURL(), ch.Owner(), "CREATE TABLE "+db+".t (n Int8) ENGINE = MergeTree ORDER BY n AS SELECT 1")
	if got := ask(t, ch.HTTPURL(), ch.Reader(), "SELECT count() FROM "+db+".t SETTINGS max_execution_time = 5"); got != "1" {
		t.Errorf("the reader counts %s rows", got)
	}
	for sql, want := range map[string]string{
		"INSERT INTO " + db + ".t VALUES (2)":         "ACCESS_DENIED",
		"DROP TABLE " + db + ".t":                     "ACCESS_DENIED",
		"SELECT * FROM system.users":                  "ACCESS_DENIED",
		"SELECT 1 SETTINGS max_execution_time = 3600": "SETTING_CONSTRAINT_VIOLATION",
		"SELECT 1 SETTINGS max_memory_usage = 0":      "SETTING_CONSTRAINT_VIOLATION",
		"SELECT 1 SETTINGS readonly = 0":              "READONLY",
		"SELECT 1 SETTINGS max_result_rows = 0":       "SETTING_CONSTRAINT_VIOLATION",
		"SELECT 1 SETTINGS add_http_cors_header = 1":  "SETTING_CONSTRAINT_VIOLATION",
	} {
		if _, err := tryAsk(t.Context(), ch.HTTPURL(), ch.Reader(), sql); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", sql, err, want)
		}
	}
}

func TestWrongPasswordsAndGarbageAreSurvived(t *testing.T) {
	ch := embedtest.ClickHouse(t)
	pid := ch.Pid()
	wrong := embed.Credentials{User: ch.Owner().User, Password: "wrong"}
	for range 12 {
		if _, err := tryAsk(t.Context(), ch.HTTPURL(), wrong, "SELECT 1"); err == nil || !strings.Contains(err.Error(), "403") {
			t.Fatalf("wrong password over HTTP: %v, want 403", err)
		}
		if err := pingNative(t, ch.NativeAddr(), wrong); err == nil || !strings.Contains(err.Error(), "516") {
			t.Fatalf("wrong password, native: %v, want code 516", err)
		}
		for _, addr := range []string{ch.NativeAddr(), strings.TrimPrefix(ch.HTTPURL(), "http://")} {
			garbage := make([]byte, 512)
			_, _ = rand.Read(garbage)
			send(t, addr, garbage)
			send(t, addr, []byte("\x00\x05pricelake\x01"))
			send(t, addr, nil)
		}
	}
	if err := pingNative(t, ch.NativeAddr(), ch.Owner()); err != nil {
		t.Errorf("the right password after all that: %v", err)
	}
	if ch.Pid() != pid || !alive(pid) {
		t.Errorf("the engine (process %d) did not survive, now %d", pid, ch.Pid())
	}
}

func pingNative(t *testing.T, addr string, as embed.Credentials) error {
	t.Helper()
	conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{addr}, Auth: clickhouse.Auth{Username: as.User, Password: as.Password}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.Ping(t.Context())
}

// send writes bytes to a port and resets the connection.
func send(t *testing.T, addr string, data []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write(data)
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

func TestHTTPIsForThisMachineOnly(t *testing.T) {
	ch := embedtest.ClickHouse(t)
	own := strings.TrimPrefix(ch.HTTPURL(), "http://")
	for _, tc := range []struct {
		path, host, origin string
		want               int
	}{
		{"/?query=SELECT+1", own, "", 200},
		{"/?query=SELECT+1", "localhost", "", 200},
		{"/?query=SELECT+1", own, "http://" + own, 200},
		{"/ping", own, "", 200},
		{"/play", own, "", 200},
		{"/?query=SELECT+1", "evil.example", "", 403},
		{"/?query=SELECT+1", "127.0.0.1.evil.example", "", 403},
		{"/?query=SELECT+1", own, "http://evil.example", 403},
		{"/?query=SELECT+1", own, "null", 403},
		{"/ping", own, "http://evil.example", 403},
		{"/play", "evil.example", "", 403},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, ch.HTTPURL()+tc.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = tc.host
		req.Header.Set("X-ClickHouse-User", ch.Owner().User)
		req.Header.Set("X-ClickHouse-Key", ch.Owner().Password)
		if tc.origin != "" {
			req.Header.Set("Origin", tc.origin)
		}
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tc.want || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s with Host %q and Origin %q: status %d, want %d, and no CORS header (%q)",
				tc.path, tc.host, tc.origin, resp.StatusCode, tc.want, resp.Header.Get("Access-Control-Allow-Origin"))
		}
	}
}
