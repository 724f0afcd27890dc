package count

import (
	"context"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pricelake/pricelake/cmd/pricelake-chaos/market"
)

const ofChaos = " WHERE provider = '" + market.Provider + "'"

// table compares the rows of the lake with the model and with prices.v1, without
// those that the lake refuses.
func (c *counting) table(ctx context.Context) error {
	have, err := c.tableTallies(ctx)
	if err != nil {
		return err
	}
	want := c.model.rows
	all, must := have.total(), want.total()
	c.report.Rows, c.report.Want = all.rows, must.rows
	c.report.Repeats, c.report.Rejects = c.model.repeats, c.model.rejects
	differ := map[string]bool{}
	for instrument := range bothKeys(want, have) {
		w, h := want.of(instrument), have.of(instrument)
		if w.rows != h.rows || w.sum != h.sum {
			differ[instrument] = true
		}
	}
	if err := c.distinct(ctx); err != nil {
		return err
	}
	lost, doubled, wrong := &Findings{}, &Findings{}, &Findings{}
	if len(differ) > 0 {
		if err := c.rowByRow(ctx, differ, lost, doubled, wrong); err != nil {
			return err
		}
	}
	c.report.Lost += lost.n
	c.report.Doubled += doubled.n
	c.report.Wrong += wrong.n
	c.report.Add("O1", "every revision of every trade is a row", lost, "%d rows, %d have to be", all.rows, must.rows)
	c.report.Add("O2", "no row is there twice", doubled, "%d rows, %d have to be", all.rows, must.rows)
	c.report.Add("O3", "every row has the API's values", wrong, "sum of hashes %016x, %016x has to be", all.sum, must.sum)
	return c.order(ctx)
}

func (c *counting) tableTallies(ctx context.Context) (tallies, error) {
	have := tallies{}
	err := c.Lake.Query(ctx, "SELECT instrument, count(), sumWithOverflow(xxHash64("+rowText+")) FROM prices"+ofChaos+" GROUP BY instrument", func(col []string) error {
		n, err := numbers(col[1:])
		if err == nil {
			have[col[0]] = &tally{rows: n[0], sum: n[1]}
		}
		return err
	})
	return have, err
}

func numbers(cols []string) ([]uint64, error) {
	out := make([]uint64, len(cols))
	for i, col := range cols {
		n, err := strconv.ParseUint(col, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("a count of ClickHouse: %w", err)
		}
		out[i] = n
	}
	return out, nil
}

// distinct checks what the product promises in so many words.
func (c *counting) distinct(ctx context.Context) error {
	var found Findings
	var n []uint64
	err := c.Lake.Query(ctx, "SELECT count(), uniqExact(event_id, revision), uniqExact(instrument, trade_id, revision), uniqExact(event_id), uniqExact(instrument, trade_id) FROM prices"+ofChaos,
		func(col []string) (err error) { n, err = numbers(col); return err })
	if err != nil {
		return err
	}
	if n[0] != n[1] {
		found.Addf("count() = %d, uniqExact(event_id, revision) = %d", n[0], n[1])
	}
	if n[1] != n[2] || n[3] != n[4] {
		found.Addf("the ids of events are not those of trades: %d revisions and %d events, %d and %d by trade id", n[1], n[3], n[2], n[4])
	}
	c.report.Add("O2", "count() = uniqExact(event_id, revision), no FINAL", &found, "%d = %d; %d events", n[0], n[1], n[3])
	return nil
}

// revisionKey names a row.
type revisionKey struct {
	trade    string
	revision int64
}

// rowByRow compares the rows of some instruments one by one.
func (c *counting) rowByRow(ctx context.Context, instruments map[string]bool, lost, doubled, wrong *Findings) error {
	want := map[string]map[revisionKey]string{}
	again := newModel(c.Ledger.World)
	again.collect = func(r row) {
		if !instruments[r.instrument] {
			return
		}
		rows := want[r.instrument]
		if rows == nil {
			rows = map[revisionKey]string{}
			want[r.instrument] = rows
		}
		rows[revisionKey{r.trade, r.revision}] = string(r.appendText(nil))
	}
	err := c.readResponses(ctx, func(_ *kgo.Record, f Fields) {
		if f.Int("status") != 200 {
			return
		}
		if a, problem := c.said(f); problem == "" {
			again.answer(a)
		}
	})
	if err != nil {
		return err
	}
	for instrument := range instruments {
		if err := c.compareRows(ctx, instrument, want[instrument], lost, doubled, wrong); err != nil {
			return err
		}
	}
	return nil
}

func (c *counting) compareRows(ctx context.Context, instrument string, want map[revisionKey]string, lost, doubled, wrong *Findings) error {
	have := map[revisionKey]int{}
	statement := "SELECT trade_id, revision, " + rowText + ", _partition, _offset FROM prices" + ofChaos + " AND instrument = '" + instrument + "'"
	err := c.Lake.Query(ctx, statement, func(col []string) error {
		revision, err := strconv.ParseInt(col[1], 10, 64)
		if err != nil {
			return fmt.Errorf("a revision: %w", err)
		}
		key := revisionKey{col[0], revision}
		have[key]++
		text, known := want[key]
		where := "row " + col[2] + " from " + topicPrices + "[" + col[3] + "] at " + col[4]
		switch {
		case !known:
			doubled.Addf("%s: nobody stated this revision", where)
		case have[key] > 1:
			doubled.Addf("%s: there are %d of it", where, have[key])
		case text != col[2]:
			wrong.Addf("%s: it has to be %s", where, text)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for key, text := range want {
		if have[key] == 0 {
			lost.Addf("row %s is missing", text)
		}
	}
	return nil
}

// order compares the lineage of the rows with the topic: the row of each offset
// is that of the record there, so that the order is that of the topic.
func (c *counting) order(ctx context.Context) error {
	var found Findings
	have := map[lineageKey]*tally{}
	err := c.Lake.Query(ctx, "SELECT _partition, count(), uniqExact(_topic_id), sumWithOverflow(xxHash64(concat(toString(_offset),'|',toString(event_id),'|',trade_id,'|',toString(revision)))) FROM prices"+ofChaos+" GROUP BY _partition",
		func(col []string) error {
			n, err := numbers(col)
			if err != nil {
				return err
			}
			if n[2] != 1 {
				found.Addf("%s[%d]: rows of %d topic ids", topicPrices, n[0], n[2])
			}
			have[lineageKey{topicPrices, int32(n[0])}] = &tally{rows: n[1], sum: n[3]}
			return nil
		})
	if err != nil {
		return err
	}
	for key, w := range c.lineage {
		if h := have[key]; h == nil || *h != *w {
			found.Addf("%s[%d]: %s, there have to be %s", key.topic, key.partition, h, w)
		}
	}
	for key, h := range have {
		if c.lineage[key] == nil {
			found.Addf("%s[%d]: %s of a partition without records", key.topic, key.partition, h)
		}
	}
	c.report.Add("O4", "each row is the record at its offset", &found, "%d partitions", len(have))
	return nil
}

func (t *tally) String() string {
	if t == nil {
		return "no rows"
	}
	return fmt.Sprintf("%d rows, sum of hashes %016x", t.rows, t.sum)
}
