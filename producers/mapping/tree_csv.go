package mapping

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// csvLayout is a checked CSV with its defaults filled in.
type csvLayout struct {
	delimiter    rune
	comment      rune
	header       int // 0: none
	columns      []string
	skip         int
	trim         bool
	lazyQuotes   bool
	ragged       bool
	unterminated bool
}

// parseCSV turns a CSV body into {preamble: [line…], columns: [name…], rows:
// [{name: value}…]}; every value is a text. A column without a name is left
// out. A body that does not end with a line end counts as cut off unless the
// layout allows it.
func parseCSV(text []byte, l csvLayout) (any, error) {
	if looksLikeHTML(text) {
		return nil, errors.New("not CSV: it begins with a tag")
	}
	if !l.unterminated && text[len(text)-1] != '\n' {
		return nil, errors.New("not CSV: the body ends in the middle of a line")
	}
	lines := text
	preamble := []any{}
	for range max(l.header-1, 0) {
		line, rest, ok := bytes.Cut(lines, []byte("\n"))
		if !ok {
			return nil, fmt.Errorf("not CSV: the column names should stand on line %d, the body ends before", l.header)
		}
		preamble = append(preamble, string(bytes.TrimRight(line, "\r")))
		lines = rest
	}
	r := csv.NewReader(bytes.NewReader(lines))
	r.Comma, r.Comment, r.LazyQuotes = l.delimiter, l.comment, l.lazyQuotes
	r.TrimLeadingSpace = l.trim && l.delimiter != '\t'
	r.FieldsPerRecord = -1
	r.ReuseRecord = true
	columns, err := readColumns(r, l)
	if err != nil {
		return nil, err
	}
	rows, err := readRows(r, l, columns)
	if err != nil {
		return nil, err
	}
	names := make([]any, len(columns))
	for i, c := range columns {
		names[i] = c
	}
	return map[string]any{"preamble": preamble, "columns": names, "rows": rows}, nil
}

func readColumns(r *csv.Reader, l csvLayout) ([]string, error) {
	if l.header == 0 {
		return l.columns, nil
	}
	record, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("not CSV: reading the column names: %w", err)
	}
	columns := slices.Clone(record)
	for i := range columns {
		if l.trim {
			columns[i] = strings.TrimSpace(columns[i])
		}
		if columns[i] != "" && slices.Contains(columns[:i], columns[i]) {
			return nil, fmt.Errorf("not this CSV: the column %q stands twice", cut(columns[i], 60))
		}
	}
	if len(l.columns) > 0 && !slices.Equal(columns, l.columns) {
		return nil, fmt.Errorf("not this CSV: the columns are %q, expected %q", cut(strings.Join(columns, "|"), 200), strings.Join(l.columns, "|"))
	}
	return columns, nil
}

func readRows(r *csv.Reader, l csvLayout, columns []string) ([]any, error) {
	rows := []any{}
	values := 0
	for n := 0; ; n++ {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("not CSV: %w", err)
		}
		if n < l.skip {
			continue
		}
		if values += len(record) + 1; values > maxTreeValues {
			return nil, fmt.Errorf("the body has more than %d values", maxTreeValues)
		}
		if len(record) != len(columns) && !l.ragged {
			line, _ := r.FieldPos(0)
			return nil, fmt.Errorf("not this CSV: row %d (line %d of the table) has %d values for %d columns", n+1, line, len(record), len(columns))
		}
		row := make(map[string]any, len(columns))
		for i := range min(len(record), len(columns)) {
			if columns[i] == "" {
				continue
			}
			value := record[i]
			if l.trim {
				value = strings.TrimSpace(value)
			}
			row[columns[i]] = value
		}
		rows = append(rows, row)
	}
}

// cut shortens a text to at most n bytes without splitting a character.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	end := n - len("…")
	for end > 0 && text[end]&0xC0 == 0x80 {
		end--
	}
	return text[:end] + "…"
}
