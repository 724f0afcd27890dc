package lake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/pricelake/pricelake/internal/accounts"
	"github.com/pricelake/pricelake/internal/embed"
	"github.com/pricelake/pricelake/internal/embed/embedtest"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
)

// rig is a server with the accounts of deploy/clickhouse, as operators get them.
type rig struct{ server *embed.ClickHouse }

func newRig(t *testing.T) rig {
	t.Helper()
	var variables []string
	for _, a := range accounts.All(DefaultDatabase) {
		hash := sha256.Sum256([]byte("password of " + a.Name))
		t.Setenv(accounts.Variable(a.Name), hex.EncodeToString(hash[:]))
		variables = append(variables, accounts.Variable(a.Name))
	}
	return rig{embedtest.WithUsers(t, "../../deploy/clickhouse/users.d", variables...)}
}

// as opens the lake with an account.
func (r rig) as(t *testing.T, account string) *Lake {
	t.Helper()
	config := DefaultConfig()
	config.Address, config.User, config.Password = r.server.NativeAddr(), account, "password of "+account
	config.StallTimeout = time.Second
	l, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// operator runs a statement as somebody who may do everything.
func (r rig) operator(t *testing.T, statement string) {
	t.Helper()
	if err := r.server.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// refused fails unless the server refuses each statement for the reason given.
func refused(t *testing.T, l *Lake, reason string, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		err := l.Query(t.Context(), statement, func([]Column) error { return nil }, func([]*string) error { return nil })
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s may run\n%s\n(want %q, got %v)", l.config.User, statement, reason, err)
		}
	}
}

const (
	noRight    = "Not enough privileges"
	notAllowed = "Setting" // a constraint of the profile
)

// The accounts of deploy/clickhouse can do all that they are for, and nothing
// else. The engine is the real one; SQL text of the same is parsed only, since
// this engine keeps no users made by SQL.
func TestAccounts(t *testing.T) {
	r := newRig(t)
	r.operator(t, "DROP DATABASE "+DefaultDatabase+" SYNC")
	migrator, writer, reader := r.as(t, accounts.Migrator), r.as(t, accounts.Writer), r.as(t, accounts.Reader)

	t.Run("migrator migrates", func(t *testing.T) {
		migrations, err := migrator.Migrate(t.Context())
		if err != nil || len(migrations) == 0 {
			t.Fatalf("from nothing: %v, %v", migrations, err)
		}
		if migrations, err = migrator.Migrate(t.Context()); err != nil || len(migrations) != 0 {
			t.Fatalf("the second time: %v, %v", migrations, err)
		}
		ask(t, migrator, "ALTER TABLE polls ADD COLUMN later Int8")
		ask(t, migrator, "ALTER TABLE polls DROP COLUMN later")
		ask(t, migrator, "ALTER TABLE polls MODIFY SETTING non_replicated_deduplication_window = 10000")
	})
	ask(t, migrator, positive)
	t.Run("writer asks about rules", func(t *testing.T) { asksAboutRules(t, writer) })
	ask(t, migrator, "ALTER TABLE prices DROP CONSTRAINT positive")
	r.operator(t, "TRUNCATE TABLE "+DefaultDatabase+".prices SYNC")
	t.Run("writer lives", func(t *testing.T) { liveAsWriter(t, writer) })
	t.Run("writer fills", func(t *testing.T) { fill(t, writer) })
	r.operator(t, "SYSTEM FLUSH LOGS") // makes system.query_log
	t.Run("writer is refused", func(t *testing.T) { writerRefused(t, writer) })
	t.Run("writer ends no query of others", func(t *testing.T) { leavesOthersAlone(t, writer, migrator) })
	t.Run("migrator is refused", func(t *testing.T) { migratorRefused(t, migrator) })
	t.Run("reader answers", func(t *testing.T) { readerAnswers(t, reader) })
	t.Run("reader is refused", func(t *testing.T) { readerRefused(t, reader) })
	t.Run("reader is limited", func(t *testing.T) { readerLimited(t, reader) })
	t.Run("reader crowds", func(t *testing.T) { readerCrowds(t, reader) })
	r.operator(t, "SELECT throwIf((SELECT max(max_queries) FROM system.quotas_usage WHERE quota_name = 'pricelake_reader') != 1200, 'no quota')")
	t.Run("wrong password", func(t *testing.T) {
		c := writer.config
		c.Password = "wrong"
		l, err := Open(c)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if err := l.Ping(t.Context()); err == nil || !contains(err, "Authentication failed") {
			t.Errorf("a wrong password: %v", err)
		}
	})
	t.Run("SQL parses", func(t *testing.T) {
		text, err := os.ReadFile("../../deploy/clickhouse/accounts.sql")
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range strings.Split(uncommented(string(text)), ";\n") {
			if strings.TrimSpace(statement) == "" {
				continue
			}
			literal := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(statement)
			if ask(t, writer, "SELECT formatQuery('"+literal+"')") == "" {
				t.Errorf("not understood: %s", statement)
			}
		}
	})
}

