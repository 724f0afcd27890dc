package dedupe

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// Sizes of one partition's store. It takes at most two memtables and what its
// open tables need; blocks and filters of all partitions share the one cache of
// the process.
const (
	memtableBytes = 4 << 20
	tableBytes    = 8 << 20
	blockBytes    = 8 << 10
	bloomBits     = 10 // 1 % false positives: one look-up of a new id in a hundred reads a block
	maxOpenFiles  = 256
)

// checkpointKey is shorter than every id, so it is none.
const checkpointKey = "\x00"

// errUnusable marks a store that is no view of the output partition: damaged,
// of another topic, or of another version of this program. It is rebuilt. Any
// other error of opening is worth another try.
var errUnusable = errors.New("the store is of no use")

// change sets the entry of an id.
type change struct {
	id    schemas.ID
	entry entry
}

// state is the store of one partition: the entry of every id that the applied
// part of the output partition holds. It is used from one goroutine.
type state struct {
	db     *pebble.DB
	topic  stream.TopicID
	at     checkpoint
	recent recent
	failed error // the store cannot go on; nothing it says counts any more

	missing []int // of lookup, kept for its memory
}

// openState opens or creates the store in dir for the output topic's id.
func openState(dir string, topic stream.TopicID, cache *pebble.Cache, fs vfs.FS, logger *slog.Logger) (*state, error) {
	s := &state{topic: topic}
	options := storeOptions(cache, fs, logger)
	// A store whose first file is gone would else be begun anew around what is
	// left of it, checkpoint and all.
	if left, err := fs.List(dir); err == nil {
		options.ErrorIfNotExists = len(left) > 0
	}
	err := s.guard(func() (err error) {
		s.db, err = pebble.Open(dir, options)
		return openError(err)
	})
	if err != nil {
		return nil, err
	}
	if err := s.guard(s.readCheckpoint); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func storeOptions(cache *pebble.Cache, fs vfs.FS, logger *slog.Logger) *pebble.Options {
	o := &pebble.Options{
		Cache:              cache,
		FS:                 fs,
		FormatMajorVersion: pebble.FormatNewest,
		Logger:             storeLog{logger},
		MaxOpenFiles:       maxOpenFiles,
		MemTableSize:       memtableBytes,
		// Ids without a time (trades) lie all over the first part of the key
		// space, and every compaction from the top rewrites that: fewer of them.
		L0CompactionThreshold: 8,
		L0StopWritesThreshold: 24,
		// One compaction at a time: the store must not take the processor
		// from the stages.
		CompactionConcurrencyRange: func() (int, int) { return 1, 1 },
	}
	for i := range o.Levels {
		o.Levels[i].BlockSize = blockBytes
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
		// Keys and values are mostly hash: there is nothing to compress.
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	}
	for i := range o.TargetFileSizes {
		o.TargetFileSizes[i] = tableBytes
	}
	return o
}

func (s *state) readCheckpoint() error {
	v, closer, err := s.db.Get([]byte(checkpointKey))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the checkpoint: %w", openError(err))
	}
	at, topic, ok := decodeCheckpoint(v)
	if err := closer.Close(); err != nil {
		return fmt.Errorf("reading the checkpoint: %w", err)
	}
	if !ok || topic != s.topic {
		return fmt.Errorf("%w: its checkpoint is of another topic or another version of this program", errUnusable)
	}
	s.at = at
	return nil
}

// lookup fills entries and found for ids without repetitions. All three have
// the same length, found is false throughout.
func (s *state) lookup(ids []schemas.ID, entries []entry, found []bool) error {
	return s.guard(func() error {
		s.missing = s.missing[:0]
		for i := range ids {
			if entries[i], found[i] = s.recent.get(&ids[i]); !found[i] {
				s.missing = append(s.missing, i)
			}
		}
		// Neighbours in the store are read one after the other.
		slices.SortFunc(s.missing, func(a, b int) int { return bytes.Compare(ids[a][:], ids[b][:]) })
		for _, i := range s.missing {
			if err := s.get(&ids[i], &entries[i], &found[i]); err != nil {
				return fmt.Errorf("looking up event %s: %w", ids[i], err)
			}
		}
		return nil
	})
}

