package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kerr"
)

// firstRecord is the first committed record at or after an offset: what a group
// whose position that is has to process next. Transaction markers, aborted
// records and the holes of compaction are none.
type firstRecord struct {
	from      int64 // where the search began
	next      int64 // no record is in [from, next)
	found     bool  // the record at next is the one
	timestamp time.Time
}

const (
	// A record's timestamp is all that is wanted, so a search asks for one byte:
	// brokers return the one batch it is in. Where there was no record in it,
	// the search goes on in larger steps, and in the next look if need be.
	seekBytes     = 1
	seekMoreBytes = 1 << 20
	seekSteps     = 16
)

// holdsFor reports whether what is known is still the answer for position in a
// log whose last stable offset is stable.
func (r firstRecord) holdsFor(position, stable int64) bool {
	return r.found && r.from <= position && position <= r.next && r.next < stable
}

// first returns the first committed record at or after position. known is what
// it returned before: as long as the group does not move past it, and as long as
// nothing is appended behind a group that has read everything, nothing is read.
// So it reads at most as much as the group itself does.
func (w *lagWatch) first(ctx context.Context, tp stream.TopicPartition, known firstRecord, position, stable int64) (firstRecord, error) {
	if known.holdsFor(position, stable) {
		return known, nil
	}
	r := firstRecord{from: position, next: position}
	if !known.found && known.from <= position && position <= known.next && known.next <= stable {
		r.next = known.next // go on where the last search ended
	}
	if r.next >= stable {
		return r, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lagRecordTimeout)
	defer cancel()
	f := w.reader(tp)
	f.maxBytes = seekBytes
	for range seekSteps {
		out, err := f.fetch(ctx, r.next, 0)
		if errors.Is(err, kerr.OffsetOutOfRange) {
			return firstRecord{from: position, next: position}, nil // retention was faster: the next look knows where the log begins
		}
		if err != nil {
			return r, err
		}
		if len(out.records) > 0 {
			r.next, r.found, r.timestamp = out.records[0].Offset, true, out.records[0].Timestamp
			return r, nil
		}
		if out.empty || out.next <= r.next {
			r.next = stable // a hole up to the end
		} else {
			r.next = out.next
		}
		if r.next >= stable {
			return r, nil
		}
		f.maxBytes = seekMoreBytes
	}
	return r, nil
}

// reader returns the partition's fetcher, made at first use.
func (w *lagWatch) reader(tp stream.TopicPartition) *fetcher {
	f := w.readers[tp]
	if f == nil {
		f = newFetcher(w.client, tp)
		w.readers[tp] = f
	}
	return f
}

// openTransaction is the oldest open transaction of a partition.
type openTransaction struct {
	stable int64     // where it begins
	since  time.Time // timestamp of its first record; zero: not looked for
}

// openTransactions finds how long transactions have been open: committed records
// behind one cannot be read before it ends. Only one that was open at the look
// before is worth reading, all others are ordinary work.
func (w *lagWatch) openTransactions(ctx context.Context, view *lagView, all map[stream.TopicPartition]bounds) error {
	var errs []error
	for tp, b := range all {
		was, open := w.open[tp], b.stable < b.end
		switch {
		case !open:
			delete(w.open, tp)
		case was.stable != b.stable || was == (openTransaction{}):
			w.open[tp] = openTransaction{stable: b.stable}
		case was.since.IsZero():
			since, err := w.undecided(ctx, tp, b.stable)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			w.open[tp] = openTransaction{stable: b.stable, since: since}
		}
		view.open = append(view.open, openAt{tp, w.open[tp].since})
	}
	return errors.Join(errs...)
}

// undecided returns the timestamp of the record at the last stable offset, zero
// when it has been decided since.
func (w *lagWatch) undecided(ctx context.Context, tp stream.TopicPartition, stable int64) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, lagRecordTimeout)
	defer cancel()
	f := newFetcher(w.client, tp)
	f.maxBytes, f.uncommitted = seekBytes, true
	out, err := f.fetch(ctx, stable, 0)
	if errors.Is(err, kerr.OffsetOutOfRange) || err == nil && len(out.records) == 0 {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	return out.records[0].Timestamp, nil
}