// liveAsWriter is what the role lake and the tools do with the lake.
func liveAsWriter(t *testing.T, l *Lake) {
	if err := l.CheckSettings(t.Context()); err != nil {
		t.Fatal(err)
	}
	status, err := l.Status(t.Context())
	if err != nil || len(status) == 0 || status[0].Applied.IsZero() {
		t.Errorf("the migrations as writer: %v, %v", status, err)
	}
	s := openSink(t, l)
	rs := []stream.Record{record(t, schemas.TopicPrices, 1, somePrice(t, 1)), record(t, schemas.TopicPrices, 2, somePrice(t, 2))}
	b := block(rs...)
	for range 2 { // the second is a repeat, which is confirmed by lineage
		if err := s.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Fence(t.Context(), b.Partition); err != nil {
		t.Error(err)
	}
	if present, err := s.Present(t.Context(), b.Range); err != nil || !present.Has(1) || !present.Has(2) {
		t.Errorf("recovery: %v, %v", present, err)
	}
	if got, want := verify(t, l, rs), (Report{Topic: schemas.TopicPrices, Table: "prices", First: 1, Next: 3, Records: 2, Rows: 2}); !reflect.DeepEqual(got, want) {
		t.Errorf("verify %+v, want %+v", got, want)
	}
	definition := record(t, schemas.TopicInstruments, 1, schemas.InstrumentDefined{Instrument: "A-USD", DefinedAt: utc("2026-01-05 00:00:00")})
	definition.Key = []byte("A-USD")
	if err := s.Write(t.Context(), block(definition)); err != nil {
		t.Fatal(err)
	}
	if got := verify(t, l, []stream.Record{definition}); !got.OK() {
		t.Errorf("verify of a compacted topic: %+v", got)
	}
	if u, err := l.Unique(t.Context()); err != nil || u.Rows != 2 || u.Unique != 2 {
		t.Errorf("uniqueness: %+v, %v", u, err)
	}
	if _, err := l.doubled(slicing(t.Context(), 1, 0)); err != nil {
		t.Error(err)
	}
	if held, err := l.Held(t.Context(), 0); err != nil || len(held) != 1 || len(pricesHeld(t, l, topicID, 0, 10)) != 2 {
		t.Errorf("what a deduplicator takes back: %v, %v", held, err)
	}
	if stats, err := l.Stats(t.Context()); err != nil || len(stats) != len(Tables()) || stats[0].Rows != 2 {
		t.Errorf("stats: %+v, %v", stats, err)
	}
	endsItsOwn(t, l, s, b.Partition)
}

// asksAboutRules: the role may ask which rows break a rule, and whether it stands.
func asksAboutRules(t *testing.T, l *Lake) {
	g, letters := priceLog(t, 200), new(published)
	bad := g.spoil(20)
	s := openSink(t, l)
	claim := g.claim()
	opened, err := sinks.NewHandler(handlerOptions(s, letters)).Open(t.Context(), claim)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 { // of the second the rule is known
		b := g.batch()
		b.Records = b.Records[100*i : 100*(i+1)]
		if err := opened.Write(t.Context(), b, claim.Intend); err != nil {
			t.Fatal(err)
		}
	}
	if len(letters.sent) != len(bad) || len(s.rules.of("prices")) != 1 {
		t.Errorf("%d dead letters, want %d; %d rules are known", len(letters.sent), len(bad), len(s.rules.of("prices")))
	}
	for _, one := range s.rules.of("prices") {
		if one.idle != 0 {
			t.Error("the rule was not asked about, or not answered")
		}
	}
}

// endsItsOwn runs a slow query under the name of an INSERT of the partition, as
// a killed process leaves one behind, and ends it.
func endsItsOwn(t *testing.T, l *Lake, s *Sink, p sinks.Partition) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- slowQuery(t.Context(), l, s.prefix(p)+"1-2:1:0:202601") }()
	for ask(t, l, "SELECT count() FROM system.processes WHERE startsWith(query_id, 'lake:')") != "1" {
		select {
		case err := <-done:
			t.Fatalf("the slow query ended early: %v", err)
		default:
		}
	}
	if err := s.Fence(t.Context(), p); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil || !contains(err, "cancelled") && !contains(err, "killed") {
		t.Errorf("the slow query ended with %v", err)
	}
}