func (s *state) get(id *schemas.ID, e *entry, found *bool) error {
	v, closer, err := s.db.Get(id[:])
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if *e, *found = decodeEntry(v); !*found {
		err = fmt.Errorf("its %d bytes cannot be read", len(v))
	} else {
		s.recent.put(id, *e)
	}
	return errors.Join(err, closer.Close())
}

// apply sets entries and moves the checkpoint: both or neither, also on disk.
// What is not synced when the process is killed is read from the log again.
func (s *state) apply(changes []change, at checkpoint, sync bool) error {
	return s.guard(func() (err error) {
		b := s.db.NewBatchWithSize(64 + 48*len(changes))
		defer func() { err = errors.Join(err, b.Close()) }()
		var buf [maxEntryBytes]byte
		for i := range changes {
			if err := b.Set(changes[i].id[:], changes[i].entry.append(buf[:0]), nil); err != nil {
				return fmt.Errorf("remembering event %s: %w", changes[i].id, err)
			}
		}
		if err := s.commit(b, at, sync); err != nil {
			return fmt.Errorf("remembering %d events: %w", len(changes), err)
		}
		for i := range changes {
			s.recent.put(&changes[i].id, changes[i].entry)
		}
		return nil
	})
}

// merge sets those entries whose revision is above what is known of their id. The
// checkpoint stays.
func (s *state) merge(changes []change) error {
	ids := make([]schemas.ID, 0, len(changes))
	highest := make(map[schemas.ID]entry, len(changes))
	for i := range changes {
		id := changes[i].id
		e, seen := highest[id]
		if !seen {
			ids = append(ids, id)
		}
		if !seen || changes[i].entry.revision > e.revision {
			highest[id] = changes[i].entry
		}
	}
	known, found := make([]entry, len(ids)), make([]bool, len(ids))
	if err := s.lookup(ids, known, found); err != nil {
		return err
	}
	higher := changes[:0]
	for i, id := range ids {
		if e := highest[id]; !found[i] || e.revision > known[i].revision {
			higher = append(higher, change{id, e})
		}
	}
	return s.apply(higher, s.at, false)
}

func (s *state) commit(b *pebble.Batch, at checkpoint, sync bool) error {
	if err := b.Set([]byte(checkpointKey), at.append(nil, s.topic), nil); err != nil {
		return fmt.Errorf("moving the checkpoint to %d: %w", at.next, err)
	}
	if err := b.Commit(&pebble.WriteOptions{Sync: sync}); err != nil {
		return err
	}
	s.at = at
	return nil
}

// recede takes back what was applied of offsets from end on: the log has lost
// them (a broker's disk came back without its last writes), so they will be
// published anew. It returns the number of entries changed.
func (s *state) recede(end int64) (changed int, err error) {
	err = s.guard(func() (err error) {
		it, err := s.db.NewIter(nil)
		if err != nil {
			return fmt.Errorf("reading the store: %w", err)
		}
		b := s.db.NewBatch()
		defer func() { err = errors.Join(err, b.Close()) }()
		for it.First(); it.Valid(); it.Next() {
			e, ok := decodeEntry(it.Value())
			if string(it.Key()) == checkpointKey || (ok && e.offset < end) {
				continue
			}
			changed++
			if err := unlearn(b, it.Key(), e); err != nil {
				return errors.Join(err, it.Close())
			}
		}
		if err := it.Close(); err != nil {
			return fmt.Errorf("reading the store: %w", err)
		}
		s.recent = recent{}
		return s.commit(b, checkpoint{next: end}, true)
	})
	return changed, err
}

// unlearn takes the highest revision of an id back. What the one before said
// is not remembered, so the next price of the id passes, whatever it says.
func unlearn(b *pebble.Batch, id []byte, e entry) error {
	if e.revision == 0 {
		return b.Delete(id, nil)
	}
	before := entry{revision: e.revision - 1, values: unknownValues}
	return b.Set(id, before.append(nil), nil)
}

// bytes returns what the store takes on disk. It may be called in parallel.
func (s *state) bytes() uint64 { return s.db.Metrics().DiskSpaceUsage() }

func (s *state) close() error {
	s.failed = nil
	if err := s.guard(s.db.Close); err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	return nil
}
