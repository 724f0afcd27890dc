package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/secure"
	"github.com/pricelake/pricelake/sinks/lake"
)

func (c *cli) sqlCommand() *cobra.Command {
	var format string
	var write bool
	cmd := &cobra.Command{
		Use:   "sql [QUERY]",
		Short: "Ask the lake a question in SQL",
		Long: `Runs one query in the lake's database and prints the rows: a table on a terminal,
tab-separated text in a pipe, JSON with --json. Without QUERY it is read from
standard input. Decimals come as text, exactly as stored.

Against a running ` + "`pricelake up`" + ` the query runs under an account that can only
read; --write takes the one that owns the tables.`,
		Args: cobra.MaximumNArgs(1),
		Example: examples(
			`pricelake sql "SELECT instrument, provider, price, age_seconds FROM prices_latest"`,
			`pricelake sql --json "SELECT count(), uniqExact(event_id, revision) FROM prices"`,
			`echo "SELECT * FROM ohlc(seconds=60)" | pricelake sql --format csv`),
		RunE: func(cmd *cobra.Command, args []string) error {
			query := strings.Join(args, "")
			if query == "" {
				b, err := io.ReadAll(io.LimitReader(c.stdin, 1<<20))
				if err != nil {
					return fmt.Errorf("reading the query from standard input: %w", err)
				}
				query = string(b)
			}
			query = strings.TrimRight(strings.TrimSpace(query), ";")
			if query == "" {
				return usageError{fmt.Errorf("no query: give one as argument or on standard input")}
			}
			rows, err := c.rowWriter(format)
			if err != nil {
				return err
			}
			a, err := c.open()
			if err != nil {
				return err
			}
			defer a.Close()
			err = a.Query(cmd.Context(), query, write, rows.Columns, rows.Row)
			if errors.Is(err, secure.ErrForbidden) && !write {
				err = fmt.Errorf("%w; the account for readers asks: a statement that changes the lake needs --write", err)
			}
			if err != nil {
				return err
			}
			return rows.Close()
		},
	}
	cmd.Flags().StringVar(&format, "format", "", "table, tsv, csv or json (default: table on a terminal, else tsv)")
	cmd.Flags().BoolVar(&write, "write", false, "let the statement change the lake")
	return cmd
}

// commentsAreNoFlags lets a query of `sql` begin with a comment, as those of the
// documentation do: no flag has a blank after its dashes.
func commentsAreNoFlags(args []string) []string {
	at := slices.Index(args, "sql")
	if at < 0 {
		return args
	}
	args = slices.Clone(args)
	for i, arg := range args {
		if rest, ok := strings.CutPrefix(arg, "--"); ok && i > at && strings.TrimLeft(rest, " \t\r\n") != rest {
			args[i] = "\n" + arg
		}
	}
	return args
}

// rowWriter prints the rows of a query. A nil cell is NULL.
type rowWriter interface {
	Columns([]lake.Column) error
	Row([]*string) error
	Close() error
}

func (c *cli) rowWriter(format string) (rowWriter, error) {
	switch {
	case format == "json" || format == "" && c.flags.json:
		return &jsonRows{w: c.out.w}, nil
	case format == "csv":
		return &csvRows{w: csv.NewWriter(c.out.w)}, nil
	case format == "tsv" || format == "" && !c.out.terminal:
		return &tableRows{p: &printer{w: c.out.w}, limit: flushRows}, nil
	case format == "table" || format == "":
		p := *c.out
		p.terminal = true
		return &tableRows{p: &p, limit: terminalRows}, nil
	}
	return nil, usageError{fmt.Errorf("--format %q: write table, tsv, csv or json", format)}
}

// terminalRows is how many rows one printed table holds; more come in further
// tables, so that memory is bounded. flushRows is the same for plain text.
const (
	terminalRows = 10_000
	flushRows    = 1_000
)

type tableRows struct {
	p      *printer
	limit  int
	header []string
	rows   [][]string
	shown  bool
}

func (t *tableRows) Columns(columns []lake.Column) error {
	for _, c := range columns {
		t.header = append(t.header, c.Name)
	}
	return nil
}

func (t *tableRows) Row(cells []*string) error {
	line := make([]string, len(cells))
	for i, v := range cells {
		line[i] = "NULL"
		if v != nil {
			line[i] = *v
		}
	}
	t.rows = append(t.rows, line)
	if len(t.rows) >= t.limit {
		return t.flush()
	}
	return nil
}

func (t *tableRows) flush() error {
	if t.shown && !t.p.terminal {
		for _, r := range t.rows {
			if _, err := fmt.Fprintln(t.p.w, strings.Join(oneLine(r), "\t")); err != nil {
				return fmt.Errorf("writing output: %w", err)
			}
		}
	} else {
		t.p.table(t.header, t.rows)
	}
	t.rows, t.shown = t.rows[:0], true
	return nil
}

func (t *tableRows) Close() error {
	if len(t.header) == 0 || t.shown && len(t.rows) == 0 {
		return nil
	}
	return t.flush()
}

type csvRows struct{ w *csv.Writer }

func (r *csvRows) Columns(columns []lake.Column) error {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return r.w.Write(names)
}

// Row writes NULL as an empty cell.
func (r *csvRows) Row(cells []*string) error {
	line := make([]string, len(cells))
	for i, v := range cells {
		if v != nil {
			line[i] = *v
		}
	}
	return r.w.Write(line)
}

func (r *csvRows) Close() error { r.w.Flush(); return r.w.Error() }

type jsonRows struct {
	w     io.Writer
	names [][]byte
	bare  []bool // the column's text is a JSON value as it stands
}

func (r *jsonRows) Columns(columns []lake.Column) error {
	for _, c := range columns {
		name, err := json.Marshal(c.Name)
		if err != nil {
			return fmt.Errorf("encoding column %q: %w", c.Name, err)
		}
		r.names = append(r.names, name)
		r.bare = append(r.bare, bareType(c.Type))
	}
	return nil
}

// bareType says that values of a ClickHouse type are JSON as they stand: whole
// numbers and truth values. Decimals are not: most readers of JSON would make
// floats of them.
func bareType(t string) bool {
	t = strings.TrimSuffix(strings.TrimPrefix(t, "Nullable("), ")")
	switch t {
	case "Bool", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64":
		return true
	}
	return false
}

// Row writes an object with the columns in the query's order.
func (r *jsonRows) Row(cells []*string) error {
	line := []byte{'{'}
	for i, v := range cells {
		if i > 0 {
			line = append(line, ',')
		}
		line = append(append(line, r.names[i]...), ':')
		switch {
		case v == nil:
			line = append(line, "null"...)
		case r.bare[i]:
			line = append(line, *v...)
		default:
			text, err := json.Marshal(*v)
			if err != nil {
				return fmt.Errorf("encoding a value of column %s: %w", r.names[i], err)
			}
			line = append(line, text...)
		}
	}
	if _, err := r.w.Write(append(line, "}\n"...)); err != nil {
		return fmt.Errorf("writing output: %w", err)
	}
	return nil
}

func (r *jsonRows) Close() error { return nil }
