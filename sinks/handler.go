package sinks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// MakeDeadLetter makes the dead letter of a record, with its original bytes. An
// error means that the dead letter cannot be written, so the record must not be
// passed over.
type MakeDeadLetter func(in *stream.Record, reason schemas.DeadReason, cause error) (stream.Record, error)

// Options are the dependencies of a Handler. All are needed but those that say
// otherwise.
type Options struct {
	Store      Store
	Publisher  stream.Publisher
	DeadLetter MakeDeadLetter
	// Epoch is the filling of the sink that rows are written under.
	Epoch uint32
	// Transform is the version of what makes rows of records, Writer the name
	// of this process: both are noted in intents.
	Transform uint32
	Writer    string
	// Compacted says whether records of a topic may disappear from the middle
	// of a range. No intent is recorded there: a range could never be read
	// again as it was. Nil: none.
	Compacted func(topic string) bool
	// NoIntents records none at all. What exactly-once costs is measured with
	// it, nothing else may be.
	NoIntents bool
	// Failpoints may be nil.
	Failpoints *failpoint.Set
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Handler feeds a Store from the partitions claimed for it. It may serve many
// claims at once.
type Handler struct {
	Options
	metrics *metrics
	offsets sync.Pool // of gathered
	chunks  sync.Pool // of kept
}

// NewHandler returns a Handler and registers its metrics.
func NewHandler(o Options) *Handler {
	if o.Compacted == nil {
		o.Compacted = func(string) bool { return false }
	}
	return &Handler{Options: o, metrics: newMetrics(o.Registerer)}
}

// claim is one claimed partition: the hands of a machine. Its methods are called
// by one goroutine.
type claim struct {
	h *Handler
	m *machine
	// recovering: the range in hand is that of a predecessor's intent.
	recovering bool
	// records are those of the range in hand. Nil: they were gathered, and are not
	// at hand.
	records []stream.Record
	// gathered are rows whose records have been let go of; nil: none ever.
	gathered *gathered
	reread   stream.Reread
	// picked are the records whose letters wait, by their index, if they were read
	// again for that.
	picked map[int]*stream.Record
}

// Write implements stream.RangeSink.
//
// Between any two lines a crash loses nothing and doubles nothing: the offset is
// committed after Write has returned (I1), dead letters are durable before it
// returns, and whoever comes next reads the range of the intent again and asks
// the store before it writes (I2). A nil intend records no intent.
func (c *claim) Write(ctx context.Context, b stream.Batch, intend stream.Intend) error {
	if len(b.Records) == 0 {
		return nil
	}
	last := b.Records[len(b.Records)-1].Offset
	if c.m.phase == idle {
		c.m.intends = c.h.intends(b.Topic) && intend != nil
		ahead := c.m.begin(offsetsOf(b.Records), func(ahead int) uint64 { return Hash(b.Records[ahead:]) })
		c.records = b.Records[ahead:]
		c.h.metrics.records.WithLabelValues(c.m.of.Topic, outcomeSkipped).Add(float64(c.m.skipped))
	}
	if err := c.drive(ctx, intend); err != nil {
		return err
	}
	c.settled(last)
	return nil
}

// settled forgets the range in hand: everything up to last is durable.
func (c *claim) settled(last int64) {
	c.m.settled(last)
	c.records, c.picked = nil, nil
}

func (h *Handler) intends(topic string) bool { return !h.NoIntents && !h.Compacted(topic) }

// Close implements stream.RangeSink. It leaves nothing running: Write has
// returned before.
func (c *claim) Close() error {
	c.gathered.drop()
	return nil
}

// drive does what the machine asks for until the range in hand is durable.
func (c *claim) drive(ctx context.Context, intend stream.Intend) error {
	for c.m.phase != idle {
		if err := c.step(ctx, intend); err != nil {
			var doubled *DoubledError
			if errors.As(err, &doubled) {
				return c.quarantine(doubled.First, doubled.Last, doubled.Error()+"; remove the rows that are too many, see docs/operations.md")
			}
			return fmt.Errorf("%s of %v, attempt %d: %w", c.m.phase, c.m.span(), c.m.intent.Attempt, err)
		}
	}
	return nil
}

func (c *claim) step(ctx context.Context, intend stream.Intend) error {
	m := c.m
	switch m.phase {
	case intending:
		if err := intend(ctx, m.intent.First, m.intent.String()); err != nil {
			return fmt.Errorf("recording the intent: %w", err)
		}
		m.intended()
	case ending:
		c.h.metrics.recoveries.WithLabelValues(m.of.Topic).Inc()
		if err := c.h.Store.Fence(ctx, m.of); err != nil {
			return fmt.Errorf("ending the running writes: %w", err)
		}
		m.ended()
	case looking:
		return c.look(ctx)
	case writing:
		return c.write(ctx)
	case burying:
		return c.bury(ctx)
	}
	return nil
}

// look asks the store for the range in hand.
func (c *claim) look(ctx context.Context) error {
	present, err := c.h.Store.Present(ctx, c.m.span())
	if err != nil {
		return fmt.Errorf("asking what is there: %w", err)
	}
	attempt := c.m.intent.Attempt
	err = c.m.looked(&present)
	return errors.Join(err, c.noticeBurned(ctx, attempt))
}

func (c *claim) write(ctx context.Context) error {
	attempt, bad, rows := c.m.intent.Attempt, c.m.intent.Bad, len(c.m.segment)
	outcome, err := c.put(ctx)
	if err != nil {
		return err
	}
	if refused, ok := Refused(outcome); outcome == nil || ok && refused.Written {
		if ok {
			rows -= len(refused.Records)
		}
		c.h.metrics.records.WithLabelValues(c.m.of.Topic, outcomeWritten).Add(float64(rows))
	}
	err = c.m.wrote(outcome)
	if err == nil && outcome == nil && c.recovering {
		err = c.h.Failpoints.Hit(failpoint.LakeRecoverInserted)
	}
	if err == nil && outcome == nil && bad >= 0 && c.m.phase != idle {
		err = c.h.Failpoints.Hit(failpoint.LakeBisect)
	}
	return errors.Join(err, c.noticeBurned(ctx, attempt))
}

// put has the store write the block in hand and returns what came of it. err means
// that nothing was tried.
func (c *claim) put(ctx context.Context) (outcome, err error) {
	b := c.m.block()
	if c.records == nil && c.m.entire() && c.gathered.pack.Whole() {
		b.Offsets = c.m.offsets
		return c.gathered.pack.Write(ctx, b, c.gathered.bad), nil
	}
	if err := c.restore(ctx); err != nil {
		return nil, err
	}
	if b.Records = c.records; !c.m.entire() {
		b.Records = make([]stream.Record, len(c.m.segment))
		for i, at := range c.m.segment {
			b.Records[i] = c.records[at]
		}
	}
	return c.h.Store.Write(ctx, b), nil
}

// noticeBurned reports that the attempt has changed.
func (c *claim) noticeBurned(ctx context.Context, attempt int32) error {
	if c.m.intent.Attempt == attempt {
		return nil
	}
	c.h.metrics.burned.WithLabelValues(c.m.of.Topic).Inc()
	c.h.Log.WarnContext(ctx, "the name of a block is used up by a write that left nothing; taking another", "range", c.m.span().String(), "attempt", c.m.intent.Attempt)
	return c.h.Failpoints.Hit(failpoint.LakeRecoverBurned)
}

// mostSaid is how many of the records that are given up at once have a line of the
// log each.
const mostSaid = 5

// bury publishes the dead letters that wait.
func (c *claim) bury(ctx context.Context) error {
	if err := c.pick(ctx); err != nil {
		return err
	}
	letters := make([]stream.Record, 0, len(c.m.pending))
	for i, f := range c.m.pending {
		r := c.record(f.Index)
		if i < mostSaid {
			c.h.Log.WarnContext(ctx, "a record cannot become a row", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "reason", f.Reason, "err", f.Err)
		}
		if r.Topic == schemas.TopicDeadLetters {
			continue // its dead letter would be refused too, and so for ever
		}
		letter, err := c.h.DeadLetter(r, f.Reason, f.Err)
		if err != nil {
			return fmt.Errorf("making the dead letter of offset %d: %w", r.Offset, err)
		}
		letters = append(letters, letter)
	}
	if len(letters) > 0 {
		if err := c.h.Publisher.Publish(ctx, letters...); err != nil {
			return fmt.Errorf("publishing %d dead letters: %w", len(letters), err)
		}
	}
	if n := len(c.m.pending); n > mostSaid {
		c.h.Log.WarnContext(ctx, "more records cannot become rows; `pricelake dlq ls` lists them", "topic", c.m.of.Topic, "partition", c.m.of.Number, "records", n-mostSaid)
	}
	for _, f := range c.m.pending {
		c.h.metrics.refused(c.m.of, c.m.intent.First, c.m.offsets[f.Index], f.Reason)
	}
	c.gathered.refused(c.m.pending)
	c.m.buried()
	c.picked = nil
	return c.h.Failpoints.Hit(failpoint.LakeDeadLetter)
}

// record is one of the range in hand, by its index; of a gathered one it must be at
// hand.
func (c *claim) record(index int) *stream.Record {
	if c.records != nil {
		return &c.records[index]
	}
	if r := c.gathered.record(c.m.of, index); r != nil {
		return r
	}
	return c.picked[index]
}

// quarantine is the error of a partition that a person has to look at.
func (c *claim) quarantine(first, last int64, reason string) error {
	return &stream.QuarantineError{
		TopicPartition: stream.TopicPartition{Topic: c.m.of.Topic, Partition: c.m.of.Number},
		First:          first, Last: last, Reason: reason,
	}
}
