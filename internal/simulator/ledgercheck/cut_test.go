package ledgercheck

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/simulator"
)

// Whatever of the lake lies outside the ledger is left out by id, and what is
// inside is compared all the same.
func TestCut(t *testing.T) {
	base := honest(t)
	f := func(name string, leftOut int, cut func(w *world)) Report {
		t.Helper()
		w := base.clone()
		w.lake.Repeats = nil
		cut(w)
		r := Check(w.ledger, w.lake, w.calls, w.o)
		if !r.OK() || len(r.LeftOut) != leftOut {
			t.Errorf("%s: %d left out, want %d:\n%.2000s", name, len(r.LeftOut), leftOut, r.String())
		}
		return r
	}
	all := f("nothing", 0, func(*world) {})
	half := len(base.ledger.Entries) / 2
	unread := 0
	for _, e := range base.ledger.Entries[half:] {
		if e.Aborted {
			unread++
		}
	}
	late := f("ledger read half way", len(base.ledger.Entries)-half-unread, func(w *world) { w.ledger.Entries = w.ledger.Entries[:half] })
	if late.Answers < half*9/10 || late.Prices == 0 || late.Prices >= all.Prices {
		t.Errorf("half of the ledger: %s", late.String())
	}
	f("answers under way", 3, func(w *world) {
		for _, i := range []int{10, 60, 111} {
			w.ledger.Entries[i].FinishedAt, w.ledger.Entries[i].Aborted = nil, false
		}
	})
	f("answers not yet in the lake", 10, func(w *world) {
		for _, e := range w.ledger.Entries[len(w.ledger.Entries)-10:] {
			w.o.InFlight = append(w.o.InFlight, e.ID)
		}
		from := w.ledger.Entries[len(w.ledger.Entries)-10].Seq
		gone := map[string]bool{}
		w.lake.Responses = slices.DeleteFunc(w.lake.Responses, func(r Response) bool {
			if w.entry(&r).Seq >= from {
				gone[r.ResponseID], gone[r.PollID] = true, true
			}
			return w.entry(&r).Seq >= from
		})
		w.lake.Polls = slices.DeleteFunc(w.lake.Polls, func(p Poll) bool { return gone[p.PollID] })
		w.lake.Prices = slices.DeleteFunc(w.lake.Prices, func(p Price) bool { return gone[p.ResponseID] })
		w.lake.Rejected = slices.DeleteFunc(w.lake.Rejected, func(r Rejected) bool { return gone[r.ResponseID] })
		w.lake.DeadLetters = slices.DeleteFunc(w.lake.DeadLetters, func(d DeadLetter) bool { return gone["poll"+strings.TrimPrefix(d.CorrelationID, "corr")] })
	})
	f("rows of an earlier run", 1, func(w *world) {
		w.lake.Responses = append(w.lake.Responses, Response{
			ResponseID: "old", PollID: "old", CallID: "cnb", Headers: map[string]string{simulator.HeaderID: "s00000000-7"}, Partition: 1,
		})
		w.lake.Polls = append(w.lake.Polls, Poll{PollID: "old", CallID: "cnb", Outcome: "valued", Attempts: []Attempt{{Number: 1, Outcome: "ok", ResponseID: "old"}}})
		w.lake.Rejected = append(w.lake.Rejected, Rejected{RejectID: "old", ResponseID: "old"})
		p := w.newest() // the source said so before this run as well
		for i := range w.lake.Prices {
			if w.lake.Prices[i].EventID == p.EventID {
				w.lake.Prices[i].Revision++
			}
		}
		p.Revision, p.Price, p.ResponseID, p.PollID = 0, "123", "old", "old"
		w.lake.Prices = append(w.lake.Prices, p)
	})
	f("repeats of what is left out", 1, func(w *world) {
		w.ledger.Entries[10].FinishedAt, w.ledger.Entries[10].Aborted = nil, false
		n := int64(1 << 40)
		w.lake.Repeats = &n
	})
	f("lake read while it goes on", 0, func(w *world) {
		later := w.ledger.Entries[len(w.ledger.Entries)-1].StartedAt.Add(time.Second)
		w.lake.Polls = append(w.lake.Polls, Poll{
			PollID: "later", CallID: "cnb", StartedAt: later, FinishedAt: later, Outcome: "valued",
			Attempts: []Attempt{{Number: 1, StartedAt: later, Outcome: "ok", ResponseID: "later"}},
		})
		w.lake.Rejected = append(w.lake.Rejected, Rejected{RejectID: "later", ResponseID: "later too", FetchedAt: later})
		w.lake.DeadLetters = append(w.lake.DeadLetters,
			DeadLetter{DeadLetterID: "later", Reason: "attempts", CorrelationID: "later", FailedAt: later},
			DeadLetter{DeadLetterID: "later too", Reason: "decode", FailedAt: later})
		p := w.newest() // another value of a fixing that is compared
		p.Revision, p.Price, p.ResponseID, p.PollID, p.FetchedAt = p.Revision+1, "123", "later", "later", later
		w.lake.Prices = append(w.lake.Prices, p)
		n := int64(1 << 40)
		w.lake.Repeats = &n
	})
	f("of a provider that is not simulated", 0, func(w *world) {
		w.lake.Responses = append(w.lake.Responses, Response{ResponseID: "real", PollID: "real", CallID: "real"})
		w.lake.Polls = append(w.lake.Polls, Poll{PollID: "real", CallID: "real", Attempts: []Attempt{{Number: 1, Outcome: "ok", ResponseID: "real"}}})
		w.lake.Prices = append(w.lake.Prices, Price{EventID: "real", PollID: "real", ResponseID: "real"})
	})
	f("nothing at all", 0, func(w *world) { *w = world{} })
}

