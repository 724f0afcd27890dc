package simulator

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"time"
)

// Price is one price that an answer holds. Numbers are decimal text exactly as
// served, but for what Text says. Empty means that the answer does not say.
type Price struct {
	Symbol     string     `json:"symbol"`          // as the answer names it
	Asked      string     `json:"asked,omitempty"` // as the request names it, where that differs
	Kind       string     `json:"kind"`            // ticker, quote, trade or fixing
	RateType   string     `json:"rate_type"`       // last, official or none
	Price      string     `json:"price,omitempty"`
	Bid        string     `json:"bid,omitempty"`
	Ask        string     `json:"ask,omitempty"`
	Size       string     `json:"size,omitempty"`        // of a trade only
	Text       string     `json:"text,omitempty"`        // the price as served where Price is not: comma, amount
	ValueDate  string     `json:"value_date,omitempty"`  // 2006-01-02
	SourceTime *time.Time `json:"source_time,omitempty"` // UTC, as exact as served
	TradeID    string     `json:"trade_id,omitempty"`
	Restated   bool       `json:"restated,omitempty"` // not the first value of this fixing
}

// Entry is one answer in the ledger.
type Entry struct {
	Seq       int64     `json:"seq"` // from 1, in the order of the requests
	ID        string    `json:"id"`  // what the header X-Simulator-Id of the answer says
	StartedAt time.Time `json:"started_at"`
	// FinishedAt is when the last byte was handed to the kernel; null while the
	// answer is under way, and for an aborted one.
	FinishedAt *time.Time `json:"finished_at"`
	// Aborted says that the client went away, or the simulator ended, before
	// the end of the answer.
	Aborted     bool         `json:"aborted"`
	Provider    string       `json:"provider"`
	Path        string       `json:"path"` // after the provider
	Query       string       `json:"query"`
	Status      int          `json:"status"`
	Trouble     Trouble      `json:"trouble"`
	ErrorAnswer bool         `json:"error_answer,omitempty"` // status 200, and the body says that the call failed
	RepeatOf    string       `json:"repeat_of,omitempty"`    // id of the answer this one repeats byte for byte
	Restatement *Restatement `json:"restatement,omitempty"`  // what changed with this answer
	Missing     []string     `json:"missing,omitempty"`      // symbols left out, as the answers name them
	RetryAfter  int          `json:"retry_after,omitempty"`  // seconds
	BodyBytes   int          `json:"body_bytes"`
	BodySHA256  string       `json:"body_sha256"`
	Body        string       `json:"body,omitempty"` // only when asked for
	Prices      []Price      `json:"prices"`

	body []byte
	cost int64
}

// LedgerPage is what GET /ledger answers.
type LedgerPage struct {
	Run     string  `json:"run"`     // begins every id of this simulator; another after each start
	First   int64   `json:"first"`   // the oldest seq kept; seq 1 to First-1 are evicted
	Next    int64   `json:"next"`    // ask from here for the following page
	Evicted int64   `json:"evicted"` // entries dropped to bound the memory
	Entries []Entry `json:"entries"`
}

// Summary is what GET /ledger/summary answers.
type Summary struct {
	Run          string                       `json:"run"`
	Entries      int64                        `json:"entries"` // ever made
	InFlight     int64                        `json:"in_flight"`
	Aborted      int64                        `json:"aborted"`
	Evicted      int64                        `json:"evicted"`
	Troubles     map[Trouble]int64            `json:"troubles"` // with none
	Providers    map[string]map[Trouble]int64 `json:"providers"`
	Statuses     map[int]int64                `json:"statuses"`
	Restatements []Restatement                `json:"restatements"`
}

// ledger holds the entries; safe for parallel use.
type ledger struct {
	run        string
	maxEntries int
	maxBytes   int64

	mu       sync.Mutex
	entries  []*Entry // by seq, without holes; the first is seq first
	first    int64
	bytes    int64
	inFlight int64
	aborted  int64
	// counts of finished entries by provider and trouble, and by status
	counts   map[string]map[Trouble]int64
	statuses map[int]int64
	restated []Restatement
}

func newLedger(run string, maxEntries int, maxBytes int64) *ledger {
	return &ledger{
		run: run, maxEntries: maxEntries, maxBytes: maxBytes, first: 1,
		counts: map[string]map[Trouble]int64{}, statuses: map[int]int64{},
	}
}

