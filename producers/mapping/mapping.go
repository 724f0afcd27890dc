// Package mapping reads prices out of the answers of price APIs as a catalog's
// mapping says, without code for each provider: a response body in, observed
// values out.
//
// JSON, XML and CSV bodies become the same kind of tree, and jq is the one path
// language over it. Numbers stay the text the source sent: jq may select and
// rearrange, never compute; factors, lots and inverses are done in Decimal. The
// package is pure: the same answer gives the same reading, whatever the clock,
// the network or the environment (I4).
package mapping

import (
	"encoding/json"
	"fmt"

	"github.com/pricelake/pricelake/schemas"
)

// Mapping says how prices stand in an answer. Every path is a jq expression; in
// a row's paths `.` is the row, `$doc` the whole answer and `$up` the row of the
// level above. docs/catalog.md explains every key with examples.
type Mapping struct {
	// Format of the body: json (the default), xml or csv.
	Format string `yaml:"format" json:"format,omitempty"`
	// Charset of the body, where the answer does not say or lies about it.
	Charset string `yaml:"charset" json:"charset,omitempty"`
	CSV     *CSV   `yaml:"csv" json:"csv,omitempty"`
	// Expect are paths that must yield something other than null and false,
	// else the answer is unparsable.
	Expect []string `yaml:"expect,oneormany" json:"expect,omitempty"`
	// Errors say when a whole answer with status 2xx reports a failure.
	Errors []ErrorRule `yaml:"errors,oneormany" json:"errors,omitempty"`
	// Rows yield the parts of the answer that are one price each: one path, or
	// one for each level of nesting. The default is the answer itself.
	Rows []string `yaml:"rows,oneormany" json:"rows,omitempty"`
	// RowErrors say when a row reports a failure for its symbol alone.
	RowErrors []ErrorRule `yaml:"row_errors,oneormany" json:"row_errors,omitempty"`
	// Symbol of the row; without it every row is the call's only symbol.
	Symbol string `yaml:"symbol" json:"symbol,omitempty"`
	// Unlisted says what to do with rows whose symbol the call does not list:
	// count (the default), ignore or reject them.
	Unlisted string `yaml:"unlisted" json:"unlisted,omitempty"`

	Kind     Choice `yaml:"kind" json:"kind"`
	RateType Choice `yaml:"rate_type" json:"rate_type,omitzero"`
	Session  Choice `yaml:"session" json:"session,omitzero"`

	Price   string `yaml:"price" json:"price,omitempty"`
	Bid     string `yaml:"bid" json:"bid,omitempty"`
	Ask     string `yaml:"ask" json:"ask,omitempty"`
	Size    string `yaml:"size" json:"size,omitempty"`
	TradeID string `yaml:"trade_id" json:"trade_id,omitempty"`

	// Lot is a path to the number of units the values are for: they are divided
	// by it.
	Lot string `yaml:"lot" json:"lot,omitempty"`
	// Factor multiplies price, bid and ask.
	Factor *schemas.Decimal `yaml:"factor" json:"factor,omitempty"`
	// Inverse turns price, bid and ask into one divided by them; bid and ask
	// change places.
	Inverse bool         `yaml:"inverse" json:"inverse,omitempty"`
	Number  *NumberStyle `yaml:"number" json:"number,omitempty"`
	Absent  *Absent      `yaml:"absent" json:"absent,omitempty"`

	EventTime   *Time `yaml:"event_time" json:"event_time,omitempty"`
	ValueDate   *Time `yaml:"value_date" json:"value_date,omitempty"`
	PublishedAt *Time `yaml:"published_at" json:"published_at,omitempty"`
}

