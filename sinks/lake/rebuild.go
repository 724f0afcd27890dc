package lake

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Coverage is a partition of the topic that a table is loaded from, as it was
// when a rebuild began.
type Coverage struct {
	Partition int32 `json:"partition"`
	// First is the first offset the log retained, Next the one after the last
	// that the role lake had settled. What is at or above Next is not the
	// rebuild's.
	First int64 `json:"first"`
	Next  int64 `json:"next"`
	// Covered: the rebuild loads [First, Next).
	Covered bool `json:"covered"`
}

// RebuildPlan is what a rebuild covers. It is fixed when the rebuild begins, so
// that one which was interrupted goes on with the same.
type RebuildPlan struct {
	Table   string `json:"table"`
	Topic   string `json:"topic"`
	TopicID string `json:"topic_id"`
	// FromMonth and ToMonth, as 202601, bound the partitions of the table that
	// are swapped, both included; 0 is no bound.
	FromMonth int        `json:"from_month,omitempty"`
	ToMonth   int        `json:"to_month,omitempty"`
	Coverage  []Coverage `json:"coverage"`
	// Transform is the version of what makes the rows.
	Transform uint32 `json:"transform"`
}

// Same says whether two plans were asked for with the same words.
func (p RebuildPlan) Same(q RebuildPlan) bool {
	if p.TopicID != q.TopicID || p.FromMonth != q.FromMonth || p.ToMonth != q.ToMonth || len(p.Coverage) != len(q.Coverage) {
		return false
	}
	for i := range p.Coverage {
		if p.Coverage[i].Partition != q.Coverage[i].Partition || p.Coverage[i].Covered != q.Coverage[i].Covered {
			return false
		}
	}
	return true
}

// Rebuild is a table being loaded anew, beside the one that is read. Its methods
// are called by one goroutine; see docs/adr/0019-audit-and-rebuild.md.
type Rebuild struct {
	Epoch uint32
	Plan  RebuildPlan
	lake  *Lake
	table Table
}

// States of a rebuild, as the table rebuilds spells them.
const (
	rebuildBegun    = "begun"
	rebuildLoaded   = "loaded"
	rebuildSwapping = "swapping"
	rebuildDone     = "done"
	rebuildDropped  = "dropped"
)

// Rebuildable returns the table that can be rebuilt under a name. Those of
// compacted topics cannot: the log does not hold what they hold.
func Rebuildable(name string) (Table, error) {
	var names []string
	for _, t := range Tables() {
		if t.Latest {
			continue
		}
		if t.Name == name {
			return t, nil
		}
		names = append(names, t.Name)
	}
	return Table{}, fmt.Errorf("no table %q that can be rebuilt; those are %s", name, strings.Join(names, ", "))
}

// Epoch returns the filling of the lake that the sink is to write rows under: 0,
// or that of the newest rebuild. It tells rows apart and decides nothing.
func (l *Lake) Epoch(ctx context.Context) (uint32, error) {
	var epoch uint32
	if err := l.conn.QueryRow(ctx, "SELECT max(epoch) FROM rebuilds").Scan(&epoch); err != nil {
		return 0, fmt.Errorf("reading the epoch of the lake: %w", err)
	}
	return epoch, nil
}

// OpenRebuild returns the rebuild of a table that was begun and not ended, nil
// when there is none.
func (l *Lake) OpenRebuild(ctx context.Context, table string) (*Rebuild, error) {
	t, err := Rebuildable(table)
	if err != nil {
		return nil, err
	}
	rows, err := l.conn.Query(ctx, "SELECT epoch, toString(argMax(state, (at, state))), argMax(plan, at) FROM rebuilds WHERE table = ? GROUP BY epoch ORDER BY epoch DESC LIMIT 1", table)
	if err != nil {
		return nil, fmt.Errorf("looking for a rebuild of %s: %w", table, l.denied(err))
	}
	defer rows.Close()
	if rows.Next() {
		var state, plan string
		r := &Rebuild{lake: l, table: t}
		if err := rows.Scan(&r.Epoch, &state, &plan); err != nil {
			return nil, fmt.Errorf("looking for a rebuild of %s: %w", table, err)
		}
		if state == rebuildDone || state == rebuildDropped {
			return nil, nil
		}
		if err := json.Unmarshal([]byte(plan), &r.Plan); err != nil {
			return nil, fmt.Errorf("reading the plan of rebuild %d of %s: %w", r.Epoch, table, err)
		}
		return r, nil
	}
	return nil, rows.Err()
}

// BeginRebuild notes a plan under a new epoch and makes the shadow tables.
func (l *Lake) BeginRebuild(ctx context.Context, plan RebuildPlan) (*Rebuild, error) {
	t, err := Rebuildable(plan.Table)
	if err != nil {
		return nil, err
	}
	epoch, err := l.Epoch(ctx)
	if err != nil {
		return nil, err
	}
	r := &Rebuild{Epoch: epoch + 1, Plan: plan, lake: l, table: t}
	if err := r.drop(ctx); err != nil { // of a rebuild whose end was cut short
		return nil, err
	}
	if err := r.note(ctx, rebuildBegun); err != nil {
		return nil, err
	}
	return r, r.Prepare(ctx)
}

