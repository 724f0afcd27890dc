package lake

import (
	"regexp"
	"strings"
	"testing"
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

// No view multiplies or divides a decimal with an operator, however it is spelt:
// the server's own tree of each query says what functions it has, and of what
// type they are.
func TestViewsHaveNoOperatorsOnDecimals(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	operator := regexp.MustCompile(`function_name: (multiply|divide|intDiv|intDivOrZero|modulo|positiveModulo|divideOrNull|modulo\w*), function_type: ordinary, result_type: [^\n]*Decimal`)
	if tree := ask(t, l, "EXPLAIN QUERY TREE SELECT price * price FROM prices"); !operator.MatchString(tree) {
		t.Fatalf("an operator is not seen in\n%s", tree)
	}
	parameters := map[string]string{
		"ohlc": "(seconds = 60)", "ohlc_filled": "(seconds = 60, start = '2026-01-05 00:00:00', end = '2026-01-06 00:00:00')",
		"prices_in": "(currency = 'EUR')", "as_known_at": "(t = '2026-01-05 00:00:00')", "fx_asof": "(base = 'USD', quote = 'GBP', at = '2026-01-05 00:00:00')",
	}
	views := strings.Fields(ask(t, l, "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View'"))
	if len(views) < 14 {
		t.Errorf("only the views %v", views)
	}
	for _, view := range views {
		tree := ask(t, l, "EXPLAIN QUERY TREE SELECT * FROM "+view+parameters[view])
		if found := operator.FindString(tree); found != "" {
			t.Errorf("view %s: %s", view, found)
		}
	}
}
