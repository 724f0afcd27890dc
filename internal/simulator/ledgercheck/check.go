package ledgercheck

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/pricelake/pricelake/internal/simulator"
)

// check is the state of one comparison.
type check struct {
	Report
	ledger simulator.Ledger
	lake   Lake
	slack  time.Duration
	// unheard is how many requests may be unknown to the ledger.
	unheard int

	entries   map[string]*simulator.Entry // by id
	inFlight  map[string]bool             // ids
	calls     map[string]*Call
	polls     map[string]*Poll
	responses map[string]*Response // by response id
	// answered are the answers to compare: in the ledger, not left out, and in
	// responses. By response id.
	answered map[string]*simulator.Entry
	leftOut  map[string]bool // response ids
	read     map[string]int  // rows in responses by id of the entry

	begin, end time.Time // of the starts of the ledger's answers
}

// Check compares a ledger with the lake.
func Check(ledger simulator.Ledger, lake Lake, calls []Call, o Options) Report {
	c := &check{
		ledger: ledger, lake: lake, slack: cmp.Or(o.Slack, 500*time.Millisecond), unheard: o.Unheard,
		entries: map[string]*simulator.Entry{}, inFlight: map[string]bool{},
		calls: map[string]*Call{}, polls: map[string]*Poll{}, responses: map[string]*Response{},
		answered: map[string]*simulator.Entry{}, leftOut: map[string]bool{}, read: map[string]int{},
	}
	c.Troubles = map[simulator.Trouble]int{}
	c.index(calls, o)
	c.matchResponses()
	c.matchUnread()
	c.checkPolls()
	c.checkDeadLetters()
	c.checkRejected()
	c.checkPrices()
	c.sort()
	return c.Report
}

func (c *check) index(calls []Call, o Options) {
	for _, id := range o.InFlight {
		c.inFlight[id] = true
	}
	for i := range c.ledger.Entries {
		e := &c.ledger.Entries[i]
		c.entries[e.ID] = e
		if c.begin.IsZero() || e.StartedAt.Before(c.begin) {
			c.begin = e.StartedAt
		}
		if e.StartedAt.After(c.end) {
			c.end = e.StartedAt
		}
		if e.FinishedAt == nil && !e.Aborted {
			c.inFlight[e.ID] = true
		}
	}
	for i := range calls {
		call := calls[i]
		call.MaxAttempts = cmp.Or(call.MaxAttempts, 5)
		c.calls[call.ID] = &call
	}
	for i := range c.lake.Polls {
		p := &c.lake.Polls[i]
		if c.polls[p.PollID] != nil {
			c.add(RulePoll, p.PollID, "more than one row in polls")
		}
		c.polls[p.PollID] = p
	}
	for i := range c.lake.Responses {
		r := &c.lake.Responses[i]
		if c.responses[r.ResponseID] != nil {
			c.add(RuleAnswer, r.ResponseID, "more than one row in responses with this response id")
		}
		c.responses[r.ResponseID] = r
	}
	if c.ledger.Evicted > 0 {
		c.add(RuleLedger, c.ledger.Run, "%d entries were evicted before they were read: raise the ledger's bounds or read it sooner", c.ledger.Evicted)
	}
}

// matchResponses joins responses with the ledger.
func (c *check) matchResponses() {
	for i := range c.lake.Responses {
		r := &c.lake.Responses[i]
		id := r.Headers[simulator.HeaderID]
		e := c.entries[id]
		switch {
		case id == "":
			c.leftOut[r.ResponseID] = true
			if c.calls[r.CallID] != nil {
				c.add(RuleID, r.ResponseID, "call %s: the row has no header %s, the poller must keep it", r.CallID, simulator.HeaderID)
			}
		case e == nil && c.known(id):
			c.leftOut[r.ResponseID] = true
			c.add(RuleAnswer, id, "in responses, but never served")
		case e == nil || c.inFlight[id]:
			c.leftOut[r.ResponseID] = true
			c.LeftOut = append(c.LeftOut, id)
		default:
			c.read[id]++
			c.answered[r.ResponseID] = e
			c.compareAnswer(e, r)
		}
	}
	for id, n := range c.read {
		if n > 1 {
			c.add(RuleAnswer, id, "%d rows in responses", n)
		}
	}
}

