package lake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
)

// rule is a constraint that somebody has added to a table, as the server tells it
// when it refuses a row: what it is called and what it asks of a row. The server
// itself is asked which rows of a block do not meet it, all at once.
type rule struct {
	name, expression string
	// says is the server's word about it, without the row that it was said of.
	says error
	idle int // parts sent since it was last broken
	// stood is when the server last said that it stands.
	stood time.Time
}

func (r rule) is(other rule) bool { return r.name == other.name && r.expression == other.expression }

const (
	// idleParts is for how many parts a rule that was broken is asked about before
	// they are sent. A refused INSERT costs as much as one that is taken; where bad
	// rows keep coming it is not tried.
	idleParts = 16
	// mostRules bounds how many rules of a table are known, and how many can be
	// broken by one block before the search by halving takes over.
	mostRules = 8
	// ruleStands is for how long a rule is taken to stand. For a server to say what a
	// table is takes longer than to look through a thousand rows.
	ruleStands = time.Second
)

// rules are those that were broken of late, by table. They may be used in parallel.
type rules struct {
	mu  sync.Mutex
	all map[string][]rule
}

func (r *rules) of(table string) []rule {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all[table])
}

// sent notes that a part is sent that has no row that breaks a rule. One that nobody
// has broken for a while is forgotten.
func (r *rules) sent(table string, one rule) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.all[table]
	if at := slices.IndexFunc(known, one.is); at >= 0 {
		if known[at].idle++; known[at].idle >= idleParts {
			r.all[table] = slices.Delete(known, at, at+1)
		}
	}
}

// broken notes that rows were found that break a rule, and when it stood.
func (r *rules) broken(table string, one rule) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[string][]rule{}
	}
	known := r.all[table]
	one.idle = 0
	if at := slices.IndexFunc(known, one.is); at >= 0 {
		known[at] = one
		return
	}
	if len(known) == mostRules {
		known = slices.Delete(known, 0, 1)
	}
	r.all[table] = append(known, one)
}

// forget forgets a rule.
func (r *rules) forget(table string, one rule) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[table] = slices.DeleteFunc(r.all[table], one.is)
}

// How ClickHouse says that a row does not meet a constraint.
const (
	saysConstraint = "Constraint "
	saysTable      = " for table "
	saysRow        = " is violated at row "
	saysExpression = ". Expression: ("
	saysValues     = "). Column values: "
)

// brokenRule reads the rule and the number of the row, from 1 on, in an error of
// the server.
func brokenRule(err error) (one rule, row int, ok bool) {
	var exception *clickhouse.Exception
	if !errors.As(err, &exception) || exception.Code != codeViolatedConstraint {
		return one, 0, false
	}
	text := exception.Message
	if row, ok = blamed(text); !ok {
		return one, 0, false
	}
	_, head, found := strings.Cut(text, saysConstraint)
	head, tail, ok := strings.Cut(head, saysRow)
	name, _, named := strings.Cut(head, saysTable)
	_, tail, more := strings.Cut(tail, saysExpression)
	expression, _, whole := strings.Cut(tail, saysValues)
	if !found || !ok || !named || !more || !whole || expression == "" {
		return one, 0, false
	}
	says := fmt.Errorf("code %d: %s%s is violated%s%s)", exception.Code, saysConstraint, head, saysExpression, expression)
	return rule{name: name, expression: expression, says: says}, row, true
}

// breaking returns the offsets of the rows of a part, from one on, that do not meet
// a rule, in order. The server is sent the columns that the rule may be about.
// standing asks, too, that the rule still stands; it was not met by other rows than
// these.
func (l *Lake) breaking(ctx context.Context, p *part, from int, one rule, standing bool) ([]int64, error) {
	records, err := ext.NewTable("_records")
	if err != nil {
		return nil, err
	}
	for i := range p.cols {
		c := &p.cols[i]
		if c.name != "_offset" && !strings.Contains(one.expression, c.name) {
			continue
		}
		if d, ok := c.data.(rowsFrom); ok && from > 0 {
			c = &nativeColumn{name: c.name, typ: c.typ, data: tail{d, from}}
		}
		if err := ext.Column(c.name, "UInt8")(records); err != nil {
			return nil, err
		}
		records.Block().Columns[len(records.Block().Columns)-1] = wireColumn{nativeColumn: c}
	}
	query := "SELECT _offset FROM _records WHERE NOT (" + one.expression + ")"
	if standing {
		query += " AND (SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = " + literal(p.table) +
			" AND position(create_table_query, " + literal("CHECK "+one.expression) + ") > 0) > 0"
	}
	rows, err := l.conn.Query(clickhouse.Context(ctx, clickhouse.WithExternalTable(records)), query+" ORDER BY _offset")
	if err != nil {
		return nil, fmt.Errorf("asking which rows break %s: %w", one.name, err)
	}
	defer rows.Close()
	var offsets []int64
	for rows.Next() {
		var offset int64
		if err := rows.Scan(&offset); err != nil {
			return nil, err
		}
		offsets = append(offsets, offset)
	}
	return offsets, rows.Err()
}

// literal is a text in ClickHouse's SQL.
func literal(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
