package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"

	"github.com/pricelake/pricelake/schemas"
)

// Program is a compiled mapping together with the symbols of a call. It is
// immutable and safe for parallel use.
type Program struct {
	provider, callID, version string

	format  string
	charset encoding.Encoding
	csv     csvLayout

	expect    []*expr
	errors    []errorRule
	rows      []*expr
	rowErrors []errorRule

	symbol         *expr // nil: the call's only symbol
	symbols        symbolTable
	ignoreUnlisted bool
	rejectUnlisted bool

	kind     choice[schemas.Kind]
	rateType choice[schemas.RateType]
	rated    bool // the mapping states a rate type
	session  choice[string]

	price, bid, ask, size, tradeID, lot *expr

	numbers numberReader
	factor  schemas.Decimal
	inverse bool

	eventTime, valueDate, publishedAt *timeReader
}

type errorRule struct{ when, message *expr }

// choice is a fixed value or a path to one.
type choice[T any] struct {
	value  T
	path   *expr
	values map[string]string
	parse  func(string) (T, error)
}

// Compile makes the program of a call from its mapping and symbols. The error
// names everything wrong with them.
func Compile(def *schemas.CallDefined) (*Program, error) {
	dec := json.NewDecoder(strings.NewReader(def.Mapping))
	dec.DisallowUnknownFields()
	var m Mapping
	if err := dec.Decode(&m); err != nil {
		return nil, fmt.Errorf("reading the mapping of call %q: %w", def.CallID, err)
	}
	p, problems := compile(&m)
	if len(problems) == 0 {
		problems = p.bind(def)
	}
	if len(problems) > 0 {
		errs := make([]error, len(problems))
		for i, e := range problems {
			errs[i] = e
		}
		return nil, fmt.Errorf("compiling the mapping of call %q: %w", def.CallID, errors.Join(errs...))
	}
	return p, nil
}

// Check returns everything wrong with a mapping by itself, without a call.
func (m *Mapping) Check() []FieldError {
	_, problems := compile(m)
	return problems
}

// bind gives the program the call's symbols.
func (p *Program) bind(def *schemas.CallDefined) []FieldError {
	p.provider, p.callID, p.version = def.Provider, def.CallID, def.Version
	p.symbols = newSymbolTable(def.Symbols)
	if p.symbol == nil && len(p.symbols.names) != 1 {
		return []FieldError{{Path: []any{"symbol"},
			Message: fmt.Sprintf("the call lists %d symbols and the mapping does not say which row is whose", len(p.symbols.names)),
			Hint:    "write a path to the symbol, or one symbol a call"}}
	}
	return nil
}

// compiler collects what is wrong with a mapping.
type compiler struct {
	m        *Mapping
	p        *Program
	problems []FieldError
}

func compile(m *Mapping) (*Program, []FieldError) {
	c := &compiler{m: m, p: &Program{inverse: m.Inverse, factor: schemas.DecimalFromInt64(1)}}
	c.body()
	c.paths()
	c.words()
	c.numbers()
	c.p.eventTime = c.time(m.EventTime, "event_time", false)
	c.p.valueDate = c.time(m.ValueDate, "value_date", true)
	c.p.publishedAt = c.time(m.PublishedAt, "published_at", false)
	return c.p, c.problems
}

// problem notes a mistake. A message of the form "what is wrong: write that" is
// taken apart when there is no hint.
func (c *compiler) problem(message, hint string, path ...any) {
	for _, verb := range []string{"write ", "use ", "see "} {
		if what, rest, ok := strings.Cut(message, ": "+verb); ok && hint == "" {
			message, hint = what, verb+rest
		}
	}
	c.problems = append(c.problems, FieldError{Path: path, Message: message, Hint: hint})
}

func (c *compiler) expr(text string, path ...any) *expr {
	if text == "" {
		return nil
	}
	e, err := compileExpr(text)
	if err != nil {
		c.problem(err.Error(), "", path...)
	}
	return e
}