// known reports whether the ledger would hold the id if it had been served.
func (c *check) known(id string) bool {
	run, seq := split(id)
	if run != c.ledger.Run || seq < 1 {
		return false
	}
	if len(c.ledger.Entries) == 0 {
		return false
	}
	first, last := c.ledger.Entries[0].Seq, c.ledger.Entries[len(c.ledger.Entries)-1].Seq
	return seq >= first && seq <= last
}

func (c *check) compareAnswer(e *simulator.Entry, r *Response) {
	c.Answers++
	c.Troubles[e.Trouble]++
	if r.BodySHA256 != e.BodySHA256 {
		c.add(RuleBody, e.ID, "the body in responses is another than the one served (%d bytes)", e.BodyBytes)
	}
	if r.Status != e.Status {
		c.add(RuleBody, e.ID, "status %d in responses, %d was served", r.Status, e.Status)
	}
	call := c.calls[r.CallID]
	if call == nil {
		c.add(RuleAnswer, e.ID, "its call %q is not in the catalog", r.CallID)
	} else if !call.asks(e) {
		c.add(RuleAnswer, e.ID, "call %s asks for %s, this is an answer to %s%s?%s", r.CallID, call.URL, e.Provider, e.Path, e.Query)
	}
	if c.polls[r.PollID] == nil {
		c.add(RulePoll, r.PollID, "answer %s belongs to it, but polls has no such row", e.ID)
	}
}

// matchUnread explains the answers that are not in responses by attempts that
// got none.
func (c *check) matchUnread() {
	attempts := c.unanswered()
	for i := range c.ledger.Entries {
		e := &c.ledger.Entries[i]
		if c.inFlight[e.ID] {
			c.LeftOut = append(c.LeftOut, e.ID)
			continue
		}
		if c.read[e.ID] > 0 {
			continue
		}
		at := slices.IndexFunc(attempts, func(a unanswered) bool { return !a.taken && a.explains(e, c.slack) })
		if at < 0 {
			c.add(RuleAnswer, e.ID, "%s%s (status %d, %s) is not in responses, and no attempt at that time got no answer",
				e.Provider, e.Path, e.Status, e.Trouble)
			continue
		}
		attempts[at].taken = true
		c.Unread++
		c.Troubles[e.Trouble]++
	}
	for _, a := range attempts {
		inside := a.StartedAt.After(c.begin) && a.StartedAt.Add(a.Duration).Before(c.end)
		if a.taken || !inside || a.Outcome != "timeout" {
			continue
		}
		if c.Unheard++; c.Unheard > c.unheard {
			c.add(RuleAttempt, a.poll.PollID, "attempt %d timed out, but the simulator knows no such request", a.Number)
		}
	}
}

// unanswered is an attempt that read no answer to its end.
type unanswered struct {
	Attempt
	poll  *Poll
	call  *Call
	taken bool
}

func (c *check) unanswered() []unanswered {
	var out []unanswered
	for i := range c.lake.Polls {
		p := &c.lake.Polls[i]
		for _, a := range p.Attempts {
			if call := c.calls[p.CallID]; a.ResponseID == "" && call != nil {
				out = append(out, unanswered{Attempt: a, poll: p, call: call})
			}
		}
	}
	slices.SortFunc(out, func(a, b unanswered) int { return a.StartedAt.Compare(b.StartedAt) })
	return out
}

func (a *unanswered) explains(e *simulator.Entry, slack time.Duration) bool {
	return a.call.asks(e) &&
		!e.StartedAt.Before(a.StartedAt.Add(-slack)) &&
		!e.StartedAt.After(a.StartedAt.Add(a.Duration+slack))
}

// younger reports whether something happened after the ledger was read. The lake
// goes on while its tables are read one after the other.
func (c *check) younger(at time.Time) bool {
	return at.After(c.end)
}

func split(id string) (run string, seq int64) {
	run, number, _ := strings.Cut(id, "-")
	for _, digit := range number {
		if digit < '0' || digit > '9' || seq > 1<<50 {
			return "", 0
		}
		seq = seq*10 + int64(digit-'0')
	}
	return run, seq
}
