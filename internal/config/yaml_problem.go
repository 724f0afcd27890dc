package config

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing wrong in a file: where, what, and what to write instead.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`   // from 1
	Column  int    `json:"column"` // from 1
	Path    string `json:"path"`   // calls[3].schedule.every; empty: the whole file
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"` // what to write instead
}

// Error returns file:line:column: path: message; hint.
func (p Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Column)
	if p.Path != "" {
		b.WriteString(p.Path)
		b.WriteString(": ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString("; ")
		b.WriteString(p.Hint)
	}
	return b.String()
}

// Problems are all the things wrong with one or several files. As an error it
// prints one problem per line.
type Problems []Problem

// Error returns one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Err returns ps as an error, nil when there is no problem.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// Sort orders problems by file (in order of first mention), line and column,
// and drops exact repeats.
func (ps Problems) Sort() Problems {
	order := map[string]int{}
	for _, p := range ps {
		if _, ok := order[p.File]; !ok {
			order[p.File] = len(order)
		}
	}
	sorted := slices.Clone(ps)
	slices.SortStableFunc(sorted, func(a, b Problem) int {
		if a.File != b.File {
			return order[a.File] - order[b.File]
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return slices.Compact(sorted)
}

// Closest returns the candidate that differs from name by the fewest letters,
// if they are few enough that name is likely a slip of the hand.
func Closest(name string, candidates []string) (string, bool) {
	best, bestDistance := "", len(name)/3+2
	for _, c := range candidates {
		if abs(len(c)-len(name)) >= bestDistance {
			continue
		}
		if d := distance(strings.ToLower(name), strings.ToLower(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best, best != ""
}

// DidYouMean returns a hint for a name that is not among the candidates: the
// closest one, or all of them when none is close and they are few.
func DidYouMean(name string, candidates []string) string {
	if c, ok := Closest(name, candidates); ok {
		return fmt.Sprintf("did you mean %q?", c)
	}
	sorted := slices.Sorted(slices.Values(candidates))
	const few = 40
	if len(sorted) == 0 {
		return ""
	}
	if len(sorted) > few {
		return fmt.Sprintf("write one of %s, … (%d in all)", strings.Join(sorted[:few], ", "), len(sorted))
	}
	return "write one of " + strings.Join(sorted, ", ")
}

// distance is the Levenshtein distance, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
