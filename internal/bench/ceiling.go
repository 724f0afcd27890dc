package bench

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// ceilingRows is the size of a ready-made block: that of the product's default.
const ceilingRows = 100_000

// ceiling inserts ready-made native blocks: what the server takes when nobody
// has to read, decode or encode anything. The blocks are those of the rows that
// the product loaded, in the order of the log, compressed.
func (b *lakeBench) ceiling(ctx context.Context) error {
	blocks, err := b.readyBlocks(ctx)
	if err != nil {
		return err
	}
	b.report.Ceiling = map[int][]Run{}
	for _, connections := range []int{1, 2} {
		for i := range b.Runs {
			if err := b.empty(ctx); err != nil {
				return err
			}
			before := b.servers.used()
			took, err := b.insertReady(ctx, blocks, connections)
			if err != nil {
				return err
			}
			run, err := b.finished(ctx, took, before)
			if err != nil {
				return err
			}
			b.report.Ceiling[connections] = append(b.report.Ceiling[connections], run)
			b.Progress("ceiling, %d connection(s), %d: %v", connections, i+1, run)
		}
	}
	return nil
}

// readyBlocks reads the table as blocks of ceilingRows.
func (b *lakeBench) readyBlocks(ctx context.Context) (blocks [][]byte, err error) {
	if rows, err := b.sql.number(ctx, "SELECT count() FROM prices"); err != nil || rows != b.Rows {
		return nil, fmt.Errorf("the table has %d rows, not the %d that were loaded: %w", rows, b.Rows, err)
	}
	for from := int64(0); from < b.Rows; from += ceilingRows {
		block, err := b.sql.send(ctx, fmt.Sprintf("SELECT * FROM prices ORDER BY _partition, _offset LIMIT %d, %d FORMAT Native", from, ceilingRows), &bytes.Buffer{},
			"compress", "1", "max_block_size", fmt.Sprint(ceilingRows), "min_external_table_block_size_rows", "0")
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, block)
	}
	return blocks, nil
}

// insertReady inserts the blocks, in turn over so many connections.
func (b *lakeBench) insertReady(ctx context.Context, blocks [][]byte, connections int) (time.Duration, error) {
	start := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for c := range connections {
		g.Go(func() error {
			for i := c; i < len(blocks); i += connections {
				_, err := b.sql.send(ctx, "INSERT INTO prices FORMAT Native", bytes.NewReader(blocks[i]),
					"decompress", "1", "async_insert", "0", "max_insert_block_size", fmt.Sprint(1<<20),
					"min_insert_block_size_rows", fmt.Sprint(1<<20), "min_insert_block_size_bytes", "0", "optimize_on_insert", "0",
					"insert_deduplicate", "0", "deduplicate_insert", "disable")
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := g.Wait()
	return time.Since(start), err
}
