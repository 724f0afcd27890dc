package ledgercheck

import (
	"fmt"
	"slices"
	"strings"
)

// checkSequence asks whether the deduplicator can have made these revisions of
// what was served. Answers of one partition of responses reach it in their
// order; those of different partitions in any order. Rows of answers left out
// may stand anywhere.
func (c *check) checkSequence(ev *event) {
	if len(ev.served) > 0 && ev.served[0].atSlot {
		// Whatever else is said in the same slot is a repeat.
		if own := len(ev.rows); own != 1 {
			c.add(RuleRepeat, ev.rows[0].EventID, "%s: %d revisions, one slot makes one event", ev.key, own)
		}
		return
	}
	rows := make([]step, 0, len(ev.rows))
	for _, row := range ev.rows {
		v, _, _ := valuesOf(row.Kind, row.Price, row.Bid, row.Ask, row.Size) // read before
		rows = append(rows, step{values: v, response: row.ResponseID, free: c.leftOut[row.ResponseID]})
	}
	if !follow(streamsOf(ev.served), rows) {
		c.explain(ev, rows)
	}
}

// explain names what is wrong with revisions that no order of answers makes.
func (c *check) explain(ev *event, rows []step) {
	for i := 1; i < len(rows); i++ {
		if rows[i].values == rows[i-1].values {
			c.add(RuleRepeat, ev.rows[i].EventID, "%s: revision %d says the same as the one before (%s)", ev.key, i, rows[i].values)
			return
		}
	}
	for i := range ev.served {
		o := &ev.served[i]
		if !slices.ContainsFunc(rows, func(s step) bool { return s.values == o.values }) {
			c.add(RuleRevision, o.entry.ID, "%s: served as %s, no revision says so", ev.key, o.values)
			return
		}
	}
	said := make([]string, 0, len(rows))
	for i := range rows {
		said = append(said, fmt.Sprintf("%d: %s", i, rows[i].values))
	}
	c.add(RuleRevision, ev.rows[0].EventID, "%s: no order of the answers makes the revisions %s", ev.key, strings.Join(said, "; "))
}

// step is one row as the search sees it.
type step struct {
	values   values
	response string
	free     bool
}

// streamsOf parts what was served by partition; it is sorted so.
func streamsOf(served []observation) [][]observation {
	var out [][]observation
	for start := 0; start < len(served); {
		end := start
		for end < len(served) && served[end].response.Partition == served[start].response.Partition {
			end++
		}
		out = append(out, served[start:end])
		start = end
	}
	return out
}

// follow reports whether some order of the streams makes the rows. A row names
// the answer that made it, so each observation is either the maker of one row or
// a repeat. A repeat may come as soon as the event has its value: waiting longer
// opens no other way, so there is nothing to search.
func follow(streams [][]observation, rows []step) bool {
	for next := range rows {
		if rows[next].free {
			skipRepeats(streams, rows, next)
			continue
		}
		at := slices.IndexFunc(streams, func(stream []observation) bool {
			return len(stream) > 0 && rows[next].madeBy(&stream[0]) && (next == 0 || rows[next-1].values != rows[next].values)
		})
		if at < 0 {
			return false
		}
		streams[at] = streams[at][1:]
		skipRepeats(streams, rows, next)
	}
	return !slices.ContainsFunc(streams, func(stream []observation) bool { return len(stream) > 0 })
}

// skipRepeats drops the heads of the streams that say what row now says and make
// no later row.
func skipRepeats(streams [][]observation, rows []step, now int) {
	for i := range streams {
		for len(streams[i]) > 0 && streams[i][0].values == rows[now].values &&
			!slices.ContainsFunc(rows[now+1:], func(s step) bool { return s.madeBy(&streams[i][0]) }) {
			streams[i] = streams[i][1:]
		}
	}
}

func (s *step) madeBy(o *observation) bool {
	return !s.free && s.response == o.response.ResponseID && s.values == o.values
}
