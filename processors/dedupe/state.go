package dedupe

import (
	"bytes"
	"cmp"
	"encoding/binary"
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
	bloomBits     = 10 // 1 % false positives: of what is looked for in vain, one id in a hundred reads a block
	maxOpenFiles  = 256
)

// An id that was looked for in vain pays for reading so many into the filter of
// a store that was there before, a few thousand at a time: what is rarely asked
// for a new id does not read itself whole.
const (
	learnPerMiss = 4
	learnAtOnce  = 1 << 12
)

// checkpointKey is shorter than every id, so it is none.
const checkpointKey = "\x00"

// errUnusable marks a store that is no view of the output partition: damaged,
// of another topic, or of another version of this program. It is rebuilt. Any
// other error of opening is worth another try.
var errUnusable = errors.New("the store is of no use")

// memory is what the stores of a process share.
type memory struct {
	cache *pebble.Cache // blocks, filters of tables, memtables
	seen  *allowance
}

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
	seen   seen
	failed error // the store cannot go on; nothing it says counts any more

	// Kept for their memory: missing of lookup, order of apply.
	missing []int
	order   []ordered
}

// openState opens or creates the store in dir for the output topic's id.
func openState(dir string, topic stream.TopicID, m memory, fs vfs.FS, logger *slog.Logger) (*state, error) {
	s := &state{topic: topic, seen: seen{memory: m.seen}}
	options := storeOptions(m.cache, fs, logger)
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
	if err := s.guard(func() error { return s.learn(1) }); err != nil { // all there is to learn of an empty store
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
		// space, and every compaction from the top rewrites that: fewer of them,
		// and in tables without the ids of a time, which move down as they are.
		L0CompactionThreshold: 16,
		L0StopWritesThreshold: 48,
		FlushSplitBytes:       1 << 20,
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
			if entries[i], found[i] = s.recent.get(&ids[i]); !found[i] && !s.seen.absent(&ids[i]) {
				s.missing = append(s.missing, i)
			}
		}
		if err := s.find(ids, entries, found); err != nil {
			return err
		}
		if s.seen.credit < learnAtOnce || s.seen.whole || s.seen.full {
			return nil
		}
		credit := s.seen.credit
		s.seen.credit = 0
		return s.learn(credit)
	})
}

// learn reads up to n more ids of the store into the filter. It is whole when
// there are no more.
func (s *state) learn(n int) (err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: s.seen.next})
	if err != nil {
		return fmt.Errorf("reading the ids of the store: %w", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	ok := it.First()
	for ; ok && n > 0; ok = it.Next() {
		if id := it.Key(); len(id) == len(schemas.ID{}) {
			s.seen.add((*schemas.ID)(id))
			n--
		}
	}
	if ok {
		s.seen.next = bytes.Clone(it.Key())
		return nil
	}
	if err := it.Error(); err != nil {
		return fmt.Errorf("reading the ids of the store: %w", err)
	}
	s.seen.whole, s.seen.next = !s.seen.full, nil
	return nil
}

// find looks for the missing ids in their order: neighbours in the store are in
// one block, which one iterator keeps at hand.
func (s *state) find(ids []schemas.ID, entries []entry, found []bool) (err error) {
	if len(s.missing) == 0 {
		return nil
	}
	slices.SortFunc(s.missing, func(a, b int) int { return bytes.Compare(ids[a][:], ids[b][:]) })
	it, err := s.db.NewIter(nil)
	if err != nil {
		return fmt.Errorf("looking up %d events: %w", len(s.missing), err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for _, i := range s.missing {
		if !it.SeekPrefixGE(ids[i][:]) { // the prefix of a key is all of it
			if err := it.Error(); err != nil {
				return fmt.Errorf("looking up event %s: %w", ids[i], err)
			}
			s.seen.credit += learnPerMiss
			continue
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("looking up event %s: %w", ids[i], err)
		}
		if entries[i], found[i] = decodeEntry(v); !found[i] {
			return fmt.Errorf("looking up event %s: its %d bytes cannot be read", ids[i], len(v))
		}
		s.recent.put(&ids[i], entries[i])
	}
	return nil
}

// apply sets entries and moves the checkpoint: both or neither, also on disk.
// What is not synced when the process is killed is read from the log again.
func (s *state) apply(changes []change, at checkpoint, sync bool) error {
	return s.guard(func() (err error) {
		b := s.db.NewBatchWithSize(64 + 48*len(changes))
		defer func() { err = errors.Join(err, b.Close()) }()
		var buf [maxEntryBytes]byte
		for _, o := range s.inOrder(changes) {
			c := &changes[o.index]
			if err := b.Set(c.id[:], c.entry.append(buf[:0]), nil); err != nil {
				return fmt.Errorf("remembering event %s: %w", c.id, err)
			}
			s.seen.add(&c.id)
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

// ordered is where a change is, with the first half of its id.
type ordered struct {
	prefix uint64
	index  int
}

// inOrder returns changes in the order of their ids, nearly: the store takes
// neighbours without a search. Changes of one id keep their order.
func (s *state) inOrder(changes []change) []ordered {
	s.order = s.order[:0]
	for i := range changes {
		s.order = append(s.order, ordered{binary.BigEndian.Uint64(changes[i].id[:]), i})
	}
	slices.SortFunc(s.order, func(a, b ordered) int {
		if c := cmp.Compare(a.prefix, b.prefix); c != 0 {
			return c
		}
		return a.index - b.index
	})
	return s.order
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
	s.seen.release()
	if err := s.guard(s.db.Close); err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	return nil
}
