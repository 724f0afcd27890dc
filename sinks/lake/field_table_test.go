package lake

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
)

// sameRows is a RowReader of prices that were read before.
type sameRows struct {
	rows    [][]schemas.Field
	unknown []string
}

func (sameRows) Width() int { return len(priceFields()) }

func (s sameRows) Read(_ context.Context, wire []byte, row []schemas.Field) ([]string, error) {
	copy(row, s.rows[int(wire[0])%len(s.rows)])
	return s.unknown, nil
}

func somePriceRows(t testing.TB, n int) (s sameRows) {
	for i := range n {
		p := somePrice(t, i)
		p.Instrument, p.CallID, p.Bid = fmt.Sprintf("INS%d-USD", i), fmt.Sprintf("call%d", i%7), dec(t, "73379.5")
		s.rows = append(s.rows, fieldsOf(&p))
	}
	return s
}

// Nothing is allocated for a record on its way into columns: a block costs the
// same few things whether it has a thousand records or ten thousand.
func TestColumnsAllocateNothingPerRecord(t *testing.T) {
	table := newFieldTable("prices", priceFields(), somePriceRows(t, 100), "event_time", "fetched_at", nil)
	allocations := func(rows int) (n, pages float64) {
		b := preparedBlock(rows, 0)
		load := func() {
			parts, err := table.load(t.Context(), b, origin{topicID: topicID, insertedAt: time.UnixMicro(0)})
			if err != nil {
				t.Fatal(err)
			}
			pages = float64(parts[0].block.bytes() / pageSize)
			parts[0].free()
		}
		load() // pages are made once
		return testing.AllocsPerRun(5, load), pages
	}
	few, _ := allocations(1_000)
	many, pages := allocations(10_000)
	// Pages that a pool has dropped are made anew: under the race detector it drops
	// some at random. One allocation a record would be 9,000 more.
	if pages > 500 || many > few+pages || many > 100+pages {
		t.Errorf("%v allocations for a block of 1000 records, %v for one of 10000, which has %v pages", few, many, pages)
	}
}

// A field that no column takes is counted by its name, for every row of it.
func TestUnknownFieldsAreCounted(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := newMetrics(reg)
	reader := somePriceRows(t, 3)
	reader.unknown = []string{"venue"}
	table := newFieldTable("prices", priceFields(), reader, "event_time", "fetched_at", m.passedOver)
	if _, err := table.load(t.Context(), preparedBlock(12, 0), origin{}); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "pricelake_lake_unknown_fields_total" {
			continue
		}
		if c := f.GetMetric()[0]; c.GetCounter().GetValue() != 12 || c.GetLabel()[0].GetValue() != "venue" {
			t.Errorf("counted %v, want 12 of venue", c)
		}
		return
	}
	t.Error("nothing was counted")
}

// A time that the lake does not hold refuses its record and nothing else; a
// schema that cannot be read refuses none.
func TestFieldsThatDoNotFit(t *testing.T) {
	reader := somePriceRows(t, 4)
	late := schemas.DateOf(2300, time.January, 1)
	for column, bad := range map[int]schemas.Field{16: {Int: maxMicros + 1}, 18: {Int: int64(late)}, 19: {Int: minMicros - 1}, 9: {Int: 6}} {
		rows := somePriceRows(t, 4).rows
		rows[2][column] = bad
		reader.rows = rows
		table := newFieldTable("prices", priceFields(), reader, "event_time", "fetched_at", nil)
		_, err := table.load(t.Context(), preparedBlock(4, 0), origin{})
		refused, ok := sinks.Refused(err)
		if !ok || len(refused.Records) != 1 || refused.Records[0].Index != 2 || refused.Records[0].Reason != schemas.DeadInvalid {
			t.Errorf("column %d: %v", column, err)
		}
	}
	table := newFieldTable("prices", priceFields(), valueRows{fromJSON[schemas.Price]{}}, "event_time", "fetched_at", nil)
	_, err := table.load(t.Context(), block(record(t, schemas.TopicPrices, 1, "outage")), origin{})
	if _, ok := sinks.Refused(err); err == nil || ok || errors.Is(err, context.Canceled) {
		t.Errorf("a registry that does not answer: %v", err)
	}
}