// CSV says how a CSV body is laid out.
type CSV struct {
	// Delimiter is one character, or tab; a comma by default.
	Delimiter string `yaml:"delimiter" json:"delimiter,omitempty"`
	// Header is the line, from 1, of the column names; 1 by default, 0 when
	// there is none and Columns names them. Lines above are $doc.preamble.
	Header *int `yaml:"header" json:"header,omitempty"`
	// Columns are the names the header must have, or give the names where there
	// is no header.
	Columns []string `yaml:"columns" json:"columns,omitempty"`
	// Skip is how many lines after the header are no data.
	Skip int `yaml:"skip" json:"skip,omitempty"`
	// Comment is the character that begins a line to leave out.
	Comment string `yaml:"comment" json:"comment,omitempty"`
	// Trim removes blanks around names and values.
	Trim bool `yaml:"trim" json:"trim,omitempty"`
	// LazyQuotes takes quotes inside unquoted values as they are.
	LazyQuotes bool `yaml:"lazy_quotes" json:"lazy_quotes,omitempty"`
	// Ragged allows lines with fewer or more values than there are columns.
	Ragged bool `yaml:"ragged" json:"ragged,omitempty"`
	// Unterminated allows the last line to lack its line end. Without it such a
	// body counts as cut off: half a number is a number too.
	Unterminated bool `yaml:"unterminated" json:"unterminated,omitempty"`
}

// ErrorRule recognises a failure that comes with status 2xx.
type ErrorRule struct {
	// When is a path; anything but null and false means the failure is there.
	When string `yaml:"when,shorthand" json:"when"`
	// Message is a path to the source's words for it.
	Message string `yaml:"message" json:"message,omitempty"`
}

// Choice is a fixed word, or a path to one, translated by Values if given.
type Choice struct {
	Value  string            `yaml:"value,shorthand" json:"value,omitempty"`
	Path   string            `yaml:"path" json:"path,omitempty"`
	Values map[string]string `yaml:"values" json:"values,omitempty"`
}

func (c Choice) isZero() bool { return c.Value == "" && c.Path == "" }

// NumberStyle says how numbers are written when they come as text.
type NumberStyle struct {
	// Decimal separates the decimals: "." (the default) or ",".
	Decimal string `yaml:"decimal" json:"decimal,omitempty"`
	// Group separates thousands: empty (the default), ",", ".", "'" or " ".
	Group string `yaml:"group" json:"group,omitempty"`
}

// Absent says which values mean that there is none. Null and a missing key
// always do.
type Absent struct {
	// Values are texts; the default is "", ".", "-", "N/A", "NA", "N/D", "N/E"
	// and "null".
	Values []string `yaml:"values" json:"values"`
	// Zero says that 0 means missing.
	Zero bool `yaml:"zero" json:"zero,omitempty"`
}

// Time says where a time or date stands and how it is written.
type Time struct {
	Path string `yaml:"path,shorthand" json:"path"`
	// Format is unix_s, unix_ms, unix_us, unix_ns, rfc3339, date (2006-01-02),
	// a Go layout, or a strptime layout with %. The default is rfc3339, for a
	// value date date.
	Format string `yaml:"format" json:"format,omitempty"`
	// Zone is the IANA zone of times that name none, UTC by default; for a
	// value date taken from an instant, the zone whose calendar counts.
	Zone string `yaml:"zone" json:"zone,omitempty"`
	// Kind of an event time: source (the default) or publish.
	Kind string `yaml:"kind" json:"kind,omitempty"`
	// Optional takes a row without this time; without it such a row is
	// rejected.
	Optional bool `yaml:"optional" json:"optional,omitempty"`
}

// JSON returns the mapping as CallDefined.Mapping holds it.
func (m *Mapping) JSON() (string, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("writing a mapping as JSON: %w", err)
	}
	return string(text), nil
}

// FieldError is one thing wrong with a mapping.
type FieldError struct {
	Path    []any // keys and indexes, as in the YAML
	Message string
	Hint    string // what to write instead
}

func (e FieldError) Error() string {
	text := ""
	for _, p := range e.Path {
		switch p := p.(type) {
		case int:
			text += fmt.Sprintf("[%d]", p)
		case string:
			if text != "" {
				text += "."
			}
			text += p
		}
	}
	if text != "" {
		text += ": "
	}
	text += e.Message
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}
