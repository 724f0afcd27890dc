package sinks

import (
	"context"
	"fmt"
	"log/slog"
	"math"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// MakeDeadLetter makes the dead letter of a record, with its original bytes. An
// error means that the dead letter cannot be written, so the record must not be
// passed over.
type MakeDeadLetter func(in *stream.Record, reason schemas.DeadReason, cause error) (stream.Record, error)

// Options are the dependencies of a Handler. All are needed but Epoch.
type Options struct {
	Store      Store
	Publisher  stream.Publisher
	DeadLetter MakeDeadLetter
	// Epoch is the filling of the sink that rows are written under.
	Epoch      uint32
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Handler feeds a Store from the partitions claimed for it. It may serve many
// claims at once.
type Handler struct {
	store   Store
	publish stream.Publisher
	dead    MakeDeadLetter
	epoch   uint32
	log     *slog.Logger
	metrics *metrics
}

// NewHandler returns a Handler and registers its metrics.
func NewHandler(o Options) *Handler {
	return &Handler{
		store:   o.Store,
		publish: o.Publisher,
		dead:    o.DeadLetter,
		epoch:   o.Epoch,
		log:     o.Log,
		metrics: newMetrics(o.Registerer),
	}
}

// Open claims a partition; it is a stream.OpenRange. It ends what a predecessor
// may still be writing and then asks what of the partition is there from the
// committed offset on: that much a predecessor wrote without committing it.
func (h *Handler) Open(ctx context.Context, c stream.Claim) (stream.RangeSink, error) {
	of := Partition{Topic: c.Topic, TopicID: c.TopicID, Number: c.Partition}
	if err := h.store.Fence(ctx, of); err != nil {
		return nil, fmt.Errorf("ending the running writes of %v: %w", of, err)
	}
	present, err := h.store.Present(ctx, Range{Partition: of, First: c.Committed, Last: math.MaxInt64})
	if err != nil {
		return nil, fmt.Errorf("asking what of %v is there from offset %d on: %w", of, c.Committed, err)
	}
	if n := present.Count(); n > 0 {
		h.log.InfoContext(ctx, "the sink is ahead of the committed offset", "topic", of.Topic, "partition", of.Number, "committed", c.Committed, "records", n)
	}
	h.metrics.begins(of.Topic)
	return &claim{h: h, of: of, present: present, verify: true}, nil
}

// claim is one claimed partition. Its methods are called by one goroutine.
type claim struct {
	h  *Handler
	of Partition
	// present is what the store is known to hold at or above the position.
	present Offsets
	// attempt names the writes of the batch in hand.
	attempt int32
	// doubt: the outcome of the last write is unknown.
	doubt bool
	// verify: the store may take a write for the repeat of one whose outcome
	// was unknown and drop it; ask after the write. True until something has
	// been written after a claim or a doubt: an unknown write of a predecessor
	// began at the first record that is missing, and later ones do not.
	verify bool
}

// Write implements stream.RangeSink.
//
// Between any two lines a crash loses nothing and doubles nothing: the offset is
// committed after Write has returned (I1), dead letters are durable before it
// returns, and whoever comes next asks the store before it writes (I2).
func (c *claim) Write(ctx context.Context, b stream.Batch, _ stream.Intend) error {
	if len(b.Records) == 0 {
		return nil
	}
	first, last := b.Records[0].Offset, b.Records[len(b.Records)-1].Offset
	batch := Range{Partition: c.of, First: first, Last: last}
	if c.doubt {
		if err := c.recover(ctx, batch); err != nil {
			return err
		}
	}
	missing := absent(b.Records, &c.present)
	c.h.metrics.records.WithLabelValues(c.of.Topic, outcomeSkipped).Add(float64(len(b.Records) - len(missing)))
	refused, err := c.attemptAll(ctx, missing)
	if err == nil {
		err = drift(refused, len(b.Records))
	}
	if err == nil && c.verify {
		err = c.prove(ctx, batch, missing, refused)
	}
	if err == nil {
		err = c.bury(ctx, missing, refused)
	}
	if err != nil {
		c.doubt, c.verify = true, true
		return fmt.Errorf("writing %v, attempt %d: %w", batch, c.attempt, err)
	}
	c.h.metrics.records.WithLabelValues(c.of.Topic, outcomeWritten).Add(float64(len(missing) - len(refused)))
	c.present.Forget(last)
	c.attempt = 0
	c.verify = c.verify && len(missing) == 0
	return nil
}

// Close implements stream.RangeSink. It leaves nothing running: Write has
// returned before.
func (c *claim) Close() error { return nil }

// recover finds out what became of an earlier write of the range: it ends what
// still runs of it and asks what is there. What is missing is then written
// under a new attempt, since the name of the old one may have been used up by a
// write that left nothing.
func (c *claim) recover(ctx context.Context, r Range) error {
	c.h.metrics.recoveries.WithLabelValues(c.of.Topic).Inc()
	if err := c.h.store.Fence(ctx, c.of); err != nil {
		return fmt.Errorf("ending the running writes of %v: %w", c.of, err)
	}
	present, err := c.h.store.Present(ctx, r)
	if err != nil {
		return fmt.Errorf("asking what of %v is there: %w", r, err)
	}
	for first, last := range present.Runs() {
		c.present.Add(first, last)
	}
	c.attempt++
	c.doubt = false
	return nil
}

// prove asks the store for every record that was to be written.
func (c *claim) prove(ctx context.Context, r Range, written []stream.Record, refused []Refusal) error {
	present, err := c.h.store.Present(ctx, r)
	if err != nil {
		return fmt.Errorf("asking what of %v is there: %w", r, err)
	}
	for _, f := range refused {
		present.Add(written[f.Index].Offset, written[f.Index].Offset)
	}
	if lost := absent(written, &present); len(lost) > 0 {
		return fmt.Errorf("%d acknowledged records are not there, the first at offset %d", len(lost), lost[0].Offset)
	}
	return nil
}

// bury publishes the dead letters of the refused records of rs.
func (c *claim) bury(ctx context.Context, rs []stream.Record, refused []Refusal) error {
	letters := make([]stream.Record, 0, len(refused))
	for _, f := range refused {
		r := &rs[f.Index]
		c.h.log.WarnContext(ctx, "a record cannot become a row", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "reason", f.Reason, "err", f.Err)
		if r.Topic == schemas.TopicDeadLetters {
			continue // its dead letter would be refused too, and so for ever
		}
		letter, err := c.h.dead(r, f.Reason, f.Err)
		if err != nil {
			return fmt.Errorf("making the dead letter of offset %d: %w", r.Offset, err)
		}
		letters = append(letters, letter)
	}
	if len(letters) > 0 {
		if err := c.h.publish.Publish(ctx, letters...); err != nil {
			return fmt.Errorf("publishing %d dead letters: %w", len(letters), err)
		}
	}
	for _, f := range refused {
		c.h.metrics.refused(c.of.Topic, f.Reason)
	}
	return nil
}

// absent returns the records of rs whose offsets are not in present, without
// copying when none is.
func absent(rs []stream.Record, present *Offsets) []stream.Record {
	if present.Empty() {
		return rs
	}
	missing := make([]stream.Record, 0, len(rs))
	for i := range rs {
		if !present.Has(rs[i].Offset) {
			missing = append(missing, rs[i])
		}
	}
	return missing
}
