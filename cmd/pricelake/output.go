package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// printer writes results: tables and colour on a terminal, tab-separated plain
// text in a pipe, JSON lines with --json.
type printer struct {
	w        io.Writer
	json     bool
	terminal bool
	width    int
}

func newPrinter(w io.Writer) *printer {
	p := &printer{w: w}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.terminal = true
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			p.width = width
		}
	}
	return p
}

// value prints one JSON object on a line.
func (p *printer) value(v any) error {
	if err := json.NewEncoder(p.w).Encode(v); err != nil {
		return fmt.Errorf("writing output: %w", err)
	}
	return nil
}

// line prints one line for people; nothing with --json.
func (p *printer) line(format string, args ...any) {
	if !p.json {
		fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// table prints rows under a header.
func (p *printer) table(header []string, rows [][]string) {
	if !p.terminal {
		fmt.Fprintln(p.w, strings.Join(header, "\t"))
		for _, r := range rows {
			fmt.Fprintln(p.w, strings.Join(oneLine(r), "\t"))
		}
		return
	}
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.Style().Color.Header = text.Colors{text.Bold}
	if p.width > 0 {
		t.Style().Size.WidthMax = p.width
	}
	t.AppendHeader(row(header))
	for _, r := range rows {
		t.AppendRow(row(r))
	}
	fmt.Fprintln(p.w, t.Render())
}

// oneLine keeps a cell from breaking the line or the columns of plain output.
func oneLine(cells []string) []string {
	out := make([]string, len(cells))
	for i, c := range cells {
		out[i] = strings.NewReplacer("\t", `\t`, "\n", `\n`, "\r", `\r`).Replace(c)
	}
	return out
}

func row(cells []string) table.Row {
	r := make(table.Row, len(cells))
	for i, c := range cells {
		r[i] = c
	}
	return r
}

// good and bad colour a word on a terminal.
func (p *printer) good(s string) string { return p.colour(text.FgGreen, s) }
func (p *printer) bad(s string) string  { return p.colour(text.FgRed, s) }

func (p *printer) colour(c text.Color, s string) string {
	if !p.terminal {
		return s
	}
	return c.Sprint(s)
}