// Fits says whether what was loaded so far can be gone on with: by the same
// version, into a table of the same columns.
func (r *Rebuild) Fits(ctx context.Context) error {
	if r.Plan.Transform != Transform {
		return fmt.Errorf("the rebuild of %s was begun by another version of pricelake, which makes other rows: run it again with --restart to begin anew", r.table.Name)
	}
	const columns = "SELECT groupArray((name, type)) FROM (SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = '%s' ORDER BY position)"
	var same bool
	err := r.each(ctx, fmt.Sprintf("WITH ("+columns+") AS old, ("+columns+") AS new SELECT empty(new) OR old = new", r.table.Name, r.Shadow()),
		func(scan func(...any) error) error { return scan(&same) })
	if err != nil {
		return err
	}
	if !same {
		return fmt.Errorf("table %s has other columns than when its rebuild began: run it again with --restart to begin anew", r.table.Name)
	}
	return nil
}

// Prepare makes the shadow tables where they are not there.
func (r *Rebuild) Prepare(ctx context.Context) error {
	for _, shadow := range []string{r.Shadow(), r.staging()} {
		if err := r.exec(ctx, "CREATE TABLE IF NOT EXISTS %s AS %s", shadow, r.table.Name); err != nil {
			return err
		}
	}
	return nil
}

// Shadow is the table that the records of the covered ranges are loaded into.
func (r *Rebuild) Shadow() string { return "rebuild_" + r.table.Name }

// staging is the table in which a partition is put together that then replaces
// one of the table.
func (r *Rebuild) staging() string { return "rebuild_" + r.table.Name + "_swap" }

// Loaded notes that everything covered is in the shadow.
func (r *Rebuild) Loaded(ctx context.Context) error { return r.note(ctx, rebuildLoaded) }

// Swapping notes that partitions are being replaced.
func (r *Rebuild) Swapping(ctx context.Context) error { return r.note(ctx, rebuildSwapping) }

// Done drops the shadow tables and notes the end.
func (r *Rebuild) Done(ctx context.Context) error { return r.end(ctx, rebuildDone) }

// Drop gives the rebuild up. The table is as it is: partitions that were swapped
// stay so.
func (r *Rebuild) Drop(ctx context.Context) error { return r.end(ctx, rebuildDropped) }

func (r *Rebuild) end(ctx context.Context, state string) error {
	if err := r.drop(ctx); err != nil {
		return err
	}
	return r.note(ctx, state)
}

func (r *Rebuild) drop(ctx context.Context) error {
	for _, shadow := range []string{r.staging(), r.Shadow()} {
		if err := r.exec(ctx, "DROP TABLE IF EXISTS %s SYNC", shadow); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rebuild) note(ctx context.Context, state string) error {
	plan, err := json.Marshal(r.Plan)
	if err != nil {
		return fmt.Errorf("writing down the rebuild of %s: %w", r.table.Name, err)
	}
	return r.exec(ctx, "INSERT INTO rebuilds (epoch, table, state, plan, at) VALUES (%d, '%s', '%s', '%s', fromUnixTimestamp64Micro(%d))",
		r.Epoch, r.table.Name, state, plan, time.Now().UnixMicro())
}

// exec runs a statement made of names and numbers of ours.
func (r *Rebuild) exec(ctx context.Context, statement string, args ...any) error {
	if err := r.lake.conn.Exec(ctx, fmt.Sprintf(statement, args...)); err != nil {
		return fmt.Errorf("rebuilding %s: %w", r.table.Name, r.lake.denied(err))
	}
	return nil
}

// covered is the condition of a row that the rebuild loads anew.
func (r *Rebuild) covered() string {
	return r.anyOf(func(c Coverage) string {
		if !c.Covered || c.Next <= c.First {
			return ""
		}
		return fmt.Sprintf("_partition = %d AND _offset >= %d AND _offset < %d", c.Partition, c.First, c.Next)
	})
}

// later is the condition of a row that was loaded after the rebuild began.
func (r *Rebuild) later() string {
	var known []string
	for _, c := range r.Plan.Coverage {
		known = append(known, fmt.Sprint(c.Partition))
	}
	return fmt.Sprintf("(%s OR _topic_id = '%s' AND _partition NOT IN (%s))",
		r.anyOf(func(c Coverage) string { return fmt.Sprintf("_partition = %d AND _offset >= %d", c.Partition, c.Next) }),
		r.Plan.TopicID, strings.Join(known, ", "))
}

func (r *Rebuild) anyOf(of func(Coverage) string) string {
	var terms []string
	for _, c := range r.Plan.Coverage {
		if term := of(c); term != "" {
			terms = append(terms, "("+term+")")
		}
	}
	if len(terms) == 0 {
		return "0"
	}
	return fmt.Sprintf("(_topic_id = '%s' AND (%s))", r.Plan.TopicID, strings.Join(terms, " OR "))
}

// month is the expression of the partition of a row.
func (r *Rebuild) month() string { return "toYYYYMM(" + r.table.newest + ")" }

// inside is the condition of a row of the months asked for.
func (r *Rebuild) inside() string {
	last := r.Plan.ToMonth
	if last == 0 {
		last = 999999
	}
	return fmt.Sprintf("%s BETWEEN %d AND %d", r.month(), r.Plan.FromMonth, last)
}

// LoadedTo returns the last offset of a partition that is in the shadow, -1 when
// none is.
func (r *Rebuild) LoadedTo(ctx context.Context, partition int32) (int64, error) {
	var last int64
	err := r.lake.conn.QueryRow(lookup(ctx), "SELECT if(count() = 0, -1, max(_offset)) FROM "+r.Shadow()+" WHERE _topic_id = ? AND _partition = ?",
		r.Plan.TopicID, partition).Scan(&last)
	if err != nil {
		return 0, fmt.Errorf("looking how far partition %d is loaded: %w", partition, err)
	}
	return last, nil
}
