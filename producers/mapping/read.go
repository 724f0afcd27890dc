package mapping

import (
	"errors"
	"fmt"
	"strings"

	"github.com/itchyny/gojq"

	"github.com/pricelake/pricelake/schemas"
)

// Bounds of what one answer may bring.
const (
	maxRows     = 500_000
	maxRejected = 1000
	maxFragment = 4 << 10
	maxDetail   = 1 << 10
	// maxTradeID is several times the longest ids there are (hashes in hex): a
	// price must fit into its topic, whatever the answer says.
	maxTradeID = 256
)

// Read reads an answer. It depends on nothing but the program and the answer,
// and never fails: what cannot be read is in the reading, with its reason.
//
//   - An answer with a status other than 2xx: failed, nothing read.
//   - A body that is not the format, lacks what the mapping expects, or has
//     another shape: unparsable, one entry in Rejected without a symbol.
//   - A body that reports a failure: error_answer, one entry without a symbol.
//   - Else every row is read on its own: a bad one is rejected, the others go
//     on. Rows come in the order of the answer, objects in the order of keys.
func (p *Program) Read(resp *schemas.ResponseReceived) schemas.Reading {
	if resp.Status != 0 && (resp.Status < 200 || resp.Status > 299) {
		return p.whole(resp, schemas.PollFailed, schemas.RejectUnknown, fmt.Sprintf("the answer has the status %d", resp.Status))
	}
	doc, err := p.parseBody(resp.Body, resp.Headers["content-type"])
	if err != nil {
		return p.whole(resp, schemas.PollUnparsable, schemas.RejectUnparsable, err.Error())
	}
	r := &reader{p: p, resp: resp, tally: newTally(&p.symbols),
		scope: scope{row: doc, doc: doc, budget: newBudget(len(resp.Body))}}
	if message, failed := r.firstError(p.errors); failed {
		return p.whole(resp, schemas.PollErrorAnswer, schemas.RejectErrorAnswer, message)
	}
	if err := r.checkExpected(); err != nil {
		return p.whole(resp, schemas.PollUnparsable, schemas.RejectUnparsable, err.Error())
	}
	if err := r.level(0, doc, nil); err != nil {
		return p.whole(resp, schemas.PollUnparsable, schemas.RejectUnparsable, "not the shape the mapping reads: "+err.Error())
	}
	if message := r.suspicious(); message != "" {
		return p.whole(resp, schemas.PollUnparsable, schemas.RejectUnparsable, message)
	}
	return r.reading()
}

// whole is the reading of an answer none of which can be read.
func (p *Program) whole(resp *schemas.ResponseReceived, outcome schemas.PollOutcome, reason schemas.RejectReason, message string) schemas.Reading {
	if outcome == schemas.PollUnparsable && looksLikeHTML(resp.Body) {
		message = "the body is a web page; " + message
	}
	message = cut(strings.ToValidUTF8(message, "\uFFFD"), maxDetail)
	out := schemas.Reading{Outcome: outcome, Error: message, Symbols: p.Failed(resp.FetchedAt, message)}
	if outcome != schemas.PollFailed {
		out.Rejected = []schemas.PriceRejected{p.rejected(reason, message, fragmentOf(resp.Body))}
	}
	return out
}

func (p *Program) rejected(reason schemas.RejectReason, detail, fragment string) schemas.PriceRejected {
	return schemas.PriceRejected{Reason: reason, Detail: cut(strings.ToValidUTF8(detail, "\uFFFD"), maxDetail),
		Provider: p.provider, CallID: p.callID, CallVersion: p.version, Fragment: fragment}
}

// fragmentOf returns the beginning of a body as valid UTF-8 of at most 4 KiB.
func fragmentOf(body []byte) string {
	return cut(strings.ToValidUTF8(string(body[:min(len(body), maxFragment)]), "\uFFFD"), maxFragment)
}

// reader reads one answer.
type reader struct {
	p     *Program
	resp  *schemas.ResponseReceived
	scope scope
	tally *tally

	rows     int
	mapped   bool // some row has the key of a mapped value
	prices   []schemas.Price
	rejected []schemas.PriceRejected
	dropped  int // rejections beyond the bound
	unlisted int32
}

