package count

import (
	"fmt"
	"slices"
)

// Check is one thing that was checked.
type Check struct {
	// Invariant is O1 to O9.
	Invariant string `json:"invariant"`
	Name      string `json:"name"`
	OK        bool   `json:"ok"`
	// Detail has the figures.
	Detail string `json:"detail"`
	// Found are examples of what is wrong, at most maxFound.
	Found []string `json:"found,omitempty"`
	// Waived says that the check may fail.
	Waived bool `json:"waived,omitempty"`
}

const maxFound = 10

// Report is what the oracle found.
type Report struct {
	Checks []Check `json:"checks"`
	// Lost counts rows that have to be there and are not, and trades that the
	// API sent in full and that are in no recorded answer.
	Lost int `json:"lost"`
	// Doubled counts rows that are there too often, and revisions that nobody
	// stated.
	Doubled int `json:"doubled"`
	// Wrong counts rows with other values than the API's.
	Wrong int `json:"wrong"`
	// Rows of the table, and what there had to be.
	Rows    uint64 `json:"rows"`
	Want    uint64 `json:"want"`
	Repeats uint64 `json:"repeats"`
	Rejects uint64 `json:"rejects"`
	Answers int    `json:"answers"`
}

// OK says whether nothing is wrong but what was waived.
func (r *Report) OK() bool {
	return !slices.ContainsFunc(r.Checks, func(c Check) bool { return !c.OK && !c.Waived })
}

// Waive lets the checks of an invariant fail.
func (r *Report) Waive(invariants []string) {
	for i := range r.Checks {
		r.Checks[i].Waived = slices.Contains(invariants, r.Checks[i].Invariant)
	}
}

// Add notes a check; it is fine when nothing was found.
func (r *Report) Add(invariant, name string, found *Findings, detail string, args ...any) {
	r.Checks = append(r.Checks, Check{Invariant: invariant, Name: name, OK: found.n == 0, Detail: fmt.Sprintf(detail, args...), Found: found.examples()})
}

// Findings collects what is wrong: all of it counted, some of it in words.
type Findings struct {
	n     int
	texts []string
}

// Addf notes one finding.
func (f *Findings) Addf(format string, args ...any) {
	f.n++
	if len(f.texts) < maxFound {
		f.texts = append(f.texts, fmt.Sprintf(format, args...))
	}
}

// Count is how many there are.
func (f *Findings) Count() int { return f.n }

func (f *Findings) examples() []string {
	if f.n > len(f.texts) {
		return append(f.texts, fmt.Sprintf("… and %d more", f.n-len(f.texts)))
	}
	return f.texts
}
