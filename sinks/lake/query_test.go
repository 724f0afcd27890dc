package lake

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/pricelake/pricelake/schemas"
)

// Query writes every type as ClickHouse does.
func TestQueryWritesWhatClickHouseWrites(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	for _, expression := range []string{
		"toDecimal128('12345678901234567890.123456789012345678', 18)", "toDecimal64('-0.5', 4)", "toDecimal256('1.5', 30)", "toDecimal128('0', 18)",
		"toInt256('-57896044618658097711785492504343953926634992332820282019728792003956564819968')", "toUInt128(1)", "toInt8(-1)", "18446744073709551615",
		"0.1", "toFloat32(0.1)", "1e300", "1e21", "-123456789012345680000.", "1e-6", "1.5e-7", "1 / 0", "0 / 0", "-1 / 0", "0.", "'it''s'", "true", "toUUID('01020304-0506-0708-090a-0b0c0d0e0f10')",
		"toDate32('1950-01-02')", "toDate('2026-01-02')", "toDateTime64('2026-01-02 03:04:05.000001', 6, 'UTC')", "toDateTime('2026-01-02 03:04:05', 'UTC')",
		"toDateTime64('1950-01-02 03:04:05.1', 3, 'UTC')", "CAST('a', 'Enum8(\\'a\\' = 1)')", "toLowCardinality('x')", "toFixedString('abc', 3)", "toIPv4('1.2.3.4')",
		"[1, 2]", "['a', 'it''s']", "[toDate32('1950-01-02')]", "[toNullable(1), NULL]", "[[1], []]", "map('a', 1)", "(1, 'a')", "tuple(toDecimal64('1.5', 2), [1])",
		"CAST((1, 'a'), 'Tuple(a UInt8, b String)')", "toNullable(toDecimal64('1.50', 2))", "[toDecimal64('1.5', 2)]",
	} {
		if got, want := ask(t, l, "SELECT "+expression), ask(t, l, "SELECT toString("+expression+")"); got != want {
			t.Errorf("%s is written %s, ClickHouse writes %s", expression, got, want)
		}
	}
	if got := ask(t, l, "SELECT NULL, toNullable(1), CAST(NULL, 'Nullable(Decimal(38, 18))') FROM numbers(2)"); got != "\\N\t1\t\\N\n\\N\t1\t\\N" {
		t.Errorf("nulls: %q", got)
	}
}

// A statement without an answer is run; errors come back, of the server and of
// the one who reads.
func TestQueryErrors(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	var heads [][]Column
	head := func(c []Column) error { heads = append(heads, c); return nil }
	each := func([]*string) error { return nil }
	if err := l.Query(t.Context(), "CREATE TABLE own (x Int8) ENGINE = Memory", head, each); err != nil {
		t.Errorf("DDL: %v", err)
	}
	if err := l.Query(t.Context(), "SELECT x, x + 0.5 AS y FROM own", head, each); err != nil {
		t.Error(err)
	}
	if want := []Column{{"x", "Int8"}, {"y", "Float64"}}; len(heads) != 2 || len(heads[0]) != 0 || !slices.Equal(heads[1], want) {
		t.Errorf("columns %v, want none and %v", heads, want)
	}
	if err := l.Query(t.Context(), "SELECT nonsense", head, each); err == nil {
		t.Error("an error of the server was lost")
	}
	stop := errors.New("enough")
	if err := l.Query(t.Context(), "SELECT number FROM numbers(1000000)", head, func([]*string) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the reader's error came back as %v", err)
	}
	if got := ask(t, l, "SELECT 1"); got != "1" {
		t.Errorf("after all that SELECT 1 = %q", got)
	}
}

// A lake that does not have what delivery relies on is refused, with a sentence
// that says what to do.
func TestCheckSettingsRefuses(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	run := func(statement string) {
		t.Helper()
		if err := l.conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	run("ALTER TABLE polls MODIFY SETTING non_replicated_deduplication_window = 1000")
	if err := l.CheckSettings(t.Context()); err != nil {
		t.Error(err)
	}
	run("ALTER TABLE polls MODIFY SETTING non_replicated_deduplication_window = 999")
	if err := l.CheckSettings(t.Context()); err == nil || !contains(err, "table polls remembers the tokens of the last 999 inserts") || !contains(err, "run ALTER TABLE polls MODIFY SETTING") {
		t.Errorf("CheckSettings with a small window = %v", err)
	}
	run("ALTER TABLE polls MODIFY SETTING non_replicated_deduplication_window = 0")
	if err := l.CheckSettings(t.Context()); err == nil || !contains(err, "table polls remembers the tokens of the last 0 inserts") {
		t.Errorf("a table without a window: %v", err)
	}
	run("DROP TABLE polls SYNC")
	if err := l.CheckSettings(t.Context()); err == nil || !contains(err, "tables polls are not there: run `pricelake migrate`") {
		t.Errorf("a table that is not there: %v", err)
	}
	reader := l.config
	owner := reader.User
	reader.User, reader.Password = readerOf(t)
	as, err := Open(reader)
	if err != nil {
		t.Fatal(err)
	}
	defer as.Close()
	if err := as.CheckSettings(t.Context()); err == nil {
		t.Errorf("user %s may load as well as %s", reader.User, owner)
	}
}

func TestConfigIsValidated(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for field, c := range map[string]func(*Config){
		"address": func(c *Config) { c.Address = "" }, "database": func(c *Config) { c.Database = "a-b" },
		"max inserts": func(c *Config) { c.MaxInserts = 0 }, "timeouts": func(c *Config) { c.StallTimeout = 1 },
	} {
		config := DefaultConfig()
		c(&config)
		if _, err := Open(config); err == nil || !contains(err, field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// The body of an answer goes when its terms say so, the row stays.
func TestBodiesGo(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	s := openSink(t, l)
	retention := func(callID, _ string) int32 { return map[string]int32{"short": 1, "long": math.MaxInt32}[callID] }
	d := jsonDecoders()
	s.loaders = d.loaders(retention, nil)
	for i, call := range []string{"short", "long", "default"} {
		r := schemas.ResponseReceived{CallID: call, Slot: utc("2026-01-05 00:00:00"), RequestedAt: utc("2026-01-05 00:00:00"), FetchedAt: utc("2026-01-05 00:00:00"), Body: []byte("{}")}
		if err := s.Write(t.Context(), block(record(t, schemas.TopicResponses, int64(i), r))); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.conn.Exec(t.Context(), "OPTIMIZE TABLE responses FINAL"); err != nil {
		t.Fatal(err)
	}
	answers(t, l, "SELECT call_id, body, body_bytes, retention_days FROM responses ORDER BY _offset", "short\t\t2\t1\nlong\t{}\t2\t65535\ndefault\t\t2\t90")
}
