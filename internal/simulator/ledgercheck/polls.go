package ledgercheck

import (
	"github.com/pricelake/pricelake/internal/simulator"
)

// checkPolls judges every row of polls that is not left out.
func (c *check) checkPolls() {
	for _, p := range c.polls {
		if !c.judged(p) {
			continue
		}
		c.Polls++
		call := c.calls[p.CallID]
		if call == nil {
			c.add(RulePoll, p.PollID, "its call %q is not in the catalog", p.CallID)
			continue
		}
		c.checkAttempts(p, call)
		c.checkOutcome(p, call)
	}
	named := map[string]bool{}
	for _, p := range c.polls {
		for _, a := range p.Attempts {
			named[a.ResponseID] = true
		}
	}
	for id, e := range c.answered {
		if p := c.polls[c.responses[id].PollID]; p != nil && !named[id] {
			c.add(RuleAttempt, p.PollID, "no attempt names its answer %s", e.ID)
		}
	}
}

// judged reports whether a poll lies wholly in what is compared.
func (c *check) judged(p *Poll) bool {
	answered := false
	for _, a := range p.Attempts {
		if a.ResponseID == "" {
			continue
		}
		if c.leftOut[a.ResponseID] || c.responses[a.ResponseID] == nil && c.younger(a.StartedAt) {
			return false
		}
		answered = true
	}
	if answered {
		return true
	}
	return c.calls[p.CallID] != nil && !p.StartedAt.Before(c.begin) && p.FinishedAt.Before(c.end)
}

// checkAttempts compares each attempt with the answer it got.
func (c *check) checkAttempts(p *Poll, call *Call) {
	for i, a := range p.Attempts {
		if a.Number != i+1 {
			c.add(RuleAttempt, p.PollID, "attempt %d is numbered %d", i+1, a.Number)
		}
		if i < len(p.Attempts)-1 && a.Outcome == "ok" {
			c.add(RuleAttempt, p.PollID, "attempt %d got an answer, and %d more were made", a.Number, len(p.Attempts)-1-i)
		}
		if a.ResponseID == "" {
			if a.Outcome == "ok" || a.Outcome == "status" || a.Outcome == "rate_limited" {
				c.add(RuleAttempt, p.PollID, "attempt %d is %s without an answer in responses", a.Number, a.Outcome)
			}
			continue
		}
		c.checkAttempt(p, &a)
	}
	if n := len(p.Attempts); n > call.MaxAttempts {
		c.add(RuleAttempt, p.PollID, "%d attempts, %d are allowed", n, call.MaxAttempts)
	}
}

func (c *check) checkAttempt(p *Poll, a *Attempt) {
	e, r := c.answered[a.ResponseID], c.responses[a.ResponseID]
	if e == nil {
		c.add(RuleAttempt, p.PollID, "attempt %d names response %s, which is not in responses", a.Number, a.ResponseID)
		return
	}
	if r.PollID != p.PollID || r.Attempt != a.Number {
		c.add(RuleAttempt, p.PollID, "attempt %d names answer %s, which is of poll %s, attempt %d", a.Number, e.ID, r.PollID, r.Attempt)
	}
	if want := attemptOutcome(e.Status); a.Outcome != want || a.Status != e.Status {
		c.add(RuleAttempt, p.PollID, "attempt %d is %s with status %d, answer %s (%s) makes it %s with %d",
			a.Number, a.Outcome, a.Status, e.ID, e.Trouble, want, e.Status)
	}
}

func attemptOutcome(status int) string {
	switch {
	case status >= 200 && status < 300:
		return "ok"
	case status == 429:
		return "rate_limited"
	default:
		return "status"
	}
}

// checkOutcome compares the poll's outcome, counts and symbols with its last
// answer.
func (c *check) checkOutcome(p *Poll, call *Call) {
	if len(p.Attempts) == 0 {
		c.add(RuleAttempt, p.PollID, "no attempts")
		return
	}
	last := p.Attempts[len(p.Attempts)-1]
	e := c.answered[last.ResponseID]
	want, present := "failed", map[string]bool(nil)
	switch {
	case e != nil && e.Status >= 200 && e.Status < 300:
		want, present = c.readable(e, call)
	case len(p.Attempts) < call.MaxAttempts:
		c.add(RuleAttempt, p.PollID, "given up after %d attempts, %d are allowed", len(p.Attempts), call.MaxAttempts)
	}
	if p.Outcome != want {
		c.add(RuleOutcome, p.PollID, "call %s: outcome %s, its last answer %s makes it %s", p.CallID, p.Outcome, describe(e), want)
	}
	c.checkSymbols(p, call, present)
}

