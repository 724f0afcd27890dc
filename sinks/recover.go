package sinks

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// Open claims a partition; it is a stream.OpenRange. It ends what a predecessor
// may still be writing, asks what of the partition is there from the committed
// offset on (a predecessor may have written it without committing, or commits
// may have been lost), and finishes the range of an open intent.
func (h *Handler) Open(ctx context.Context, claimed stream.Claim) (stream.RangeSink, error) {
	of := Partition{Topic: claimed.Topic, TopicID: claimed.TopicID, Number: claimed.Partition}
	c := &claim{h: h, reread: claimed.Reread, m: &machine{of: of, epoch: h.Epoch, transform: h.Transform, writer: h.Writer, verify: true}}
	if err := h.Store.Fence(ctx, of); err != nil {
		return nil, fmt.Errorf("ending the running writes of %v: %w", of, err)
	}
	if err := h.Failpoints.Hit(failpoint.LakeRecoverEnded); err != nil {
		return nil, err
	}
	h.metrics.begins(of.Topic)
	intent := h.read(ctx, claimed)
	from := claimed.Committed
	if intent != nil {
		if intent.TopicID != claimed.TopicID {
			h.metrics.intents.WithLabelValues(of.Topic, intentQuarantined).Inc()
			return nil, c.quarantine(0, claimed.Committed-1, recreated(intent, claimed.TopicID))
		}
		from = min(from, intent.First)
	}
	present, err := h.Store.Present(ctx, Range{Partition: of, First: from, Last: math.MaxInt64})
	if doubled := new(DoubledError); errors.As(err, &doubled) {
		return nil, c.quarantine(doubled.First, doubled.Last, doubled.Error()+"; remove the rows that are too many, see docs/operations.md")
	}
	if err != nil {
		return nil, fmt.Errorf("asking what of %v is there from offset %d on: %w", of, from, err)
	}
	if n := present.Count(); n > 0 {
		h.Log.InfoContext(ctx, "the sink is ahead of the committed offset", "topic", of.Topic, "partition", of.Number, "committed", claimed.Committed, "records", n)
	}
	c.m.found(&present)
	if intent != nil {
		if err := c.recover(ctx, claimed, intent, &present); err != nil {
			return nil, err
		}
	}
	return c.gathering(), nil
}

// read reads the intent that a predecessor left open, nil if there is none. What
// cannot be read says nothing; then lineage alone decides, as it does after the
// commits were lost.
func (h *Handler) read(ctx context.Context, claimed stream.Claim) *Intent {
	if claimed.Metadata == "" || !h.intends(claimed.Topic) {
		return nil
	}
	intent, err := ParseIntent(claimed.Metadata)
	if err != nil {
		h.metrics.intents.WithLabelValues(claimed.Topic, intentUnreadable).Inc()
		h.Log.ErrorContext(ctx, "what is committed beside the offset cannot be read; what is in the sink decides",
			"topic", claimed.Topic, "partition", claimed.Partition, "committed", claimed.Committed, "err", err)
		return nil
	}
	return &intent
}

// recover finishes the range of an open intent.
func (c *claim) recover(ctx context.Context, claimed stream.Claim, intent *Intent, present *Offsets) error {
	rs, err := claimed.Reread.All(ctx, intent.First, intent.Last)
	if err != nil {
		return fmt.Errorf("reading the range %d-%d of the open intent again: %w", intent.First, intent.Last, err)
	}
	if err := c.h.Failpoints.Hit(failpoint.LakeRecoverRead); err != nil {
		return err
	}
	if len(rs) != intent.Records || Hash(rs) != intent.Hash {
		return c.changed(claimed, intent, rs, present)
	}
	c.m.intends = claimed.Intend != nil
	c.records = rs
	c.m.resume(*intent, offsetsOf(rs))
	outcome := intentComplete
	if len(c.m.rest) > 0 {
		outcome = intentWritten
	}
	c.recovering = true
	defer func() { c.recovering = false }()
	if err := c.h.Failpoints.Hit(failpoint.LakeRecoverVerified); err != nil {
		return err
	}
	if err := c.drive(ctx, claimed.Intend); err != nil {
		return err
	}
	c.finished(intent, outcome)
	return nil
}

// finished notes that nothing of the intent's range needs anything more: the
// loop hands the range over again.
func (c *claim) finished(intent *Intent, outcome string) {
	c.h.metrics.intents.WithLabelValues(c.m.of.Topic, outcome).Inc()
	c.settled(intent.First - 1)
	c.m.done.Add(intent.First, intent.Last)
}

// changed judges a range that is not what it was. Retention may take records
// whose rows are all there; anything else is not for a program to decide.
func (c *claim) changed(claimed stream.Claim, intent *Intent, rs []stream.Record, present *Offsets) error {
	if claimed.Committed > intent.First && present.countIn(intent.First, intent.Last) == int64(intent.Rows) {
		c.finished(intent, intentComplete)
		return nil
	}
	c.h.metrics.intents.WithLabelValues(c.m.of.Topic, intentQuarantined).Inc()
	return c.otherLog(intent, rs)
}

// otherLog is the quarantine of a range that was read again and is not what it was.
func (c *claim) otherLog(intent *Intent, rs []stream.Record) error {
	gone, other := gap(intent, rs)
	first, last := intent.First, intent.Last
	if !gone.Empty() {
		first, last = gone.bounds()
	}
	text, _ := runsText(&gone, 0, 200)
	reason := fmt.Sprintf("the log no longer holds what was to be written: of %d records in %d-%d the offsets %s are gone", intent.Records, intent.First, intent.Last, text)
	if gone.Empty() || other {
		reason = fmt.Sprintf("the log holds other records than were to be written: %d of %d in %d-%d, with another content", len(rs), intent.Records, intent.First, intent.Last)
	}
	return c.quarantine(first, last, reason)
}

// gap returns the offsets of the intent's records that were not read again, and
// whether an offset holds a record that held none before.
func gap(intent *Intent, rs []stream.Record) (gone Offsets, other bool) {
	gone.Add(intent.First, intent.Last)
	for first, last := range intent.Holes.Runs() {
		for offset := first; offset <= last; offset++ {
			gone.Remove(offset)
		}
	}
	for i := range rs {
		other = other || intent.Holes.Has(rs[i].Offset)
		gone.Remove(rs[i].Offset)
	}
	return gone, other
}

func recreated(intent *Intent, now stream.TopicID) string {
	return fmt.Sprintf("the topic was deleted and created again: the position belongs to %v, the topic is %v now; what came into it before offset %d has not been read",
		schemas.ID(intent.TopicID), schemas.ID(now), intent.First)
}
