//go:build !noembed && unix

package embed

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The broker commits a transaction by writing a marker into one partition after
// the other, then the offsets, then a line that says it is done. A process
// killed in between leaves the transaction committed in some partitions and
// aborted in others. So the sizes of all files are noted before each commit, and
// a start that finds a commit begun and not done takes the files back to them:
// the transaction is then aborted everywhere. The client had no answer yet.

// undoName is the file of the note. It is there while the broker runs, so a
// start that finds it follows a crash.
const undoName = "undo"

// undoNote is the state of the files before a commit.
type undoNote struct {
	Producer int64           `json:"producer"`
	Epoch    int16           `json:"epoch"`
	PIDs     int64           `json:"pids"`   // size of pids.log, which gets the last line of a commit
	Groups   int64           `json:"groups"` // size of groups.log, which gets the offsets
	Tails    map[string]tail `json:"tails"`  // of the partitions, by folder
}

// tail is the end of a partition: its last segment and how far that is written.
type tail struct {
	Segment int64 `json:"segment"` // the base offset, which names the files
	Data    int64 `json:"data"`
}

func (t tail) dataFile(folder string) string  { return segmentFile(folder, t.Segment, ".dat") }
func (t tail) indexFile(folder string) string { return segmentFile(folder, t.Segment, ".idx") }

func segmentFile(folder string, base int64, ending string) string {
	return filepath.Join(folder, strconv.FormatInt(base, 10)+ending)
}

// undo writes the note of each commit. It is used by the broker's one loop only.
type undo struct {
	dir     string
	file    *os.File
	folders map[string]*folder
}

// folder remembers the last segment of a partition as long as its directory
// does not change, to spare the listing.
type folder struct {
	changed time.Time
	segment int64
	empty   bool
}

// openUndo begins a run: the note is empty until the first commit.
func openUndo(dir string) (*undo, error) {
	f, err := os.OpenFile(filepath.Join(dir, undoName), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("preparing the broker for a crash: %w", err)
	}
	return &undo{dir: dir, file: f, folders: map[string]*folder{}}, nil
}

// before notes the state of the files when the request is a commit. The broker
// calls it in its loop, right before it acts on the request.
func (u *undo) before(req kmsg.Request) error {
	end, ok := req.(*kmsg.EndTxnRequest)
	if !ok || !end.Commit {
		return nil
	}
	note := undoNote{Producer: end.ProducerID, Epoch: end.ProducerEpoch, Tails: map[string]tail{}}
	var err error
	if note.PIDs, err = sizeOf(filepath.Join(u.dir, pidsFile)); err != nil {
		return err
	}
	if note.Groups, err = sizeOf(filepath.Join(u.dir, "groups.log")); err != nil {
		return err
	}
	names, err := partitionFolders(u.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		t, ok, err := u.tailOf(name)
		if err != nil {
			return err
		}
		if ok {
			note.Tails[name] = t
		}
	}
	return u.write(note)
}

func (u *undo) tailOf(name string) (t tail, ok bool, err error) {
	path := filepath.Join(u.dir, "partitions", name)
	info, err := os.Stat(path)
	if err != nil {
		return t, false, err
	}
	f := u.folders[name]
	if f == nil || !f.changed.Equal(info.ModTime()) {
		base, found, err := lastSegment(path)
		if err != nil {
			return t, false, err
		}
		f = &folder{changed: info.ModTime(), segment: base, empty: !found}
		u.folders[name] = f
	}
	if f.empty {
		return t, false, nil
	}
	t.Segment = f.segment
	t.Data, err = sizeOf(t.dataFile(path))
	return t, true, err
}

// write replaces the note in one call, so that a kill leaves the old or the
// new; a checksum tells anything else.
func (u *undo) write(note undoNote) error {
	data, err := json.Marshal(note)
	if err != nil {
		return err
	}
	out := make([]byte, 8, 8+len(data))
	binary.LittleEndian.PutUint32(out, uint32(len(data)))
	binary.LittleEndian.PutUint32(out[4:], crc32.ChecksumIEEE(data))
	_, err = u.file.WriteAt(append(out, data...), 0)
	return err
}

// close ends a run that needs no undoing.
func (u *undo) close() error {
	return errors.Join(u.file.Close(), os.Remove(u.file.Name()))
}

// readUndo reads the note of the run before. crashed says that this run was
// not closed; noted, that it had a commit.
func readUndo(dir string) (note undoNote, crashed, noted bool, err error) {
	data, err := os.ReadFile(filepath.Join(dir, undoName))
	if errors.Is(err, fs.ErrNotExist) {
		return note, false, false, nil
	}
	if err != nil {
		return note, false, false, err
	}
	if len(data) < 8 {
		return note, true, false, nil
	}
	length, sum, data := binary.LittleEndian.Uint32(data), binary.LittleEndian.Uint32(data[4:]), data[8:]
	if uint64(length) > uint64(len(data)) || crc32.ChecksumIEEE(data[:length]) != sum {
		return note, true, false, nil
	}
	return note, true, json.Unmarshal(data[:length], &note) == nil, nil
}

// sizeOf is the size of a file, 0 for one that is not there.
func sizeOf(path string) (int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// partitionFolders are the names of the folders of all partitions.
func partitionFolders(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, "partitions"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// lastSegment finds the highest segment in the folder of a partition.
func lastSegment(path string) (base int64, found bool, err error) {
	bases, err := segments(path)
	for _, b := range bases {
		if !found || b > base {
			base, found = b, true
		}
	}
	return base, found, err
}

func segments(path string) (bases []int64, err error) {
	entries, err := os.ReadDir(path)
	for _, e := range entries {
		name, isData := strings.CutSuffix(e.Name(), ".dat")
		if base, convErr := strconv.ParseInt(name, 10, 64); isData && convErr == nil {
			bases = append(bases, base)
		}
	}
	return bases, err
}