// readable is the outcome that an answer with status 2xx makes, and the symbols
// it holds; nil when it cannot be read.
func (c *check) readable(e *simulator.Entry, call *Call) (string, map[string]bool) {
	switch {
	case e.Trouble == simulator.TroubleHTML:
		c.Unparsable++
		return "unparsable", nil
	case e.ErrorAnswer:
		return "error_answer", nil
	}
	present := call.present(e)
	switch len(present) {
	case len(call.Symbols):
		return "valued", present
	case 0:
		return "absent", present
	default:
		return "partial", present
	}
}

// checkSymbols compares the outcome of each symbol; present nil means that all
// have failed.
func (c *check) checkSymbols(p *Poll, call *Call, present map[string]bool) {
	got := map[string]string{}
	for _, s := range p.Symbols {
		if got[s.Symbol] != "" {
			c.add(RuleSymbol, p.PollID, "two outcomes for %s", s.Symbol)
		}
		got[s.Symbol] = s.Outcome
	}
	counts := map[string]int{}
	for i := range call.Symbols {
		symbol := call.Symbols[i].Symbol
		want := "absent"
		switch {
		case present == nil:
			want = "failed"
		case present[symbol]:
			want = "valued"
		default:
			c.Absent++
		}
		counts[want]++
		if got[symbol] != want {
			c.add(RuleSymbol, p.PollID, "call %s: %s is %q, should be %s", p.CallID, symbol, got[symbol], want)
		}
	}
	if len(p.Symbols) != len(call.Symbols) {
		c.add(RuleSymbol, p.PollID, "%d symbols, the call lists %d", len(p.Symbols), len(call.Symbols))
	}
	if p.Requested != len(call.Symbols) || p.Valued != counts["valued"] || p.Absent != counts["absent"] || p.Failed != counts["failed"] {
		c.add(RuleOutcome, p.PollID, "counts requested %d, valued %d, absent %d, failed %d; should be %d, %d, %d, %d",
			p.Requested, p.Valued, p.Absent, p.Failed, len(call.Symbols), counts["valued"], counts["absent"], counts["failed"])
	}
}

func describe(e *simulator.Entry) string {
	if e == nil {
		return "(none)"
	}
	return e.ID + " (" + string(e.Trouble) + ")"
}

// checkDeadLetters compares the dead letters with the polls that failed.
func (c *check) checkDeadLetters() {
	letters := map[string]int{}
	for _, d := range c.lake.DeadLetters {
		if d.Reason != "attempts" && c.younger(d.FailedAt) {
			continue
		}
		if d.Reason != "attempts" {
			c.add(RuleDeadLetter, d.DeadLetterID, "call %s: reason %s, nothing served explains it", d.CallID, d.Reason)
			continue
		}
		letters[d.CorrelationID]++
	}
	failed := map[string]bool{}
	for _, p := range c.polls {
		n := letters[p.CorrelationID]
		failed[p.CorrelationID] = failed[p.CorrelationID] || p.Outcome == "failed"
		switch {
		case p.Outcome == "failed" && n != 1 && c.judged(p):
			c.add(RuleDeadLetter, p.PollID, "call %s failed, %d dead letters", p.CallID, n)
		case p.Outcome == "failed" && n == 1 && c.judged(p):
			c.DeadLetters++
		}
	}
	for _, d := range c.lake.DeadLetters {
		if d.Reason == "attempts" && !failed[d.CorrelationID] && !c.younger(d.FailedAt) {
			c.add(RuleDeadLetter, d.DeadLetterID, "call %s: no failed poll has its correlation id %s", d.CallID, d.CorrelationID)
		}
	}
}

// checkRejected compares the rejected rows with the answers nobody can read.
func (c *check) checkRejected() {
	rows := map[string][]string{}
	for _, r := range c.lake.Rejected {
		rows[r.ResponseID] = append(rows[r.ResponseID], r.Reason)
		if c.answered[r.ResponseID] == nil && !c.leftOut[r.ResponseID] && !c.younger(r.FetchedAt) {
			c.add(RuleRejected, r.RejectID, "response %s is not in responses", r.ResponseID)
		}
	}
	for id, e := range c.answered {
		want := ""
		switch {
		case e.Trouble == simulator.TroubleHTML:
			want = "unparsable"
		case e.ErrorAnswer:
			want = "error_answer"
		}
		switch got := rows[id]; {
		case want == "" && len(got) > 0:
			c.add(RuleRejected, e.ID, "%d rejected rows (%s), nothing is wrong with the answer (%s)", len(got), got[0], e.Trouble)
		case want != "" && (len(got) != 1 || got[0] != want):
			c.add(RuleRejected, e.ID, "rejected rows %q, should be one with reason %s", got, want)
		}
	}
}