func (c *compiler) body() {
	m, p := c.m, c.p
	switch p.format = m.Format; m.Format {
	case "":
		p.format = formatJSON
	case formatJSON, formatXML, formatCSV:
	default:
		c.problem(fmt.Sprintf("unknown format %q", m.Format), "write json, xml or csv", "format")
	}
	if m.Charset != "" {
		var err error
		if p.charset, err = htmlindex.Get(m.Charset); err != nil {
			c.problem(fmt.Sprintf("unknown charset %q", m.Charset), "write a name such as utf-8, windows-1251 or iso-8859-2", "charset")
		}
	}
	if m.CSV != nil && p.format != formatCSV {
		c.problem("csv is set but the format is "+p.format, "write format: csv", "csv")
	}
	if p.format == formatCSV {
		c.csv()
	}
}

func (c *compiler) csv() {
	in := c.m.CSV
	if in == nil {
		in = &CSV{}
	}
	l := csvLayout{delimiter: ',', header: 1, columns: in.Columns, skip: in.Skip, trim: in.Trim,
		lazyQuotes: in.LazyQuotes, ragged: in.Ragged, unterminated: in.Unterminated}
	if in.Header != nil {
		l.header = *in.Header
	}
	switch {
	case in.Delimiter == "tab":
		l.delimiter = '\t'
	case utf8.RuneCountInString(in.Delimiter) == 1 && !strings.ContainsAny(in.Delimiter, "\"\r\n\uFFFD"):
		l.delimiter, _ = utf8.DecodeRuneInString(in.Delimiter)
	case in.Delimiter != "":
		c.problem(fmt.Sprintf("the delimiter %q is not one character", in.Delimiter), `write one such as ";" or "|", or tab`, "csv", "delimiter")
	}
	switch {
	case utf8.RuneCountInString(in.Comment) == 1 && !strings.ContainsAny(in.Comment, "\"\r\n\uFFFD") && in.Comment != string(l.delimiter):
		l.comment, _ = utf8.DecodeRuneInString(in.Comment)
	case in.Comment != "":
		c.problem(fmt.Sprintf("the comment sign %q is not one character of its own", in.Comment), `write one such as "#"`, "csv", "comment")
	}
	if l.header < 0 || l.header > 1000 {
		c.problem("the header line must be between 0 and 1000", "write 1 for the first line, 0 for none", "csv", "header")
	}
	if l.header == 0 && len(l.columns) == 0 {
		c.problem("a table without a header needs names", "write columns: [date, rate, …]", "csv", "columns")
	}
	if l.skip < 0 {
		c.problem("skip is below zero", "write how many lines after the header are no data", "csv", "skip")
	}
	c.p.csv = l
}

func (c *compiler) paths() {
	m, p := c.m, c.p
	for i, text := range m.Expect {
		if e := c.expr(text, "expect", i); e != nil {
			p.expect = append(p.expect, e)
		}
	}
	p.errors = c.rules(m.Errors, "errors")
	p.rowErrors = c.rules(m.RowErrors, "row_errors")
	rows := m.Rows
	if len(rows) == 0 {
		rows = []string{"."}
	}
	for i, text := range rows {
		if text == "" {
			c.problem("an empty path", "write a jq path such as .rates[]", "rows", i)
		}
		if e := c.expr(text, "rows", i); e != nil {
			p.rows = append(p.rows, e)
		}
	}
	p.symbol = c.expr(m.Symbol, "symbol")
	p.price = c.expr(m.Price, "price")
	p.bid = c.expr(m.Bid, "bid")
	p.ask = c.expr(m.Ask, "ask")
	p.size = c.expr(m.Size, "size")
	p.tradeID = c.expr(m.TradeID, "trade_id")
	p.lot = c.expr(m.Lot, "lot")
	if m.Price == "" && m.Bid == "" && m.Ask == "" {
		c.problem("none of price, bid and ask is mapped", "write at least one of them", "price")
	}
	switch m.Unlisted {
	case "", "count":
	case "ignore":
		p.ignoreUnlisted = true
	case "reject":
		p.rejectUnlisted = true
	default:
		c.problem(fmt.Sprintf("unknown choice %q", m.Unlisted), "write count, ignore or reject", "unlisted")
	}
}

func (c *compiler) rules(rules []ErrorRule, key string) []errorRule {
	var out []errorRule
	for i, r := range rules {
		if r.When == "" {
			c.problem("a rule without when", "write when: .error", key, i)
			continue
		}
		rule := errorRule{when: c.expr(r.When, key, i, "when"), message: c.expr(r.Message, key, i, "message")}
		if rule.when != nil {
			out = append(out, rule)
		}
	}
	return out
}