// leavesOthersAlone tries to end a query of somebody else.
func leavesOthersAlone(t *testing.T, l, other *Lake) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- slowQuery(ctx, other, "somebody's") }()
	for ask(t, l, "SELECT count() FROM system.processes WHERE query_id = 'somebody\\'s'") != "1" {
		select {
		case err := <-done:
			t.Fatalf("the slow query ended early: %v", err)
		default:
		}
	}
	refused(t, l, "attempts to kill query", "KILL QUERY WHERE query_id = 'somebody\\'s' SYNC")
	if got := ask(t, l, "SELECT count() FROM system.processes WHERE query_id = 'somebody\\'s'"); got != "1" {
		t.Errorf("%s of the queries run", got)
	}
	cancel()
	<-done
}

func writerRefused(t *testing.T, l *Lake) {
	refused(t, l, noRight,
		"SELECT body FROM responses",
		"SELECT * FROM responses",
		"SELECT instrument, price FROM prices",
		"SELECT correlation_id FROM prices",
		"SELECT * FROM prices_current",
		"SELECT value FROM dead_letters",
		"SELECT mapping FROM calls_history",
		"SELECT fragment FROM prices_rejected",
		"DROP TABLE prices",
		"DROP VIEW prices_current",
		"DROP DATABASE pricelake",
		"TRUNCATE TABLE prices",
		"ALTER TABLE prices DROP PARTITION 202601",
		"ALTER TABLE prices DELETE WHERE 1",
		"ALTER TABLE prices UPDATE price = 1 WHERE 1",
		"ALTER TABLE prices ADD COLUMN x Int8",
		"ALTER TABLE prices MODIFY SETTING non_replicated_deduplication_window = 0",
		"DELETE FROM prices WHERE 1",
		"OPTIMIZE TABLE prices FINAL",
		"CREATE TABLE x (a Int8) ENGINE = MergeTree ORDER BY a",
		"CREATE VIEW x AS SELECT 1",
		"INSERT INTO migrations (version_id, is_applied) VALUES (99, 1)",
		"SELECT * FROM file('/etc/passwd', 'LineAsString')",
		"SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
		"SELECT * FROM remote('127.0.0.1:1', system.one)",
		"SELECT * FROM system.users",
		"SELECT * FROM system.query_log",
		"CREATE USER eve",
		"GRANT SELECT ON *.* TO pricelake_writer",
		"SYSTEM STOP MERGES prices",
		"SYSTEM SHUTDOWN",
	)
}

func migratorRefused(t *testing.T, l *Lake) {
	refused(t, l, noRight,
		"INSERT INTO prices_rejected (reject_id) VALUES (generateUUIDv4())",
		"DROP TABLE prices",
		"DROP DATABASE pricelake",
		"TRUNCATE TABLE prices",
		"ALTER TABLE prices DELETE WHERE 1",
		"ALTER TABLE prices UPDATE price = 1 WHERE 1",
		"ALTER TABLE prices DROP PARTITION 202601",
		"DELETE FROM prices WHERE 1",
		"CREATE TABLE pricelake.out (a Int8) ENGINE = File(CSV)",
		"CREATE TABLE pricelake.out (a Int8) ENGINE = URL('http://127.0.0.1:1/', CSV)",
		"CREATE TABLE elsewhere.x (a Int8) ENGINE = MergeTree ORDER BY a",
		"CREATE DATABASE elsewhere",
		"CREATE DICTIONARY pricelake.d (a String, b String) PRIMARY KEY a SOURCE(EXECUTABLE(COMMAND 'id' FORMAT 'TSV')) LAYOUT(COMPLEX_KEY_HASHED()) LIFETIME(0)",
		"CREATE FUNCTION f AS x -> x",
		"CREATE USER eve",
		"GRANT ALL ON *.* TO pricelake_migrator",
		"SELECT * FROM file('/etc/passwd', 'LineAsString')",
		"SELECT * FROM system.users",
		"SELECT * FROM system.processes",
		"KILL QUERY WHERE user != currentUser() SYNC",
		"SYSTEM SHUTDOWN",
	)
}

