package dedupe

import (
	"context"
	"fmt"
	"time"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/schemas"
)

// tellEvery is how often a restore says how far it is.
const tellEvery = 10 * time.Second

// lakeAsked bounds the question whether a lake that is not needed knows of an
// earlier topic: a deduplicator that lacks nothing does not wait for it.
const lakeAsked = 2 * time.Second

// askAhead asks the lake for rows of an earlier topic when a state is begun that
// lacks nothing. It says so when there is no answer, and does not wait for one.
func (c *catchUp) askAhead(ctx context.Context) {
	if c.d.config.Lake == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lakeAsked)
	defer cancel()
	if _, err := c.held(ctx); err != nil {
		c.log.Info("nobody knows whether the lake holds rows of an earlier topic", "err", err)
	}
}

// held returns what the lake holds of the partition. It says so when the lake has
// rows that came from an earlier topic of the same name: their events are not in
// the state, and come again as new ones.
func (c *catchUp) held(ctx context.Context) (mine Held, err error) {
	all, err := c.d.config.Lake.Holds(ctx, c.out)
	if err != nil {
		return Held{}, fmt.Errorf("asking the lake what it holds of %s[%d]: %w", c.out.Topic, c.out.Partition, err)
	}
	mine.Last = -1
	for _, h := range all {
		switch {
		case h.TopicID == c.state.topic:
			mine = h
		case !c.told:
			c.d.metrics.foreign.Inc()
			c.log.Error("the lake holds rows of an earlier topic of this name: what they say is not in the state, and passes again when it comes again",
				"earlier_topic_id", schemas.ID(h.TopicID), "topic_id", schemas.ID(c.state.topic), "rows", h.Rows)
		}
	}
	c.told = true
	return mine, nil
}

// restore puts what the lake holds of offsets [from,to) into the state and moves
// the checkpoint to to, if it is below. Killed in between, it is done again from
// the start: the checkpoint has not moved, and what is there already does no
// harm. An error of the lake is returned, so that the partition waits for it.
func (c *catchUp) restore(ctx context.Context, from, to int64) error {
	unseen := from
	if c.d.config.Lake != nil {
		held, err := c.held(ctx)
		if err != nil {
			return err
		}
		rows, err := c.take(ctx, from, to, held.Rows)
		if err != nil {
			return fmt.Errorf("restoring %s[%d] from the lake: %w", c.out.Topic, c.out.Partition, err)
		}
		c.log.Info("state was restored from the lake", "from", from, "to", to, "rows", rows)
		if held.Rows > 0 {
			unseen = max(from, held.Last+2) // the offset behind its last row may be a marker's
		}
	}
	// What the lake has not loaded before retention removed it, it never will.
	if unseen < to {
		c.d.metrics.gap.Add(float64(to - unseen))
		c.log.Error("retention removed records that neither the state nor the lake has seen: events in them may pass a second time",
			"first_unseen", unseen, "first_retained", to, "offsets", to-unseen)
	}
	if err := c.d.config.Failpoints.Hit(failpoint.DedupeRestored); err != nil {
		return err
	}
	if to <= c.state.at.next {
		return nil
	}
	return c.state.apply(nil, checkpoint{next: to}, true)
}

// take reads the lake's rows into the state, a batch at a time. total is only for
// telling.
func (c *catchUp) take(ctx context.Context, from, to, total int64) (rows int64, err error) {
	c.log.Info("restoring state from the lake", "from", from, "to", to, "at_most", total)
	started := c.d.config.Now()
	told := started
	batch := make([]change, 0, replayRecords)
	err = c.d.config.Lake.Prices(ctx, c.out, c.state.topic, from, to, func(offset int64, p *schemas.Price) error {
		batch = append(batch, change{p.EventID, entryOf(p, offset)})
		rows++
		if len(batch) < replayRecords {
			return nil
		}
		if now := c.d.config.Now(); now.Sub(told) >= tellEvery {
			told = now
			c.log.Info("restoring state from the lake", "rows", rows, "at_most", total, "since", now.Sub(started).Round(time.Second))
		}
		err := c.state.merge(batch)
		batch = batch[:0]
		return err
	})
	if err == nil {
		err = c.state.merge(batch)
	}
	c.d.metrics.restored.Add(float64(rows))
	return rows, err
}
