package ledgercheck

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/simulator"
)

func TestHonestLakeHasNoMismatch(t *testing.T) {
	w := honest(t)
	r := Check(w.ledger, w.lake, w.calls, w.o)
	if !r.OK() {
		t.Fatal(r.String())
	}
	for _, kind := range append(simulator.Troubles(), simulator.TroubleNone) {
		if r.Troubles[kind] == 0 {
			t.Errorf("no %s was compared: %v", kind, r.Troubles)
		}
	}
	if r.Answers+r.Unread != len(w.ledger.Entries) || r.Polls != len(w.lake.Polls) || r.Prices != len(w.lake.Prices) {
		t.Errorf("%s\nof %d entries, %d polls, %d prices", r.String(), len(w.ledger.Entries), len(w.lake.Polls), len(w.lake.Prices))
	}
	if r.Observations != r.Prices+r.Repeats || r.Repeats == 0 || r.Revisions == 0 || r.Rounded == 0 || r.Unparsable == 0 ||
		r.Absent == 0 || r.DeadLetters == 0 || r.Unread == 0 || len(r.LeftOut) > 0 {
		t.Error(r.String())
	}
}

// TestPlantedMismatches breaks the honest lake in one way after the other.
func TestPlantedMismatches(t *testing.T) {
	base := honest(t)
	f := func(name string, rule Rule, text string, break_ func(w *world)) {
		t.Helper()
		w := base.clone()
		break_(w)
		r := Check(w.ledger, w.lake, w.calls, w.o)
		if !slices.ContainsFunc(r.Mismatches, func(m Mismatch) bool { return m.Rule == rule && strings.Contains(m.String(), text) }) {
			t.Errorf("%s: no mismatch of %s with %q:\n%.2000s", name, rule, text, r.String())
		}
	}
	find := func(w *world, kind simulator.Trouble) *Response {
		at := slices.IndexFunc(w.lake.Responses, func(r Response) bool { return w.entry(&r).Trouble == kind })
		return &w.lake.Responses[at]
	}
	row := func(w *world, match func(*Price) bool) *Price {
		at := slices.IndexFunc(w.lake.Prices, func(p Price) bool { return match(&p) })
		return &w.lake.Prices[at]
	}
	poll := func(w *world, match func(*Poll) bool) *Poll {
		at := slices.IndexFunc(w.lake.Polls, func(p Poll) bool { return match(&p) })
		return &w.lake.Polls[at]
	}
	outcome := func(text string) func(*Poll) bool { return func(p *Poll) bool { return p.Outcome == text } }

	// Answers.
	f("answer lost", RuleAnswer, "is not in responses", func(w *world) { w.lake.Responses = w.lake.Responses[1:] })
	f("error answer lost", RuleAnswer, "status 429, rate_limited", func(w *world) {
		lost := find(w, simulator.TroubleRateLimited).ResponseID
		w.lake.Responses = slices.DeleteFunc(w.lake.Responses, func(r Response) bool { return r.ResponseID == lost })
	})
	f("answer twice", RuleAnswer, "2 rows", func(w *world) {
		again := w.lake.Responses[0]
		again.ResponseID = "again"
		w.lake.Responses = append(w.lake.Responses, again)
	})
	f("response id twice", RuleAnswer, "more than one row", func(w *world) { w.lake.Responses = append(w.lake.Responses, w.lake.Responses[0]) })
	f("answer never served", RuleAnswer, "never served", func(w *world) {
		w.ledger.Entries = slices.Delete(w.ledger.Entries, 5, 6)
	})
	f("answer of another call", RuleAnswer, "asks for", func(w *world) {
		for i := range w.calls {
			w.calls[i].URL = strings.Replace(w.calls[i].URL, "XBTUSD", "XBTEUR", 1)
		}
	})
	f("call unknown", RuleAnswer, "not in the catalog", func(w *world) { w.calls = w.calls[1:] })
	f("body changed", RuleBody, "body", func(w *world) { w.lake.Responses[3].BodySHA256 = "0" })
	f("status changed", RuleBody, "status 201", func(w *world) { w.lake.Responses[3].Status = 201 })
	f("header dropped", RuleID, "x-simulator-id", func(w *world) { w.lake.Responses[3].Headers = nil })
	madeUp := func(w *world) {
		p := poll(w, outcome("valued"))
		p.Attempts = append([]Attempt{{Number: 1, StartedAt: p.StartedAt.Add(time.Nanosecond), Outcome: "timeout"}}, p.Attempts...)
	}
	f("timeout made up", RuleAttempt, "no such request", madeUp)
	f("more timeouts made up than may be", RuleAttempt, "no such request", func(w *world) {
		w.o.Unheard = 1
		madeUp(w)
		madeUp(w)
	})
	f("evicted", RuleLedger, "evicted", func(w *world) { w.ledger.Evicted = 3 })

	// Polls.
	f("poll lost", RulePoll, "no such row", func(w *world) { w.lake.Polls = w.lake.Polls[1:] })
	f("poll twice", RulePoll, "more than one row", func(w *world) { w.lake.Polls = append(w.lake.Polls, w.lake.Polls[0]) })
	f("attempt lost", RuleAttempt, "no attempt names", func(w *world) {
		p := poll(w, func(p *Poll) bool { return len(p.Attempts) == 2 && p.Attempts[0].ResponseID != "" })
		p.Attempts = p.Attempts[1:]
	})
	f("attempt misnumbered", RuleAttempt, "is numbered 3", func(w *world) { w.lake.Polls[0].Attempts[0].Number = 3 })
	f("attempt miscalled", RuleAttempt, "makes it rate_limited", func(w *world) {
		p := poll(w, func(p *Poll) bool { return p.Attempts[0].Status == 429 })
		p.Attempts[0].Outcome = "status"
	})
	f("attempt of another poll", RuleAttempt, "which is of poll", func(w *world) {
		w.lake.Polls[0].Attempts[0].ResponseID = w.lake.Polls[1].Attempts[0].ResponseID
	})
	f("attempt names nothing", RuleAttempt, "not in responses", func(w *world) { w.lake.Polls[0].Attempts[0].ResponseID = "?" })
	f("answer that is none", RuleAttempt, "without an answer", func(w *world) {
		p := poll(w, func(p *Poll) bool { return p.Attempts[0].Outcome == "timeout" })
		p.Attempts[0].Outcome = "status"
	})
	f("went on after success", RuleAttempt, "2 more were made", func(w *world) {
		p := poll(w, outcome("valued"))
		p.Attempts = append(p.Attempts, Attempt{Number: 2, Outcome: "timeout"}, Attempt{Number: 3, Outcome: "timeout"})
	})
	f("gave up early", RuleAttempt, "given up after 4", func(w *world) {
		p := poll(w, outcome("failed"))
		p.Attempts = p.Attempts[:4]
	})
	f("sixth attempt", RuleAttempt, "6 attempts", func(w *world) {
		p := poll(w, outcome("failed"))
		p.Attempts = append(p.Attempts, Attempt{Number: 6, Outcome: "network"})
	})
	f("no attempts", RuleAttempt, "no attempts", func(w *world) {
		p := w.lake.Polls[3]
		p.PollID, p.Attempts = "empty", nil
		w.lake.Polls = append(w.lake.Polls, p)
	})
	f("html valued", RuleOutcome, "makes it unparsable", func(w *world) { poll(w, outcome("unparsable")).Outcome = "valued" })
	f("error valued", RuleOutcome, "makes it error_answer", func(w *world) { poll(w, outcome("error_answer")).Outcome = "absent" })
	f("partial valued", RuleOutcome, "makes it partial", func(w *world) { poll(w, outcome("partial")).Outcome = "valued" })
	f("failure hidden", RuleOutcome, "makes it failed", func(w *world) { poll(w, outcome("failed")).Outcome = "absent" })
	f("counts", RuleOutcome, "counts", func(w *world) { poll(w, outcome("partial")).Absent = 0 })
	f("missing symbol valued", RuleSymbol, "should be absent", func(w *world) {
		p := poll(w, outcome("partial"))
		at := slices.IndexFunc(p.Symbols, func(s SymbolOutcome) bool { return s.Outcome == "absent" })
		p.Symbols[at].Outcome = "valued"
	})
	f("symbol lost", RuleSymbol, "the call lists 3", func(w *world) {
		p := poll(w, func(p *Poll) bool { return p.CallID == "kraken-ticker" })
		p.Symbols = p.Symbols[1:]
	})
	f("symbol twice", RuleSymbol, "two outcomes", func(w *world) { p := &w.lake.Polls[2]; p.Symbols = append(p.Symbols, p.Symbols[0]) })
	f("dead letter lost", RuleDeadLetter, "0 dead letters", func(w *world) { w.lake.DeadLetters = w.lake.DeadLetters[1:] })
	f("dead letter twice", RuleDeadLetter, "2 dead letters", func(w *world) { w.lake.DeadLetters = append(w.lake.DeadLetters, w.lake.DeadLetters[0]) })
	f("dead letter of nothing", RuleDeadLetter, "no failed poll", func(w *world) { w.lake.DeadLetters[0].CorrelationID = "?" })
	f("dead letter of another kind", RuleDeadLetter, "nothing served explains", func(w *world) { w.lake.DeadLetters[0].Reason = "decode" })

	// Rejected.
	f("rejected lost", RuleRejected, "should be one with reason unparsable", func(w *world) {
		w.lake.Rejected = slices.DeleteFunc(w.lake.Rejected, func(r Rejected) bool { return r.Reason == "unparsable" })
	})
	f("rejected twice", RuleRejected, "should be one", func(w *world) { w.lake.Rejected = append(w.lake.Rejected, w.lake.Rejected[0]) })
	f("rejected for nothing", RuleRejected, "nothing is wrong", func(w *world) {
		w.lake.Rejected = append(w.lake.Rejected, Rejected{Reason: "bad_time", ResponseID: find(w, simulator.TroubleNone).ResponseID})
	})
	f("rejected error status", RuleRejected, "nothing is wrong", func(w *world) {
		w.lake.Rejected = append(w.lake.Rejected, Rejected{Reason: "unparsable", ResponseID: find(w, simulator.TroubleServerError).ResponseID})
	})
	f("rejected without response", RuleRejected, "is not in responses", func(w *world) { w.lake.Rejected[0].ResponseID = "?" })

	// Prices.
	for _, kind := range []string{"ticker", "quote", "trade", "fixing"} {
		f(kind+" lost", RulePrice, "is not in prices", func(w *world) {
			gone := row(w, func(p *Price) bool { return p.Kind == kind && p.Revision == 0 }).EventID
			w.lake.Prices = slices.DeleteFunc(w.lake.Prices, func(p Price) bool { return p.EventID == gone })
		})
	}
	f("price changed", RulePrice, "served was", func(w *world) { row(w, func(p *Price) bool { return p.Kind == "ticker" }).Price += "1" })
	f("bid and ask swapped", RulePrice, "served was", func(w *world) {
		p := row(w, func(p *Price) bool { return p.Kind == "quote" })
		p.Bid, p.Ask = p.Ask, p.Bid
	})
	f("size changed", RulePrice, "served was", func(w *world) { row(w, func(p *Price) bool { return p.Kind == "trade" }).Size = "1" })
	f("number made up", RulePrice, "served was", func(w *world) { row(w, func(p *Price) bool { return p.Kind == "quote" }).Price = "1" })
	f("no number", RulePrice, "served was", func(w *world) { row(w, func(p *Price) bool { return p.Kind == "fixing" }).Price = "1,5" })
	f("price of nothing", RulePrice, "does not say so", func(w *world) {
		p := *row(w, func(p *Price) bool { return p.Kind == "trade" })
		p.EventID, p.TradeID = "made up", "1"
		w.lake.Prices = append(w.lake.Prices, p)
	})
	f("wrong value date", RulePrice, "does not say so", func(w *world) { row(w, func(p *Price) bool { return p.Kind == "fixing" }).ValueDate = "2020-01-01" })
	f("wrong instrument", RulePrice, "does not say so", func(w *world) { row(w, func(p *Price) bool { return p.Kind == "quote" }).Instrument = "X" })
	f("wrong time", RulePrice, "does not say so", func(w *world) {
		p := row(w, func(p *Price) bool { return p.Kind == "ticker" && p.EventTimeKind == "source" })
		p.EventTime = p.EventTime.Add(time.Microsecond)
	})
	f("price without response", RulePrice, "is not in responses", func(w *world) {
		p := row(w, func(p *Price) bool { return p.Kind == "quote" })
		p.ResponseID, p.PollID = "?", "?"
	})
	f("wrong poll", RulePrice, "names call", func(w *world) {
		row(w, func(p *Price) bool { return p.Kind == "fixing" }).CallID = "?"
	})
	f("not flagged", RuleRounded, "flagged rounded false", func(w *world) { row(w, func(p *Price) bool { return p.Rounded }).Rounded = false })
	f("flagged", RuleRounded, "flagged rounded true", func(w *world) { row(w, func(p *Price) bool { return !p.Rounded }).Rounded = true })
	f("cut instead of rounded", RulePrice, "served was", func(w *world) {
		p := row(w, func(p *Price) bool { return p.Rounded && p.Price != "" })
		p.Price = p.Price[:len(p.Price)-3]
	})
	f("id twice", RuleUnique, "more than once", func(w *world) { w.lake.Prices = append(w.lake.Prices, w.lake.Prices[0]) })
	f("one id for two", RuleUnique, "one id for two", func(w *world) { w.lake.Prices[0].EventID = w.lake.Prices[1].EventID })
	f("two ids for one", RuleUnique, "two ids for one", func(w *world) {
		p := w.lake.Prices[0]
		p.EventID = "other"
		w.lake.Prices = append(w.lake.Prices, p)
	})
	f("withdrawn", RuleRevision, "withdrawn", func(w *world) { w.lake.Prices[0].Withdrawn = true })
	f("restatement lost", RuleRevision, "no revision says so", func(w *world) {
		gone := w.newest()
		w.lake.Prices = slices.DeleteFunc(w.lake.Prices, func(p Price) bool { return p.EventID == gone.EventID && p.Revision == gone.Revision })
	})
	f("revision skipped", RuleRevision, "where 1 should be", func(w *world) { row(w, func(p *Price) bool { return p.Revision == 1 }).Revision = 7 })
	f("repeat stored", RuleRepeat, "the same as the one before", func(w *world) {
		w.repeatAsRow(t, func(p *Price) bool { return p.Kind == "trade" })
	})
	f("slot stored twice", RuleRepeat, "one slot makes one event", func(w *world) {
		p := *row(w, func(p *Price) bool { return p.Kind == "quote" })
		p.Revision = 1
		w.lake.Prices = append(w.lake.Prices, p)
	})
	f("too few repeats", RuleRepeat, "counted", func(w *world) { *w.lake.Repeats-- })
	f("too many repeats", RuleRepeat, "counted", func(w *world) { *w.lake.Repeats++ })
}