func (r *reader) checkExpected() error {
	for _, e := range r.p.expect {
		if _, ok, err := e.truthy(&r.scope); err != nil {
			return fmt.Errorf("the answer lacks %s: %w", e.text, err)
		} else if !ok {
			return fmt.Errorf("the answer lacks %s", e.text)
		}
	}
	return nil
}

// firstError evaluates error rules on the current row. A path that does not fit
// the answer finds no error: shapes are judged later.
func (r *reader) firstError(rules []errorRule) (message string, failed bool) {
	for _, rule := range rules {
		found, ok, err := rule.when.truthy(&r.scope)
		if err != nil || !ok {
			continue
		}
		message = "the answer reports a failure"
		if rule.message != nil {
			if m, ok, err := rule.message.truthy(&r.scope); err == nil && ok {
				found = m
			}
		}
		if text := plainText(found); text != "" {
			message += ": " + text
		}
		return message, true
	}
	return "", false
}

// level goes through the rows of one level of nesting.
func (r *reader) level(n int, row, up any) error {
	if n == len(r.p.rows) {
		if r.rows++; r.rows > maxRows {
			return fmt.Errorf("more than %d rows", maxRows)
		}
		r.scope.row, r.scope.up = row, up
		r.row()
		if r.scope.budget.left <= 0 {
			return errSteps
		}
		return nil
	}
	s := scope{row: row, doc: r.scope.doc, up: up, budget: r.scope.budget}
	next := up
	if n > 0 {
		next = row
	}
	var inner error
	err := r.p.rows[n].each(&s, func(v any) bool {
		inner = r.level(n+1, v, next)
		return inner == nil
	})
	return errors.Join(err, inner)
}

// suspicious finds answers that are well-formed and yet not what the mapping is
// for: without Expect to say otherwise, rows none of which has any mapped value
// are another shape, and a table without rows is a cut one.
func (r *reader) suspicious() string {
	switch {
	case len(r.p.expect) > 0:
		return ""
	case r.rows > 0 && !r.mapped && r.unlisted == 0 && !r.p.ignoreUnlisted:
		return "not the shape the mapping reads: no row has price, bid or ask where the mapping looks for them"
	case r.rows == 0 && r.p.format == formatCSV:
		return "the table has no rows"
	}
	return ""
}

func (r *reader) reading() schemas.Reading {
	if r.dropped > 0 {
		r.rejected = append(r.rejected, r.p.rejected(schemas.RejectUnparsable,
			fmt.Sprintf("%d more rows were rejected", r.dropped), ""))
	}
	symbols, valued, absent, failed := r.tally.outcomes(r.resp.FetchedAt)
	out := schemas.Reading{Prices: r.prices, Rejected: r.rejected, Symbols: symbols, Unlisted: r.unlisted}
	switch {
	case valued > 0 && absent+failed == 0:
		out.Outcome = schemas.PollValued
	case valued > 0:
		out.Outcome = schemas.PollPartial
	case len(r.rejected) > 0:
		out.Outcome, out.Error = schemas.PollUnparsable, r.rejected[0].Detail
	default:
		out.Outcome = schemas.PollAbsent
	}
	return out
}

// reject notes that the current row is no price.
func (r *reader) reject(entry *symbolEntry, symbol string, rej *rejection) {
	r.probe()
	if entry != nil {
		if r.tally.failed[entry.name] == "" {
			r.tally.failed[entry.name] = cut(rej.detail, maxDetail)
		}
	}
	if len(r.rejected) >= maxRejected {
		r.dropped++
		return
	}
	rejected := r.p.rejected(rej.reason, rej.detail, fragmentOfValue(r.scope.row))
	rejected.Symbol = cut(symbol, 256)
	if entry != nil {
		rejected.Instrument = entry.Instrument
	}
	r.rejected = append(r.rejected, rejected)
}

// probe finds out whether the current row has the key of a mapped value.
func (r *reader) probe() {
	for _, path := range []*expr{r.p.price, r.p.bid, r.p.ask} {
		if path == nil || r.mapped {
			continue
		}
		if _, there, err := path.one(&r.scope); there && err == nil {
			r.mapped = true
		}
	}
}

func fragmentOfValue(v any) string {
	text, err := gojq.Marshal(v)
	if err != nil {
		return ""
	}
	return fragmentOf(text)
}
