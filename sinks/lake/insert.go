package lake

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	columns "github.com/ClickHouse/clickhouse-go/v2/lib/column"

	"github.com/pricelake/pricelake/internal/failpoint"
)

// insert sends a part as one native block under a name. repeat says that the
// server knew the name and dropped the block: the rows may be there, or may have
// been lost with a server that died between noting the name and keeping them.
func (l *Lake) insert(ctx context.Context, p *part, name string, points *failpoint.Set) (repeat bool, err error) {
	// A select may pass over a context that has ended, and the driver then closes
	// a connection that it has already given back.
	if err := ctx.Err(); err != nil {
		return false, err
	}
	slot, err := l.inserts.take(ctx)
	if err != nil {
		return false, err
	}
	defer l.inserts.give(slot)
	ctx, done := watched(ctx, l.config.InsertTimeout)
	defer done() // after Abort
	if err := points.Hit(failpoint.LakeInsert); err != nil {
		return false, err
	}
	var sent error
	ctx = clickhouse.Context(ctx,
		clickhouse.WithQueryID(name),
		clickhouse.WithSettings(l.insertSettings(name)),
		clickhouse.WithProfileEvents(func(events []clickhouse.ProfileEvent) {
			// They come before the acknowledgement.
			sent = errors.Join(sent, points.Hit(failpoint.LakeInsertSent))
			for _, e := range events {
				repeat = repeat || e.Name == "DuplicatedInsertedBlocks" && e.Value > 0
			}
		}))
	batch, err := slot.conn.PrepareBatch(ctx, insertText(p.table, p.cols))
	if err != nil {
		return false, err
	}
	// A batch that is not sent must give its connection up; after Send this
	// does nothing.
	defer batch.Abort() //nolint:errcheck // the outcome is Send's
	if err := matches(batch.Columns(), p); err != nil {
		return false, err
	}
	if err := slot.send(ctx, p); err != nil {
		return false, err
	}
	// The end of the data: the library's own block is empty.
	if err := errors.Join(batch.Send(), sent); err != nil {
		return repeat, err
	}
	return repeat, points.Hit(failpoint.LakeInsertAcked)
}

// insertText is the INSERT of a table with all its columns.
func insertText(table string, cols []nativeColumn) string {
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT INTO %s (", table)
	for i, c := range cols {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("`" + c.name + "`")
	}
	b.WriteString(")")
	return b.String()
}

// matches says whether the server expects the columns that a part has.
func matches(want []columns.Interface, p *part) error {
	if len(want) != len(p.cols) {
		return fmt.Errorf("table %s takes %d columns, this version sends %d: run `pricelake migrate`", p.table, len(want), len(p.cols))
	}
	for i, c := range p.cols {
		if want[i].Name() != c.name || string(want[i].Type()) != c.typ {
			return fmt.Errorf("column %s of table %s is a %s, this version sends %s %s: run `pricelake migrate`", want[i].Name(), p.table, want[i].Type(), c.name, c.typ)
		}
	}
	return nil
}
