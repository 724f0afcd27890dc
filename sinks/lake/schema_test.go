package lake

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/schemas"
)

// sent is what is sent for each table: column names and types in order.
func sent() map[string][]nativeColumn {
	d := jsonDecoders()
	all := map[string][]nativeColumn{}
	for _, l := range d.loaders(func(string, string) int32 { return 0 }, nil) {
		switch t := l.(type) {
		case *fieldTable:
			all[t.name] = t.part(0, t.take(), new(origin)).cols
		case *table[schemas.PriceRejected]:
			all[t.name] = t.part(0, &filling[schemas.PriceRejected]{columns: t.columns()}).cols
		case *table[schemas.PollFinished]:
			all[t.name] = t.part(0, &filling[schemas.PollFinished]{columns: t.columns()}).cols
		case *table[schemas.ResponseReceived]:
			all[t.name] = t.part(0, &filling[schemas.ResponseReceived]{columns: t.columns()}).cols
		case *table[schemas.DeadLetter]:
			all[t.name] = t.part(0, &filling[schemas.DeadLetter]{columns: t.columns()}).cols
		case *table[definition[schemas.InstrumentDefined]]:
			all[t.name] = t.part(0, &filling[definition[schemas.InstrumentDefined]]{columns: t.columns()}).cols
		case *table[definition[schemas.CallDefined]]:
			all[t.name] = t.part(0, &filling[definition[schemas.CallDefined]]{columns: t.columns()}).cols
		}
	}
	return all
}

// The columns that are sent are those of the DDL: names, order, types. The
// enumerations among them have the symbols and numbers of package schemas.
func TestColumnsAreThoseOfTheDDL(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	for name, cols := range sent() {
		var want []string
		for _, c := range cols {
			want = append(want, c.name+"\t"+c.typ)
		}
		got := ask(t, l, "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = '"+name+"' ORDER BY position")
		if got != strings.Join(want, "\n") {
			t.Errorf("table %s has\n%s\nthis version sends\n%s", name, got, strings.Join(want, "\n"))
		}
	}
}

// Every field of a record is a column of the same name, and in the same order;
// what is not a field is lineage, or has its reason here.
func TestColumnsAreTheFields(t *testing.T) {
	all := sent()
	for name, record := range map[string]any{
		"prices": schemas.Price{}, "prices_rejected": schemas.PriceRejected{}, "polls": schemas.PollFinished{},
		"responses": schemas.ResponseReceived{}, "dead_letters": schemas.DeadLetter{}, "instruments_history": schemas.InstrumentDefined{},
	} {
		var fields, columns []string
		for i := range reflect.TypeOf(record).NumField() {
			fields = append(fields, reflect.TypeOf(record).Field(i).Tag.Get("avro"))
		}
		for _, c := range all[name] {
			column, _, _ := strings.Cut(c.name, ".")
			switch column {
			case "recorded_at", "inserted_at", "_topic_id", "_partition", "_offset", "_lake_epoch": // origin
			case "body_bytes", "retention_days": // outlive the body; when it goes
			case "removed": // a null value
			default:
				if !slices.Contains(columns, column) {
					columns = append(columns, column)
				}
			}
		}
		if !slices.Equal(fields, columns) {
			t.Errorf("table %s has columns\n%v\nof a record with\n%v", name, columns, fields)
		}
	}
}

// What is sent is reviewed as SQL: testdata/inserts.sql. Delete the file and run
// the test to write it anew.
func TestInsertsAreAsReviewed(t *testing.T) {
	var b strings.Builder
	all := sent()
	for _, table := range Tables() {
		fmt.Fprintf(&b, "%s;\n\n", insertText(table.Name, all[table.Name]))
	}
	path := filepath.Join("testdata", "inserts.sql")
	want, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		err = os.WriteFile(path, []byte(b.String()), 0o644)
		want = []byte(b.String())
	}
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s differs from what is sent:\n%s", path, b.String())
	}
}

// The cluster variant parses, and is the same but for engine, window and
// cluster. Nothing more is known of it: see RenderCluster.
func TestClusterVariantParses(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	rendered, err := RenderCluster("company")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := RenderCluster("x'; DROP"); err == nil {
		t.Error("a cluster name that is no identifier was taken")
	}
	tables := 0
	for _, f := range rendered {
		for _, statement := range statements(f.SQL) {
			if !strings.Contains(statement, "ON CLUSTER company") {
				t.Errorf("%s: without ON CLUSTER: %.60s", f.Name, statement)
			}
			if strings.Contains(statement, "CREATE TABLE") {
				tables++
				if !strings.Contains(statement, "MergeTree('/clickhouse/tables/") || strings.Contains(statement, "non_replicated") {
					t.Errorf("%s: not replicated: %.60s", f.Name, statement)
				}
			}
			// formatQuery parses; the parameters of views go through it too.
			if got := ask(t, l, "SELECT length(formatQuery('"+quote(statement)+"')) > 0"); got != "true" && got != "1" {
				t.Errorf("%s: %s", f.Name, got)
			}
		}
	}
	if want := len(Tables()) + 2; tables != want { // audits and rebuilds are loaded from no topic
		t.Errorf("%d tables, want %d", tables, want)
	}
}

// statements splits a migration.
func statements(text string) []string {
	var out []string
	for _, s := range strings.Split(withoutComments(text), ";\n") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func withoutComments(text string) string {
	return regexp.MustCompile(`(?m)--.*$`).ReplaceAllString(text, "")
}

func quote(s string) string { return strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) }

// Decimals are multiplied and divided by functions, never by operators: those
// overflow without a word, as the second half shows.
func TestNoOperatorsOnDecimals(t *testing.T) {
	names, err := filepath.Glob("sql/*.sql")
	if err != nil || len(names) == 0 {
		t.Fatal(err)
	}
	operator := regexp.MustCompile(`[\w)\]'"]\s*[*/]\s*[\w('"]`)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		body := regexp.MustCompile(`'(''|[^'])*'`).ReplaceAllString(withoutComments(string(text)), "''")
		body = strings.ReplaceAll(body, "SELECT *", "SELECT")
		if found := operator.FindString(body); found != "" {
			t.Errorf("%s uses an operator: %q", name, found)
		}
	}
	l := openLake(t)
	if got := ask(t, l, "SELECT toDecimal128('30000', 18) * toDecimal128('1.0', 18)"); got == "30000" {
		t.Error("the server multiplies right: if the trap is gone, say so in docs/adr/0007-lake-tables.md")
	}
	if got := ask(t, l, "SELECT multiplyDecimal(toDecimal128('30000', 18), toDecimal128('1.0', 18), 18)"); got != "30000" {
		t.Errorf("multiplyDecimal = %s", got)
	}
}
