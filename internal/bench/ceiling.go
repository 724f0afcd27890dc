package bench

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// ceilingRows is the size of a ready-made block: that of the product's default.
const ceilingRows = 100_000

// ceiling inserts ready-made native blocks once more: what the server takes when
// nobody has to read, decode or encode anything. The blocks are those of the rows that
// the product loaded, in the order of the log, compressed. The rows once are there
// before the server has merged most of them, which it does while the product still
// loads; so the faster number of connections is also kept up for as long as the
// product took.
func (b *lakeBench) ceiling(ctx context.Context, blocks [][]byte, round int) error {
	for _, connections := range []int{1, 2} {
		run, err := b.ceilingRun(ctx, blocks, connections, 0)
		if err != nil {
			return err
		}
		b.report.Ceiling[connections] = append(b.report.Ceiling[connections], run)
		b.Progress("ceiling, %d connection(s), %d: %v", connections, round, run)
	}
	fastest, _ := b.report.fastestCeiling()
	run, err := b.ceilingRun(ctx, blocks, fastest, median(b.report.Sink).Took)
	if err != nil {
		return err
	}
	b.report.CeilingKeptUp = append(b.report.CeilingKeptUp, run)
	b.Progress("ceiling, %d connection(s), kept up, %d: %v", fastest, round, run)
	return nil
}

// ceilingRun inserts every block once, and again until so long has passed.
func (b *lakeBench) ceilingRun(ctx context.Context, blocks [][]byte, connections int, until time.Duration) (run Run, err error) {
	if err := b.empty(ctx); err != nil {
		return run, err
	}
	before, start := b.servers.used(), time.Now()
	var next atomic.Int64
	g, ctxOfAll := errgroup.WithContext(ctx)
	for range connections {
		g.Go(func() error {
			for {
				n := next.Add(1) - 1
				if n >= int64(len(blocks)) && time.Since(start) >= until {
					return nil
				}
				if err := b.insertReady(ctxOfAll, blocks[n%int64(len(blocks))]); err != nil {
					return err
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		return run, err
	}
	run, err = b.finished(ctx, time.Since(start), before)
	if err == nil && (run.Rows < b.Rows || until == 0 && run.Rows > b.Rows) {
		err = fmt.Errorf("%d rows of ready-made blocks are %d in the table", b.Rows, run.Rows)
	}
	return run, err
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

func (b *lakeBench) insertReady(ctx context.Context, block []byte) error {
	_, err := b.sql.send(ctx, "INSERT INTO prices FORMAT Native", bytes.NewReader(block),
		"decompress", "1", "async_insert", "0", "max_insert_block_size", fmt.Sprint(1<<20),
		"min_insert_block_size_rows", fmt.Sprint(1<<20), "min_insert_block_size_bytes", "0", "optimize_on_insert", "0",
		"insert_deduplicate", "0", "deduplicate_insert", "disable")
	return err
}
