package lake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
)

// merged returns two lists of refusals in order of the index.
func merged(a, b []sinks.Refusal) []sinks.Refusal {
	if len(b) == 0 {
		return a
	}
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(x, y sinks.Refusal) int { return cmp.Compare(x.Index, y.Index) })
	return all
}

// insertGood inserts the rows of a part that meet the rules of its table. Which do
// not the server says: those of rules that were broken of late before it is sent
// them, those of another once it has refused them all for one. Its answer is taken
// only if it names the row that the refusal names; otherwise the search by halving
// finds out.
func (s *Sink) insertGood(ctx context.Context, b sinks.Block, p *part) (repeat bool, bad []sinks.Refusal, err error) {
	bad, _ = s.ask(ctx, b, p, true)
	for range mostRules {
		if p.rows == 0 {
			return false, bad, nil
		}
		repeat, err = s.insert(ctx, b, p)
		one, row, ok := brokenRule(err)
		if !ok || p.block == nil || row > p.rows {
			break
		}
		first := p.block.offset(row - 1)
		offsets, asked := s.lake.breaking(ctx, p, 0, one, false)
		if asked != nil && passing(asked) {
			// A search by halving would cut the block otherwise than a process that
			// could ask and is frozen: its INSERT may come yet.
			return repeat, bad, asked
		}
		if asked != nil || !slices.Contains(offsets, first) {
			break
		}
		one.stood = s.now()
		s.rules.broken(p.table, one)
		bad = append(bad, s.drop(b, p, 0, one, offsets)...)
	}
	return repeat, bad, err
}

// ask takes out of a part the rows that break a rule that was broken of late. Those
// that the server was asked about before are not asked about again. last: the part is
// sent next. ok says that there was such a rule, and that the server has answered.
func (s *Sink) ask(ctx context.Context, b sinks.Block, p *part, last bool) (bad []sinks.Refusal, ok bool) {
	known := s.rules.of(p.table)
	if p.block == nil || len(known) == 0 {
		return nil, false
	}
	from := p.block.asked
	if !slices.EqualFunc(known, p.block.about, func(a, b rule) bool { return a.is(b) }) {
		from = 0
	}
	ok = true
	for _, one := range known {
		offsets, err := s.breaking(ctx, p, from, &one)
		switch {
		case err != nil:
			if ok = false; ctx.Err() == nil {
				s.rules.forget(p.table, one) // if it stands, the INSERT will tell
			}
		case len(offsets) > 0:
			s.rules.broken(p.table, one)
			bad = append(bad, s.drop(b, p, from, one, offsets)...)
		case last:
			s.rules.sent(p.table, one)
		}
	}
	if p.block.asked, p.block.about = from, known; ok {
		p.block.asked = p.rows
	}
	return bad, ok
}

// breaking is Lake.breaking of a rule that other rows have broken. Whether it still
// stands is asked if that is not known.
func (s *Sink) breaking(ctx context.Context, p *part, from int, one *rule) ([]int64, error) {
	if from == p.rows {
		return nil, nil
	}
	now := s.now()
	standing := now.Sub(one.stood) >= ruleStands
	offsets, err := s.lake.breaking(ctx, p, from, *one, standing)
	if standing && len(offsets) > 0 {
		one.stood = now
	}
	return offsets, err
}

// passing says whether an error of a question may be gone the next time: it is not
// the server's word about the question itself.
func passing(err error) bool {
	var exception *clickhouse.Exception
	if !errors.As(err, &exception) {
		return true
	}
	switch exception.Code {
	case 159, 160, 202, 209, 210, 241, 242, 243, 394, 439: // timeouts, limits, memory, killed
		return true
	}
	return false
}

// drop takes the rows of some offsets out of a part, none of them among its first
// from, and says that they break a rule.
func (s *Sink) drop(b sinks.Block, p *part, from int, one rule, offsets []int64) []sinks.Refusal {
	refusals := make([]sinks.Refusal, 0, len(offsets))
	why := fmt.Errorf("inserting into %s: %w", p.table, one.says)
	for _, offset := range offsets {
		if at, found := b.Index(offset); found {
			refusals = append(refusals, sinks.Refusal{Index: at, Reason: schemas.DeadRefused, Err: why})
		}
	}
	p.block.drop(p.block.rowsAt(from, offsets))
	p.rows = p.block.rows
	p.block.asked = 0 // others have taken their places
	return refusals
}