func readerAnswers(t *testing.T, l *Lake) {
	text, err := os.ReadFile(sqlDoc)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range questions(t, string(text)) {
		q.ask(t, l) // what it is answered, TestCookbook looks at
	}
	for _, statement := range []string{
		// What drivers, Grafana and notebooks ask.
		"SELECT version(), timezone(), currentDatabase()",
		"SELECT name FROM system.databases",
		"SELECT name, engine, comment FROM system.tables WHERE database = 'pricelake'",
		"SELECT name, type, comment FROM system.columns WHERE database = 'pricelake' AND table = 'prices'",
		"SELECT name, value, readonly FROM system.settings LIMIT 10000",
		"SELECT name, is_aggregate FROM system.functions",
		"SELECT name FROM system.data_type_families",
		"SELECT name FROM system.formats",
		"SELECT value FROM system.build_options",
		"SELECT time_zone FROM system.time_zones LIMIT 1",
		"SELECT table_name FROM information_schema.tables",
		"SELECT COLUMN_NAME FROM INFORMATION_SCHEMA.COLUMNS LIMIT 1",
		"SHOW DATABASES",
		"SHOW TABLES",
		"SHOW CREATE TABLE prices",
		"DESCRIBE TABLE prices_latest",
		"EXPLAIN SELECT * FROM prices_latest",
		"SELECT count() FROM numbers(10)",
		// Drivers send settings, and may lower the limits.
		"SELECT 1 SETTINGS max_execution_time = 5, max_result_rows = 10, max_threads = 1",
	} {
		if ask(t, l, statement) == "" {
			t.Errorf("no row comes of\n%s", statement)
		}
	}
}

func readerRefused(t *testing.T, l *Lake) {
	refused(t, l, noRight,
		"SELECT * FROM file('/etc/passwd', 'LineAsString')",
		"SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
		"SELECT * FROM remote('127.0.0.1:1', system.one)",
		"SELECT * FROM remoteSecure('127.0.0.1:1', system.one)",
		"SELECT * FROM s3('http://127.0.0.1:1/bucket/key', 'CSV', 'a Int8')",
		"SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
		"SELECT * FROM postgresql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
		"SELECT * FROM executable('id', 'TSV', 'a String')",
		"SELECT * FROM system.users",
		"SELECT * FROM system.grants",
		"SELECT * FROM system.processes",
		"SELECT * FROM system.query_log",
		"SELECT * FROM system.disks",
		"SELECT * FROM system.server_settings",
		"SELECT * FROM system.quotas",
		"SELECT * FROM system.clusters",
		"CREATE TEMPORARY TABLE x (a Int8)",
		"SYSTEM FLUSH LOGS",
	)
	refused(t, l, "",
		"SELECT * FROM sqlite('/etc/passwd', 't')",
		"INSERT INTO prices_rejected (reject_id) VALUES (generateUUIDv4())",
		"INSERT INTO FUNCTION file('/tmp/x', 'CSV', 'a Int8') VALUES (1)",
		"CREATE TABLE x (a Int8) ENGINE = MergeTree ORDER BY a",
		"CREATE VIEW x AS SELECT 1",
		"DROP TABLE prices",
		"TRUNCATE TABLE prices",
		"ALTER TABLE prices DELETE WHERE 1",
		"OPTIMIZE TABLE prices",
		"KILL QUERY WHERE user != currentUser() SYNC",
		"CREATE USER eve",
		"GRANT SELECT ON system.users TO pricelake_reader",
		"BACKUP DATABASE pricelake TO File('/tmp/b')",
		"SYSTEM SHUTDOWN",
	)
	for _, s := range accounts.ReaderProfile() {
		value := "0" // of a limit: none
		switch s.Value {
		case "throw":
			value = "'break'"
		case "0":
			value = "1"
		case "QUERY_START":
			value = "'EXCEPTION_WHILE_PROCESSING'"
		}
		refused(t, l, "", "SELECT 1 SETTINGS "+s.Name+" = "+value, "SET "+s.Name+" = "+value)
		if s.Max != "" {
			refused(t, l, notAllowed, "SELECT 1 SETTINGS "+s.Name+" = "+s.Max+"0")
		}
	}
	refused(t, l, "Limit for result exceeded", "SELECT number FROM numbers(10000001) FORMAT Null") // a slow reader would be refused for its time
	// Another profile may be chosen, but the constraints stay.
	for _, profile := range []string{"default", accounts.Writer, accounts.Migrator} {
		refused(t, l, notAllowed, "SELECT 1 SETTINGS profile = '"+profile+"', max_execution_time = 0")
		refused(t, l, "Cannot", "SELECT 1 SETTINGS profile = '"+profile+"', readonly = 0")
	}
}

// uncommented drops the lines that are comments.
func uncommented(text string) string {
	var kept []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "--") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// slowQuery runs until somebody ends it.
func slowQuery(ctx context.Context, l *Lake, id string) error {
	return l.conn.Exec(clickhouse.Context(ctx, clickhouse.WithQueryID(id)), "SELECT sleepEachRow(1) FROM numbers(60) SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 60000000 FORMAT Null")
}
