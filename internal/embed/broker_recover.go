//go:build !noembed && unix

package embed

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// recoverLog puts the broker's files right after a crash, before the broker
// reads them: batches that were not written to their end go, and so does a
// commit that was begun and not done. Neither had been acknowledged.
func recoverLog(dir string, logger *slog.Logger) error {
	note, crashed, noted, err := readUndo(dir)
	if err != nil || !crashed {
		return err
	}
	names, err := partitionFolders(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := cutTail(filepath.Join(dir, "partitions", name)); err != nil {
			return err
		}
	}
	if noted {
		if err := note.takeBackTorn(dir, names, logger); err != nil {
			return err
		}
	}
	return abortOpen(dir, names, logger)
}

// takeBackTorn takes the noted commit back if it was begun and not done.
func (n undoNote) takeBackTorn(dir string, names []string, logger *slog.Logger) error {
	torn, err := n.torn(dir, names)
	if err != nil || !torn {
		return err
	}
	logger.Warn("a commit was cut off by a crash and is taken back", "producer", n.Producer, "epoch", n.Epoch)
	return n.takeBack(dir, names)
}

// indexEntryBytes is the size of the entry that the broker writes, after each
// batch, into the index beside the data. It holds whether the batch belongs to
// a transaction: a batch without its entry would count as committed.
const indexEntryBytes = 15

// cutTail ends the last segment of a partition after the last batch that has
// its entry in the index.
func cutTail(folder string) error {
	base, found, err := lastSegment(folder)
	if err != nil || !found {
		return err
	}
	t := tail{Segment: base}
	entries, err := sizeOf(t.indexFile(folder))
	if err != nil {
		return err
	}
	entries /= indexEntryBytes
	f, err := os.Open(t.dataFile(folder))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	end, batches, err := endOfBatches(f, entries)
	if err != nil {
		return fmt.Errorf("reading %q: %w", f.Name(), err)
	}
	return errors.Join(truncate(t.dataFile(folder), end), truncate(t.indexFile(folder), batches*indexEntryBytes))
}

// batchHeader is the part of a batch up to its length, the offset and the
// length itself, which counts from there.
const batchHeader = 12

// endOfBatches is where the last whole batch ends, of limit batches at most.
func endOfBatches(f *os.File, limit int64) (end, batches int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	r := bufio.NewReaderSize(f, 64<<10)
	var header [batchHeader]byte
	for batches < limit {
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return end, batches, ignoreEOF(err)
		}
		length := int64(binary.BigEndian.Uint32(header[8:]))
		if end+batchHeader+length > info.Size() {
			return end, batches, nil
		}
		if _, err := io.CopyN(io.Discard, r, length); err != nil {
			return end, batches, ignoreEOF(err)
		}
		end += batchHeader + length
		batches++
	}
	return end, batches, nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// truncate shortens a file that is longer than size.
func truncate(path string, size int64) error {
	if have, err := sizeOf(path); err != nil || have <= size {
		return err
	}
	return os.Truncate(path, size)
}

// torn reports whether the noted commit was begun and not done: its last line
// is missing, and all that was written since are markers of this transaction.
// Anything else shows that the broker went on after it.
func (n undoNote) torn(dir string, names []string) (bool, error) {
	if size, err := sizeOf(filepath.Join(dir, pidsFile)); err != nil || size != n.PIDs {
		return false, err
	}
	begun := false
	for _, name := range names {
		added, err := n.added(filepath.Join(dir, "partitions", name), name)
		if err != nil {
			return false, err
		}
		if len(added) > 0 && !n.isMarker(added) {
			return false, nil
		}
		begun = begun || len(added) > 0
	}
	return begun, nil
}

// added is what the partition got after the note, up to a bit more than a
// marker takes.
func (n undoNote) added(folder, name string) ([]byte, error) {
	base, found, err := lastSegment(folder)
	if err != nil || !found {
		return nil, err
	}
	from := int64(0)
	if t, ok := n.Tails[name]; ok && t.Segment == base {
		from = t.Data
	}
	f, err := os.Open(segmentFile(folder, base, ".dat"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.NewSectionReader(f, from, 4096))
}

// isMarker reports whether batch is one marker of the noted transaction and
// nothing more. The places are those of a record batch, version 2.
func (n undoNote) isMarker(batch []byte) bool {
	const attributes, producer, epoch, records, control = 21, 43, 51, 57, 0x20
	if len(batch) < records+4 || len(batch) != batchHeader+int(binary.BigEndian.Uint32(batch[8:])) {
		return false
	}
	return binary.BigEndian.Uint16(batch[attributes:])&control != 0 &&
		int64(binary.BigEndian.Uint64(batch[producer:])) == n.Producer &&
		int16(binary.BigEndian.Uint16(batch[epoch:])) == n.Epoch
}

// takeBack gives the files the sizes of the note.
func (n undoNote) takeBack(dir string, names []string) error {
	steps, err := n.stepsBack(dir, names)
	if err != nil {
		return err
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// stepsBack are the single changes of takeBack in their order. After a kill
// between any two of them, the next start goes on: the offsets go first, since
// only the markers tell that the commit is torn, and the index of a segment goes
// before its data, since nobody looks for an index without data.
func (n undoNote) stepsBack(dir string, names []string) ([]func() error, error) {
	steps := []func() error{func() error { return truncate(filepath.Join(dir, "groups.log"), n.Groups) }}
	for _, name := range names {
		folder := filepath.Join(dir, "partitions", name)
		t, ok := n.Tails[name]
		bases, err := segments(folder)
		if err != nil {
			return nil, err
		}
		for _, base := range bases {
			if ok && base <= t.Segment {
				continue
			}
			steps = append(steps,
				func() error { return remove(segmentFile(folder, base, ".idx")) },
				func() error { return remove(segmentFile(folder, base, ".dat")) })
		}
		if ok {
			steps = append(steps,
				func() error { return truncate(t.dataFile(folder), t.Data) },
				func() error { return cutTail(folder) }) // the index follows
		}
	}
	return steps, nil
}

// remove deletes a file that may be gone already.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
