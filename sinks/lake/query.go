package lake

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Column is one column of an answer.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Query runs one statement and calls each with every row of the answer: the
// values as text, exact (a decimal with all its digits, a time with its
// fraction), nil for null. head is called first, once, with the columns. A
// statement without an answer, such as a DDL, calls head with none. The slice
// given to each is used again for the next row. An error of head or each ends
// the query and is returned as it is.
func (l *Lake) Query(ctx context.Context, statement string, head func([]Column) error, each func([]*string) error) error {
	rows, err := l.conn.Query(ctx, statement)
	if err == io.EOF { //nolint:errorlint // bare it says that there is no answer, wrapped that the connection broke
		return head(nil)
	}
	if err != nil {
		return fmt.Errorf("running the query: %w", l.denied(err))
	}
	defer rows.Close()
	types := rows.ColumnTypes()
	columns := make([]Column, len(types))
	for i, t := range types {
		columns[i] = Column{Name: t.Name(), Type: t.DatabaseTypeName()}
	}
	if err := head(columns); err != nil {
		return err
	}
	r := newTextRow(types)
	for rows.Next() {
		if err := rows.Scan(r.targets...); err != nil {
			return fmt.Errorf("reading the answer: %w", err)
		}
		if err := each(r.texts()); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	return nil
}

// textRow is where a row is scanned to, and its texts.
type textRow struct {
	types   []string
	targets []any
	values  []reflect.Value
	text    []string
	out     []*string
}

func newTextRow(types []driver.ColumnType) *textRow {
	r := &textRow{text: make([]string, len(types)), out: make([]*string, len(types))}
	for _, t := range types {
		target := reflect.New(t.ScanType())
		r.types = append(r.types, t.DatabaseTypeName())
		r.targets = append(r.targets, target.Interface())
		r.values = append(r.values, target.Elem())
	}
	return r
}

func (r *textRow) texts() []*string {
	for i, v := range r.values {
		r.out[i] = nil
		if text, ok := textOf(v, r.types[i]); ok {
			r.text[i] = text
			r.out[i] = &r.text[i]
		}
		v.SetZero()
	}
	return r.out
}

// TableStats is the size of a table and how new what it holds is.
type TableStats struct {
	Table string `json:"table"`
	Rows  uint64 `json:"rows"`
	Bytes uint64 `json:"bytes"`
	// Newest is the latest time of a row: its event time, or when it was
	// fetched, finished, failed or defined. Zero in an empty table.
	Newest time.Time `json:"newest,omitzero"`
}

// Stats returns the tables that are loaded from topics, in the order of Tables.
// It reads the server's notes about the tables, not the tables.
func (l *Lake) Stats(ctx context.Context) ([]TableStats, error) {
	var all []TableStats
	for _, t := range Tables() {
		s := TableStats{Table: t.Name}
		err := l.conn.QueryRow(ctx, `
			SELECT coalesce(sum(total_rows), 0), coalesce(sum(total_bytes), 0) FROM system.tables
			WHERE database = currentDatabase() AND name = ?`, t.Name).Scan(&s.Rows, &s.Bytes)
		if err == nil && s.Rows > 0 {
			err = l.conn.QueryRow(ctx, fmt.Sprintf("SELECT max(%s) FROM %s", t.newest, t.Name)).Scan(&s.Newest)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the size of table %s: %w", t.Name, err)
		}
		all = append(all, s)
	}
	return all, nil
}