// entry is the ledger's word about a response.
func (w *world) entry(r *Response) *simulator.Entry {
	at := slices.IndexFunc(w.ledger.Entries, func(e simulator.Entry) bool { return e.ID == r.Headers[simulator.HeaderID] })
	return &w.ledger.Entries[at]
}

// newest is the last row of an event with more than one.
func (w *world) newest() Price {
	var out Price
	for _, p := range w.lake.Prices {
		if p.Revision > out.Revision {
			out = p
		}
	}
	return out
}

// repeatAsRow turns a repeat into a row, as a deduplicator that forgets does.
func (w *world) repeatAsRow(t *testing.T, match func(*Price) bool) {
	t.Helper()
	for i := range w.lake.Responses {
		r := &w.lake.Responses[i]
		for _, p := range w.lake.Prices {
			if !match(&p) || p.CallID != r.CallID || p.ResponseID == r.ResponseID {
				continue
			}
			for _, served := range w.entry(r).Prices {
				if served.TradeID == p.TradeID {
					p.ResponseID, p.PollID, p.Revision = r.ResponseID, r.PollID, 1
					w.lake.Prices = append(w.lake.Prices, p)
					return
				}
			}
		}
	}
	t.Fatal("nothing was repeated")
}

func (w *world) clone() *world {
	out := *w
	out.ledger.Entries = slices.Clone(w.ledger.Entries)
	out.calls = slices.Clone(w.calls)
	out.lake = Lake{
		Responses: slices.Clone(w.lake.Responses), Polls: slices.Clone(w.lake.Polls), Prices: slices.Clone(w.lake.Prices),
		Rejected: slices.Clone(w.lake.Rejected), DeadLetters: slices.Clone(w.lake.DeadLetters),
	}
	for i := range out.lake.Polls {
		p := &out.lake.Polls[i]
		p.Attempts, p.Symbols = slices.Clone(p.Attempts), slices.Clone(p.Symbols)
	}
	repeats := *w.lake.Repeats
	out.lake.Repeats = &repeats
	return &out
}
