package dedupe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/processors"
	"github.com/pricelake/pricelake/schemas"
)

// replayRecords is how many records of the log are applied at a time.
const replayRecords = 4096

// openState opens the store in dir. One that is of no use is moved aside, for
// whoever wants to know why, and a new one is begun.
func (d *Deduplicator) openState(dir string, id stream.TopicID, log *slog.Logger) (*state, error) {
	s, err := openState(dir, id, d.cache, d.fs, log)
	if !errors.Is(err, errUnusable) {
		return s, err
	}
	aside := dir + ".unusable"
	if err := errors.Join(d.fs.RemoveAll(aside), d.fs.Rename(dir, aside)); err != nil {
		return nil, fmt.Errorf("moving a store of no use aside: %w", err)
	}
	d.metrics.discarded.Inc()
	log.Error("state was of no use and is rebuilt from what the topic still holds", "dir", dir, "moved_to", aside, "err", err)
	return openState(dir, id, d.cache, d.fs, log)
}

// catchUp makes the state say what the log of the output partition says.
func (d *Deduplicator) catchUp(ctx context.Context, s *state, out stream.TopicPartition, log *slog.Logger) error {
	first, end, err := d.config.Log.Bounds(ctx, out)
	if err != nil {
		return err
	}
	if end < s.at.next {
		changed, err := s.recede(end)
		if err != nil {
			return err
		}
		d.metrics.receded.Add(float64(changed))
		log.Error("the topic ends before what the state has seen of it: its last records are lost and will be published again",
			"end", end, "seen", s.at.next, "events", changed)
	}
	if gap := missing(s.at, first); gap > 0 {
		d.metrics.gap.Add(float64(gap))
		log.Error("retention removed records that the state has not seen: events in them may pass a second time",
			"first_unseen", s.at.next, "first_retained", first, "offsets", gap)
	}
	return d.replay(ctx, s, out, log)
}

// missing returns how many offsets below first, the first retained one, may
// have held a record that is not applied.
func missing(at checkpoint, first int64) int64 {
	next := at.next
	if at.marker {
		next++
	}
	return max(0, first-next)
}

// replay applies the log from the checkpoint on. The log waits for the end of
// transactions that a predecessor left open, so nothing can turn up later below
// the offset it ends at (I6).
func (d *Deduplicator) replay(ctx context.Context, s *state, out stream.TopicPartition, log *slog.Logger) error {
	var price schemas.Price
	from, changes := s.at.next, make([]change, 0, replayRecords)
	next, err := d.config.Log.ReadCommitted(ctx, out, from, func(r stream.Record) error {
		price = schemas.Price{}
		err := d.config.Decoder.Decode(ctx, r.Value, &price)
		if _, final := processors.Rejected(err); final {
			d.metrics.gap.Inc()
			log.Error("a record cannot be read: its event may pass a second time", "offset", r.Offset, "err", err)
			return nil
		}
		if err != nil {
			return fmt.Errorf("decoding %s[%d]@%d: %w", r.Topic, r.Partition, r.Offset, err)
		}
		changes = append(changes, change{price.EventID, entry{
			revision:  price.Revision,
			withdrawn: price.Withdrawn,
			values:    hashValues(&price),
			offset:    r.Offset,
		}})
		d.metrics.replayed.Inc()
		if len(changes) < replayRecords {
			return nil
		}
		err = s.apply(changes, checkpoint{next: r.Offset + 1}, false)
		changes = changes[:0]
		return err
	})
	if err != nil {
		return err
	}
	if next <= s.at.next && len(changes) == 0 {
		return nil
	}
	if err := s.apply(changes, checkpoint{next: next}, true); err != nil {
		return err
	}
	log.Info("state is up to date", "from", from, "next", next)
	return nil
}
