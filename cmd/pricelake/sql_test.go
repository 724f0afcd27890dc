package main

import (
	"strings"
	"testing"

	"github.com/pricelake/pricelake/sinks/lake"
)

func TestRowWriters(t *testing.T) {
	text := func(s string) *string { return &s }
	f := func(format, want string) {
		t.Helper()
		var b strings.Builder
		c := &cli{out: newPrinter(&b)}
		w, err := c.rowWriter(format)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Columns([]lake.Column{{Name: "n", Type: "UInt64"}, {Name: "price", Type: "Nullable(Decimal(38, 18))"}, {Name: "t", Type: "String"}}); err != nil {
			t.Fatal(err)
		}
		for _, row := range [][]*string{{text("1"), text("0.1"), text("a\tb")}, {text("2"), nil, text(`say "hi"`)}} {
			if err := w.Row(row); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if b.String() != want {
			t.Errorf("%q:\ngot  %q\nwant %q", format, b.String(), want)
		}
	}
	tsv := "n\tprice\tt\n1\t0.1\ta\\tb\n2\tNULL\tsay \"hi\"\n"
	f("", tsv) // a pipe
	f("tsv", tsv)
	f("csv", "n,price,t\n1,0.1,a\tb\n2,,\"say \"\"hi\"\"\"\n")
	f("json", `{"n":1,"price":"0.1","t":"a\tb"}`+"\n"+`{"n":2,"price":null,"t":"say \"hi\""}`+"\n")
}

// TestPlainRowsInParts prints more rows than are held at once: one header.
func TestPlainRowsInParts(t *testing.T) {
	var b strings.Builder
	c := &cli{out: newPrinter(&b)}
	w, err := c.rowWriter("tsv")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Columns([]lake.Column{{Name: "n", Type: "UInt64"}}); err != nil {
		t.Fatal(err)
	}
	one := "1"
	const rows = 2*flushRows + 1
	for range rows {
		if err := w.Row([]*string{&one}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(b.String(), "\n"); got != rows+1 || strings.Count(b.String(), "n") != 1 {
		t.Errorf("%d lines, want %d rows and one header", got, rows)
	}
}