func TestFollow(t *testing.T) {
	stream := func(texts ...string) []observation {
		var out []observation
		for _, text := range texts {
			id, price, _ := strings.Cut(text, ":")
			out = append(out, observation{response: &Response{ResponseID: id}, values: values{price: price}})
		}
		return out
	}
	rows := func(texts ...string) []step {
		var out []step
		for _, text := range texts {
			id, price, _ := strings.Cut(text, ":")
			out = append(out, step{values: values{price: price}, response: id, free: id == ""})
		}
		return out
	}
	f := func(want bool, rows []step, streams ...[]observation) {
		t.Helper()
		if got := follow(streams, rows); got != want {
			t.Errorf("got %t, want %t", got, want)
		}
	}
	f(true, rows("a:1"), stream("a:1", "b:1", "c:1"))
	f(false, rows("b:1"), stream("a:1", "b:1")) // the first of a partition makes the row
	f(true, rows("b:1"), stream("a:1"), stream("b:1"))
	f(true, rows("a:1", "b:2"), stream("a:1", "b:2"))
	f(false, rows("b:2", "a:1"), stream("a:1", "b:2"))
	f(true, rows("b:2", "a:1"), stream("a:1"), stream("b:2"))
	f(true, rows("a:1", "b:2", "c:1"), stream("a:1", "b:2"), stream("c:1"))                // an old value overtaken
	f(true, rows("a:1", "b:2"), stream("a:1", "b:2"), stream("c:1"))                       // or in time
	f(false, rows("a:1", "d:2", "c:1", "b:2"), stream("a:1", "b:2"), stream("c:1", "d:2")) // d overtakes c
	f(true, rows("a:1", "d:2", "c:1", "b:2"), stream("a:1", "b:2"), stream("d:2", "c:1"))
	f(false, rows("a:1", "b:2", "c:1"), stream("a:1", "b:2", "c:1", "d:2"))
	f(false, rows("a:1"), stream("a:1", "b:2"))
	f(false, rows("a:1", "b:1"), stream("a:1", "b:1"))
	f(false, rows("a:1", "x:2"), stream("a:1"))
	f(true, rows(":9", "a:1", ":2", "b:1"), stream("a:1", "b:1"))
	f(true, rows(":1"), stream("a:1"))
	f(false, rows(":2"), stream("a:1"))
	f(false, nil, stream("a:1"))
	f(true, nil)
}
