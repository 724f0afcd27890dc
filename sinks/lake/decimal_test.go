package lake

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// What docs/sql.md warns of is so on the server we pin, and what it advises is
// right. A trap that is gone may be struck from the page.
func TestDecimalTraps(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	for _, trap := range []struct{ written, instead, right string }{
		{"toDecimal128('30000', 18) * toDecimal128('1.0', 18)", "multiplyDecimal(toDecimal128('30000', 18), toDecimal128('1.0', 18), 18)", "30000"},
		{"toDecimal128('300', 18) / toDecimal128('50', 18)", "divideDecimal(toDecimal128('300', 18), toDecimal128('50', 18), 18)", "6"},
		{"(SELECT sum(x) FROM (SELECT toDecimal128('90000000000000000000', 18) AS x FROM numbers(3)))", "(SELECT sum(toDecimal256(x, 18)) FROM (SELECT toDecimal128('90000000000000000000', 18) AS x FROM numbers(3)))", "270000000000000000000"},
		{"(SELECT avg(x) FROM (SELECT toDecimal128(if(number = 0, '0.100000000000000001', '0.100000000000000003'), 18) AS x FROM numbers(2)))",
			"(SELECT divideDecimal(sum(toDecimal256(x, 18)), toDecimal256(count(x), 0), 18) FROM (SELECT toDecimal128(if(number = 0, '0.100000000000000001', '0.100000000000000003'), 18) AS x FROM numbers(2)))", "0.100000000000000002"},
		{"toDecimal128('0.100000000000000001', 18) * 1.1", "multiplyDecimal(toDecimal128('0.100000000000000001', 18), toDecimal128('1.1', 1), 18)", "0.110000000000000001"},
	} {
		if got := ask(t, l, "SELECT "+trap.written); got == trap.right {
			t.Errorf("%s is right by now: %s", trap.written, got)
		}
		if got := ask(t, l, "SELECT "+trap.instead); got != trap.right {
			t.Errorf("%s = %s, want %s", trap.instead, got, trap.right)
		}
	}
	// A literal beside a decimal keeps its value when it is typed.
	answers(t, l,
		"SELECT if(number = 0, toDecimal128('1.1', 18), toDecimal128('1', 18)) FROM numbers(2)", "1.1\n1",
		"SELECT toTypeName(avg(toDecimal128('1', 18)))", "Float64",
		"SELECT toTypeName(multiplyDecimal(toDecimal128('1', 18), toDecimal128('1', 18), 18))", "Decimal(76, 18)")
	refused(t, l, "overflow", "SELECT multiplyDecimal(toDecimal256('1e40', 18), toDecimal256('1e40', 18), 18)")
	refused(t, l, "Division by zero", "SELECT divideDecimal(toDecimal128('1', 18), toDecimal128('0', 18), 18)",
		"SELECT divideDecimal(toDecimal128('1', 18), materialize(CAST(NULL, 'Nullable(Decimal(38, 18))')), 18)")
}

// No view and no question of docs/sql.md multiplies or divides a decimal with an
// operator, or takes avg of it, however that is spelt: the server's own tree of
// each query says what functions it has, and of what type they and their
// arguments are.
func TestViewsHaveNoOperatorsOnDecimals(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	for _, wrong := range []string{"price * price", "1.1 * price", "divide(price, size)", "toFloat64(price) / bid", "intDiv(price, 2)", "price % 2", "avg(price)",
		"arrayMap(x -> x * 2, [price])[1]", "(SELECT max(price * size) FROM prices)"} {
		if err := l.conn.Exec(t.Context(), "CREATE OR REPLACE VIEW wrong AS SELECT "+wrong+" FROM prices WHERE instrument = {name:String}"); err != nil {
			t.Fatal(err)
		}
		if found := operators(t, l, viewText(t, l, "wrong")); len(found) == 0 {
			t.Errorf("%s is not seen", wrong)
		}
	}
	if err := l.conn.Exec(t.Context(), "DROP VIEW wrong"); err != nil {
		t.Fatal(err)
	}
	views := strings.Fields(ask(t, l, "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View'"))
	if len(views) < 14 {
		t.Errorf("only the views %v", views)
	}
	for _, view := range views {
		if found := operators(t, l, viewText(t, l, view)); len(found) > 0 {
			t.Errorf("view %s: %q", view, found)
		}
	}
	text, err := os.ReadFile(sqlDoc)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range questions(t, string(text)) {
		if found := operators(t, l, q.sql); len(found) > 0 {
			t.Errorf("%s\n%q", q.sql, found)
		}
	}
}

// viewText is the query of a view. A query that asks a view says nothing of what
// is in it.
func viewText(t *testing.T, l *Lake, view string) string {
	t.Helper()
	return ask(t, l, "SELECT as_select FROM system.tables WHERE database = currentDatabase() AND name = '"+view+"'")
}

var (
	treeNode      = regexp.MustCompile(`^( *)(?:FUNCTION id: \d+, function_name: (\w+), |COLUMN |CONSTANT |QUERY |LAMBDA )(.*)$`)
	losesDecimals = regexp.MustCompile(`^(multiply|divide|intDiv|modulo|positiveModulo|avg)`)
)

// operators returns the functions of a query that lose decimals, with the types
// of them or of the arguments that are decimals.
func operators(t *testing.T, l *Lake, query string) (found []string) {
	t.Helper()
	ctx := clickhouse.Context(t.Context(), clickhouse.WithParameters(clickhouse.Parameters{
		"name": "BTC-USD", "seconds": "60", "start": "2026-01-05 00:00:00", "end": "2026-01-06 00:00:00", "currency": "EUR", "t": "2026-01-05 00:00:00",
		"base": "USD", "quote": "GBP", "at": "2026-01-05 00:00:00",
	}))
	rows, err := l.conn.Query(ctx, "EXPLAIN QUERY TREE "+query)
	if err != nil {
		t.Fatalf("%s\n%v", query, err)
	}
	defer rows.Close()
	var within []struct { // the functions that the line is in
		indent int
		name   string
	}
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		m := treeNode.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		indent := len(m[1])
		for len(within) > 0 && within[len(within)-1].indent >= indent {
			within = within[:len(within)-1]
		}
		// An argument stands three steps below its function: ARGUMENTS, LIST.
		if n := len(within); n > 0 && within[n-1].indent == indent-6 && losesDecimals.MatchString(within[n-1].name) && strings.Contains(m[3], "Decimal(") {
			found = append(found, within[n-1].name+" of "+m[3])
		}
		within = append(within, struct {
			indent int
			name   string
		}{indent, strings.Replace(strings.Replace(m[2], "multiplyDecimal", "", 1), "divideDecimal", "", 1)})
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if len(within) == 0 {
		t.Fatalf("the server explains nothing of %s", query)
	}
	return found
}
