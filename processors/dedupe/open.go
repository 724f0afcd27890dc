package dedupe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/processors"
	"github.com/pricelake/pricelake/schemas"
)

// replayRecords is how many records of the log are applied at a time.
const replayRecords = 4096

// unusable is added to the name of a store that was moved aside.
const unusable = ".unusable"

// ErrRecreated means that prices.v1 was deleted and created again. What the state
// says was said in the old topic, and whoever reads the new one has not heard it:
// somebody must decide.
var ErrRecreated = errors.New("the topic was deleted and created again")

// checkPredecessor refuses a partition of which there is a state of another topic
// with the same name.
func (d *Deduplicator) checkPredecessor(out stream.TopicPartition, id stream.TopicID) error {
	names, err := d.fs.List(d.config.Dir)
	if err != nil {
		return nil // nothing was ever kept here
	}
	prefix, mine := storePrefix(out), d.fs.PathBase(d.storeDir(out, id))
	for _, name := range names {
		if strings.HasPrefix(name, prefix) && name != mine && !strings.HasSuffix(name, unusable) {
			return fmt.Errorf("%w: the state in %q is of %s with id %s, and the topic's id is now %s. Nothing of partition %d is deduplicated until you decide: move that directory away to begin anew",
				ErrRecreated, d.fs.PathJoin(d.config.Dir, name), out.Topic, strings.TrimPrefix(name, prefix), schemas.ID(id), out.Partition)
		}
	}
	return nil
}

// openState opens the store in dir. One that is of no use is moved aside, for
// whoever wants to know why, and a new one is begun.
func (d *Deduplicator) openState(dir string, id stream.TopicID, log *slog.Logger) (*state, error) {
	s, err := openState(dir, id, d.memory, d.fs, log)
	if !errors.Is(err, errUnusable) {
		return s, err
	}
	aside := dir + unusable
	if err := errors.Join(d.fs.RemoveAll(aside), d.fs.Rename(dir, aside)); err != nil {
		return nil, fmt.Errorf("moving a store of no use aside: %w", err)
	}
	d.metrics.discarded.Inc()
	log.Error("state was of no use and is rebuilt from the lake and the topic", "dir", dir, "moved_to", aside, "err", err)
	return openState(dir, id, d.memory, d.fs, log)
}

// catchUp makes a state say what its output partition says.
type catchUp struct {
	d     *Deduplicator
	state *state
	out   stream.TopicPartition
	log   *slog.Logger
	told  bool // of earlier topics
}

func (c *catchUp) run(ctx context.Context) error {
	first, end, err := c.bounds(ctx)
	if err != nil {
		return err
	}
	if end < c.state.at.next {
		if err := c.recede(end); err != nil {
			return err
		}
	}
	lacking := c.state.at.unseen()
	if first <= lacking && c.state.at == (checkpoint{}) {
		c.askAhead(ctx)
	}
	for {
		if first > lacking {
			if err := c.restore(ctx, lacking, first); err != nil {
				return err
			}
		}
		lacking = c.state.at.unseen()
		if err := c.replay(ctx, c.state.at.next); err != nil {
			return err
		}
		// Retention may have passed by what was about to be read.
		if first, _, err = c.bounds(ctx); err != nil || first <= lacking {
			return err
		}
	}
}

func (c *catchUp) bounds(ctx context.Context) (first, end int64, err error) {
	return c.d.config.Log.Bounds(ctx, c.out)
}

func (c *catchUp) recede(end int64) error {
	seen := c.state.at.next
	changed, err := c.state.recede(end)
	if err != nil {
		return err
	}
	c.d.metrics.receded.Add(float64(changed))
	c.log.Error("the topic ends before what the state has seen of it: its last records are lost and will be published again",
		"end", end, "seen", seen, "events", changed)
	return nil
}

// replay applies the log from an offset on. The log waits for the end of
// transactions that a predecessor left open, so nothing can turn up later below
// the offset it ends at (I6).
func (c *catchUp) replay(ctx context.Context, from int64) error {
	var price schemas.Price
	d, s := c.d, c.state
	changes := make([]change, 0, replayRecords)
	started := false
	next, err := d.config.Log.ReadCommitted(ctx, c.out, from, func(r stream.Record) error {
		if !started {
			started = true
			if err := d.config.Failpoints.Hit(failpoint.DedupeTail); err != nil {
				return err
			}
		}
		known, err := c.decode(ctx, &r, &price)
		if err != nil || known == nil {
			return err
		}
		changes = append(changes, *known)
		d.metrics.replayed.Inc()
		if len(changes) < replayRecords {
			return nil
		}
		err = s.apply(changes, checkpoint{next: r.Offset + 1}, false)
		changes = changes[:0]
		return err
	})
	if err == nil {
		err = d.config.Failpoints.Hit(failpoint.DedupeStable)
	}
	if err != nil {
		return err
	}
	if next <= s.at.next && len(changes) == 0 {
		return nil
	}
	if err := s.apply(changes, checkpoint{next: next}, true); err != nil {
		return err
	}
	c.log.Info("state is up to date", "from", from, "next", next)
	return nil
}

// decode returns what a record of the log says, or nothing when it can never be
// read.
func (c *catchUp) decode(ctx context.Context, r *stream.Record, price *schemas.Price) (*change, error) {
	*price = schemas.Price{}
	err := c.d.config.Decoder.Decode(ctx, r.Value, price)
	if _, final := processors.Rejected(err); final {
		c.d.metrics.gap.Inc()
		c.log.Error("a record cannot be read: its event may pass a second time", "offset", r.Offset, "err", err)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("decoding %s[%d]@%d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	return &change{price.EventID, entryOf(price, r.Offset)}, nil
}

func entryOf(p *schemas.Price, offset int64) entry {
	return entry{revision: p.Revision, withdrawn: p.Withdrawn, values: hashValues(p), offset: offset}
}
