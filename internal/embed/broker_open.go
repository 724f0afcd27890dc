//go:build !noembed && unix

package embed

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Places in a record batch, version 2, and its attributes.
const (
	batchLeaderEpoch  = 12
	batchCRC          = 17
	batchAttributes   = 21
	batchLastDelta    = 23
	batchMaxTimestamp = 35
	batchProducer     = 43
	batchEpoch        = 51
	batchRead         = batchEpoch + 2
	transactionalBit  = 0x10
	controlBit        = 0x20
)

// crashedLog is what a crash left open in a partition, and its end.
type crashedLog struct {
	folder      string
	producers   map[int64]int16 // epochs by the ids of the producers with a transaction
	segment     int64           // the last one
	next        int64           // offset
	leaderEpoch int32
	newest      int64 // time stamp, in ms
}

// abortOpen ends the transactions that were open at a crash, as a coordinator
// does: with a marker in each partition. The broker would abort them in memory
// only: after one more crash the next commit of the same producer, which has the
// same transactional id, would commit them too. Their producers are fenced
// first: one that went on would commit the rest of a transaction without its
// beginning.
func abortOpen(dir string, names []string, logger *slog.Logger) error {
	var open []crashedLog
	fenced := map[int64]int16{}
	for _, name := range names {
		l, err := readOpen(filepath.Join(dir, "partitions", name))
		if err != nil {
			return err
		}
		if len(l.producers) == 0 {
			continue
		}
		open = append(open, l)
		for id, epoch := range l.producers {
			fenced[id] = max(fenced[id], epoch)
		}
	}
	if err := fence(filepath.Join(dir, pidsFile), fenced); err != nil {
		return fmt.Errorf("fencing the producers of open transactions: %w", err)
	}
	for _, l := range open {
		if err := l.abort(); err != nil {
			return fmt.Errorf("aborting the open transactions in %q: %w", l.folder, err)
		}
		logger.Warn("a crash left transactions open; they are aborted", "partition", filepath.Base(l.folder), "transactions", len(l.producers))
	}
	return nil
}

// readOpen reads the headers of all batches of a partition, in order.
func readOpen(folder string) (crashedLog, error) {
	l := crashedLog{folder: folder, producers: map[int64]int16{}}
	bases, err := segments(folder)
	if err != nil {
		return l, err
	}
	slices.Sort(bases)
	for _, base := range bases {
		l.segment = base
		if err := l.readSegment(); err != nil {
			return l, fmt.Errorf("reading %q: %w", segmentFile(folder, base, ".dat"), err)
		}
	}
	return l, nil
}

func (l *crashedLog) readSegment() error {
	f, err := os.Open(segmentFile(l.folder, l.segment, ".dat"))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	r := bufio.NewReaderSize(f, 64<<10)
	var header [batchRead]byte
	for position := int64(0); ; {
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return ignoreEOF(err)
		}
		length := batchHeader + int64(binary.BigEndian.Uint32(header[8:]))
		if length < batchRead {
			return fmt.Errorf("a batch of %d bytes at %d", length, position)
		}
		if _, err := io.CopyN(io.Discard, r, length-batchRead); err != nil {
			return ignoreEOF(err)
		}
		l.note(header[:])
		position += length
	}
}

// note takes a batch's header into account.
func (l *crashedLog) note(header []byte) {
	l.next = int64(binary.BigEndian.Uint64(header)) + int64(binary.BigEndian.Uint32(header[batchLastDelta:])) + 1
	l.leaderEpoch = int32(binary.BigEndian.Uint32(header[batchLeaderEpoch:]))
	l.newest = max(l.newest, int64(binary.BigEndian.Uint64(header[batchMaxTimestamp:])))
	producer := int64(binary.BigEndian.Uint64(header[batchProducer:]))
	switch attributes := binary.BigEndian.Uint16(header[batchAttributes:]); {
	case attributes&controlBit != 0:
		delete(l.producers, producer)
	case attributes&transactionalBit != 0:
		l.producers[producer] = int16(binary.BigEndian.Uint16(header[batchEpoch:]))
	}
}

// abort writes the markers to the end of the last segment. A batch counts when it
// has its entry in the index, so data come first: what a kill leaves without an
// entry is cut off at the next start.
func (l *crashedLog) abort() error {
	var data, index []byte
	at := max(l.newest, time.Now().UnixMilli())
	for _, id := range slices.Sorted(maps.Keys(l.producers)) {
		data = append(data, abortMarker(l.next, id, l.producers[id], l.leaderEpoch, at)...)
		index = append(index, indexEntry(l.leaderEpoch, at)...)
		l.next++
	}
	return errors.Join(
		appendFile(segmentFile(l.folder, l.segment, ".dat"), data),
		appendFile(segmentFile(l.folder, l.segment, ".idx"), index))
}

// abortMarker is the control batch that ends a transaction (KIP-98).
func abortMarker(offset, producer int64, epoch int16, leaderEpoch int32, at int64) []byte {
	key := kmsg.ControlRecordKey{Type: kmsg.ControlRecordKeyTypeAbort}
	var end kmsg.EndTxnMarker
	record := kmsg.Record{Key: key.AppendTo(nil), Value: end.AppendTo(nil)}
	record.Length = int32(len(record.AppendTo(nil)) - 1) // its own length is a varint of one byte
	b := kmsg.RecordBatch{
		FirstOffset: offset, PartitionLeaderEpoch: leaderEpoch, Magic: 2, Attributes: transactionalBit | controlBit,
		FirstTimestamp: at, MaxTimestamp: at, ProducerID: producer, ProducerEpoch: epoch, FirstSequence: -1,
		NumRecords: 1, Records: record.AppendTo(nil),
	}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-batchHeader))
	binary.BigEndian.PutUint32(raw[batchCRC:], crc32.Checksum(raw[batchAttributes:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// indexEntry is what the broker writes beside each batch: a version, a check sum
// of what follows, the leader's epoch, the newest time stamp so far, and whether
// the batch waits for a marker.
func indexEntry(leaderEpoch int32, newest int64) []byte {
	e := make([]byte, indexEntryBytes)
	e[0] = snapshotVersion
	binary.LittleEndian.PutUint32(e[2:], uint32(leaderEpoch))
	binary.LittleEndian.PutUint64(e[6:], uint64(newest))
	e[1] = byte(crc32.Checksum(e[2:], crc32.MakeTable(crc32.Castagnoli)))
	return e
}

func appendFile(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
