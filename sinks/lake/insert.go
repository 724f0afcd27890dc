package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ClickHouse/ch-go/proto"
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
	select {
	case l.inserts <- struct{}{}:
		defer func() { <-l.inserts }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, l.config.InsertTimeout)
	defer cancel()
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
	batch, err := l.conn.PrepareBatch(ctx, insertText(p.table, p.cols))
	if err != nil {
		return false, err
	}
	// A batch that is not sent must give its connection up; after Send this
	// does nothing.
	defer batch.Abort() //nolint:errcheck // the outcome is Send's
	if err := transfer(batch.Columns(), p); err != nil {
		return false, err
	}
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

// transfer copies the columns of a part into those of a batch. Both hold
// ClickHouse's native format, so a column is copied as bytes and no value passes
// through an interface, a time.Time or a decimal library on its way.
func transfer(to []columns.Interface, p *part) error {
	if len(to) != len(p.cols) {
		return fmt.Errorf("table %s takes %d columns, this version sends %d: run `pricelake migrate`", p.table, len(to), len(p.cols))
	}
	var pipe proto.Buffer
	var from bytes.Reader
	reader := proto.NewReader(&from)
	for i, c := range p.cols {
		if to[i].Name() != c.name || string(to[i].Type()) != c.typ {
			return fmt.Errorf("column %s of table %s is a %s, this version sends %s %s: run `pricelake migrate`", to[i].Name(), p.table, to[i].Type(), c.name, c.typ)
		}
		pipe.Reset()
		if d, ok := c.data.(proto.Preparable); ok {
			if err := d.Prepare(); err != nil {
				return fmt.Errorf("encoding column %s of table %s: %w", c.name, p.table, err)
			}
		}
		c.data.EncodeColumn(&pipe)
		from.Reset(pipe.Buf)
		if err := to[i].Decode(reader, p.rows); err != nil {
			return fmt.Errorf("copying column %s of table %s: %w", c.name, p.table, err)
		}
	}
	return nil
}