// begin makes the entry of a request. It is the caller's until end.
func (l *ledger) begin(provider, path, query string, now time.Time) (seq int64, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq = l.first + int64(len(l.entries))
	e := &Entry{
		Seq: seq, ID: fmt.Sprintf("%s-%d", l.run, seq), StartedAt: now.UTC(),
		Provider: provider, Path: path, Query: query, Trouble: TroubleNone,
	}
	l.entries = append(l.entries, e)
	l.inFlight++
	l.evict()
	return seq, e.ID
}

// content records what an entry's answer is going to be, and sets its sum.
func (l *ledger) content(seq int64, a *answer, trouble Trouble) {
	if a.sum == "" { // else that of the answer it shares its body with
		sum := sha256.Sum256(a.body)
		a.sum = hex.EncodeToString(sum[:])
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.restatement != nil {
		l.restated = lastOf(append(l.restated, *a.restatement), maxRestatements)
	}
	e := l.entry(seq)
	if e == nil {
		return
	}
	e.Status, e.Trouble, e.ErrorAnswer = a.status, trouble, a.errorAnswer
	e.RepeatOf, e.Restatement, e.Missing = a.repeatOf, a.restatement, a.missing
	e.RetryAfter, e.Prices, e.body = a.retryAfter, a.prices, a.body
	e.BodyBytes, e.BodySHA256 = len(a.body), a.sum
	e.cost = a.cost()
	l.bytes += e.cost
	l.evict()
}

// restate records a restatement that came with no answer.
func (l *ledger) restate(r Restatement) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.restated = lastOf(append(l.restated, r), maxRestatements)
}

// maxRestatements bounds what the summary lists.
const maxRestatements = 1000

func lastOf[T any](list []T, n int) []T { return list[max(0, len(list)-n):] }

// end closes an entry.
func (l *ledger) end(seq int64, provider string, trouble Trouble, status int, now time.Time, aborted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
	if aborted {
		l.aborted++
	}
	if l.counts[provider] == nil {
		l.counts[provider] = map[Trouble]int64{}
	}
	l.counts[provider][trouble]++
	l.statuses[status]++
	e := l.entry(seq)
	if e == nil {
		return
	}
	e.Aborted = aborted
	if !aborted {
		at := now.UTC()
		e.FinishedAt = &at
	}
}

func (l *ledger) entry(seq int64) *Entry {
	if i := seq - l.first; i >= 0 && i < int64(len(l.entries)) {
		return l.entries[i]
	}
	return nil
}

// evict drops the oldest entries until the bounds hold, but keeps the newest.
func (l *ledger) evict() {
	n := 0
	for len(l.entries)-n > 1 && (len(l.entries)-n > l.maxEntries || l.bytes > l.maxBytes) {
		l.bytes -= l.entries[n].cost
		l.entries[n] = nil
		n++
	}
	l.entries = l.entries[n:]
	l.first += int64(n)
}

// page copies up to limit entries from seq from on.
func (l *ledger) page(from int64, limit int, body bool) LedgerPage {
	l.mu.Lock()
	defer l.mu.Unlock()
	from = max(from, l.first)
	start := min(from-l.first, int64(len(l.entries)))
	chosen := l.entries[start:min(start+int64(limit), int64(len(l.entries)))]
	out := LedgerPage{
		Run: l.run, First: l.first, Next: l.first + start + int64(len(chosen)),
		Evicted: l.first - 1, Entries: make([]Entry, 0, len(chosen)),
	}
	for _, e := range chosen {
		copied := *e
		if body {
			copied.Body = string(e.body)
		}
		out.Entries = append(out.Entries, copied)
	}
	return out
}

func (l *ledger) summary() Summary {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := Summary{
		Run: l.run, Entries: l.first - 1 + int64(len(l.entries)), InFlight: l.inFlight,
		Aborted: l.aborted, Evicted: l.first - 1,
		Troubles: map[Trouble]int64{}, Providers: map[string]map[Trouble]int64{}, Statuses: map[int]int64{},
		Restatements: append([]Restatement{}, l.restated...),
	}
	for provider, counts := range l.counts {
		out.Providers[provider] = map[Trouble]int64{}
		for trouble, n := range counts {
			out.Providers[provider][trouble] = n
			out.Troubles[trouble] += n
		}
	}
	for status, n := range l.statuses {
		out.Statuses[status] = n
	}
	return out
}
