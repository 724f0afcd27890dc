package lake

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// Held is what the table prices has of one partition of one topic.
type Held struct {
	TopicID     stream.TopicID
	First, Last int64 // offsets
	Rows        int64
}

// Held returns from which topics, by id, the rows of prices came that were loaded
// from the partition of this number. It reads the projection of the lineage.
func (l *Lake) Held(ctx context.Context, partition int32) ([]Held, error) {
	rows, err := l.conn.Query(ctx, `
		SELECT _topic_id, min(_offset), max(_offset), toInt64(count()) FROM prices
		WHERE _partition = ? GROUP BY _topic_id ORDER BY _topic_id`, partition)
	if err != nil {
		return nil, fmt.Errorf("asking ClickHouse where the rows of prices came from: %w", l.denied(err))
	}
	defer rows.Close()
	var all []Held
	for rows.Next() {
		var h Held
		var id uuid.UUID
		if err := rows.Scan(&id, &h.First, &h.Last, &h.Rows); err != nil {
			return nil, fmt.Errorf("reading where the rows of prices came from: %w", err)
		}
		h.TopicID = stream.TopicID(id)
		all = append(all, h)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading where the rows of prices came from: %w", l.denied(err))
	}
	return all, nil
}

// heldTimeout bounds the reading of all prices of a partition: the server ends a
// query whose reader is gone, but not one that is only slow.
const heldTimeout = time.Hour

// Prices calls each with every row of prices loaded from offsets [from,to) of a
// partition, in the order of the table: event id, revision, withdrawn, price, bid,
// ask and size. A partition holds whole instruments and the table is sorted by
// them, so little else is read. Rows come in blocks and are handed on one by one,
// in the same Price. An error of each ends it and is returned as it is.
func (l *Lake) Prices(ctx context.Context, id stream.TopicID, partition int32, from, to int64, each func(offset int64, p *schemas.Price) error) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"max_execution_time": int(heldTimeout.Seconds()),
		"max_block_size":     heldBlock,
		"max_threads":        1, // the reader is the slower one
	}))
	rows, err := l.conn.Query(ctx, heldQuery, schemas.ID(id).String(), partition, from, to)
	if err != nil {
		return fmt.Errorf("asking ClickHouse for the prices of partition %d: %w", partition, l.denied(err))
	}
	defer rows.Close()
	var h heldRow
	targets := h.targets()
	var p schemas.Price
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return fmt.Errorf("reading the prices of partition %d: %w", partition, err)
		}
		if err := h.price(&p); err != nil {
			return fmt.Errorf("reading the price at offset %d of partition %d: %w", h.offset, partition, err)
		}
		if err := each(h.offset, &p); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading the prices of partition %d: %w", partition, l.denied(err))
	}
	return nil
}

// heldBlock is the rows of one block that the server sends.
const heldBlock = 8192

// heldQuery reads a decimal as the two words it is made of: the client library
// would make a number of several allocations of each.
const heldQuery = `
	SELECT _offset, event_id, revision, withdrawn,
		isNotNull(price), reinterpretAsInt64(substring(reinterpretAsFixedString(ifNull(price, 0)), 9)), reinterpretAsUInt64(ifNull(price, 0)),
		isNotNull(bid), reinterpretAsInt64(substring(reinterpretAsFixedString(ifNull(bid, 0)), 9)), reinterpretAsUInt64(ifNull(bid, 0)),
		isNotNull(ask), reinterpretAsInt64(substring(reinterpretAsFixedString(ifNull(ask, 0)), 9)), reinterpretAsUInt64(ifNull(ask, 0)),
		isNotNull(size), reinterpretAsInt64(substring(reinterpretAsFixedString(ifNull(size, 0)), 9)), reinterpretAsUInt64(ifNull(size, 0))
	FROM prices
	WHERE _topic_id = ? AND _partition = ? AND _offset >= ? AND _offset < ?`

// heldRow is where a row is scanned to.
type heldRow struct {
	offset    int64
	id        uuid.UUID
	revision  int32
	withdrawn bool
	values    [4]struct {
		valid uint8
		hi    int64
		lo    uint64
	}
}

func (h *heldRow) targets() []any {
	t := []any{&h.offset, &h.id, &h.revision, &h.withdrawn}
	for i := range h.values {
		t = append(t, &h.values[i].valid, &h.values[i].hi, &h.values[i].lo)
	}
	return t
}

func (h *heldRow) price(p *schemas.Price) error {
	*p = schemas.Price{EventID: schemas.ID(h.id), Revision: h.revision, Withdrawn: h.withdrawn}
	for i, to := range []*schemas.NullDecimal{&p.Price, &p.Bid, &p.Ask, &p.Size} {
		v := &h.values[i]
		if v.valid == 0 {
			continue
		}
		d, err := schemas.DecimalFromWords(v.hi, v.lo)
		if err != nil {
			return err
		}
		*to = schemas.NullDecimal{Decimal: d, Valid: true}
	}
	return nil
}
