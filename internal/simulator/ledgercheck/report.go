package ledgercheck

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pricelake/pricelake/internal/simulator"
)

// Rule names what a mismatch breaks.
type Rule string

// The rules.
const (
	RuleAnswer     Rule = "answer"      // an answer read to its end is in responses once
	RuleBody       Rule = "body"        // responses holds the bytes and the status that were served
	RuleID         Rule = "id"          // responses keeps the simulator's id
	RulePoll       Rule = "poll"        // every poll has one row
	RuleAttempt    Rule = "attempt"     // a poll's row names each of its attempts, with its outcome
	RuleOutcome    Rule = "outcome"     // a poll's outcome and counts follow from its last answer
	RuleSymbol     Rule = "symbol"      // so does the outcome of each symbol
	RuleDeadLetter Rule = "dead_letter" // a failed poll has one dead letter, others none
	RuleRejected   Rule = "rejected"    // an answer that cannot be read has one rejected row, others none
	RulePrice      Rule = "price"       // a price served is in prices with its numbers, and nothing else is
	RuleRounded    Rule = "rounded"     // more than 18 decimals are flagged, nothing else is
	RuleRevision   Rule = "revision"    // other values make the next revision
	RuleRepeat     Rule = "repeat"      // the same values make no row, and are counted
	RuleUnique     Rule = "unique"      // event id and revision are unique; an event has one id
	RuleLedger     Rule = "ledger"      // the ledger holds all it should
)

// Mismatch is one difference between the ledger and the lake.
type Mismatch struct {
	Rule Rule
	ID   string // of the answer, poll, row or event
	Text string
}

// String is one line.
func (m Mismatch) String() string { return fmt.Sprintf("%s %s: %s", m.Rule, m.ID, m.Text) }

// Report is the result of a comparison.
type Report struct {
	Mismatches []Mismatch
	// What was compared, so that a caller can see that it was not nothing.
	Answers      int // in the ledger and in responses
	Unread       int // in the ledger and explained by an attempt without an answer
	Unheard      int // timed out and not in the ledger
	Polls        int
	Prices       int // rows of prices explained by an answer
	Observations int // prices served of symbols that a call lists
	Repeats      int // observations that made no row
	Revisions    int // rows with revision 1 or more
	Rounded      int
	Unparsable   int
	Absent       int // symbols
	DeadLetters  int
	LeftOut      []string // ids of answers left out
	// Troubles counts the answers compared by kind of trouble.
	Troubles map[simulator.Trouble]int
}

// OK reports whether nothing differs.
func (r *Report) OK() bool { return len(r.Mismatches) == 0 }

// String lists counts and mismatches, one a line.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d answers, %d unread, %d unheard, %d polls, %d observations, %d prices, %d repeats, %d revisions, %d rounded, %d unparsable, %d absent, %d dead letters, %d left out, %d mismatches",
		r.Answers, r.Unread, r.Unheard, r.Polls, r.Observations, r.Prices, r.Repeats, r.Revisions, r.Rounded, r.Unparsable, r.Absent, r.DeadLetters, len(r.LeftOut), len(r.Mismatches))
	for _, m := range r.Mismatches {
		b.WriteString("\n  " + m.String())
	}
	return b.String()
}

func (r *Report) add(rule Rule, id, format string, args ...any) {
	r.Mismatches = append(r.Mismatches, Mismatch{Rule: rule, ID: id, Text: fmt.Sprintf(format, args...)})
}

func (r *Report) sort() {
	slices.SortFunc(r.Mismatches, func(a, b Mismatch) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Text, b.Text))
	})
	slices.Sort(r.LeftOut)
	r.LeftOut = slices.Compact(r.LeftOut)
}
