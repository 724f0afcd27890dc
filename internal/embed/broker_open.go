//go:build !noembed && unix

package embed

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
)

// Places in a record batch, version 2, and its attributes.
const (
	batchAttributes  = 21
	batchProducer    = 43
	batchRead        = batchProducer + 8
	transactionalBit = 0x10
	controlBit       = 0x20
)

// batchAt is a batch of a partition and where its bytes begin.
type batchAt struct {
	segment  int64 // the first offset of its file
	position int64
	producer int64
	open     bool // of a transaction; control batches are not
	control  bool
}

// dropOpen cuts the transactions that were open at a crash off the end of a
// partition. The broker would abort them in memory only, without a marker: after
// one more crash the next commit of the same producer, which has the same
// transactional id, would commit them too. Nobody has seen their records: readers
// of committed records stop at the first of them.
//
// Where other producers wrote behind them (dead letters only) nothing can be cut
// and a warning is left; a dead letter that comes twice has the same id.
func dropOpen(folder string, logger *slog.Logger) error {
	batches, err := readBatches(folder)
	if err != nil {
		return err
	}
	cut, mixed := openTail(batches)
	if cut < 0 {
		return nil
	}
	if mixed {
		logger.Warn("a transaction that a crash left open stays in the log: others wrote behind it", "partition", filepath.Base(folder))
		return nil
	}
	at := batches[cut]
	bases, err := segments(folder)
	if err != nil {
		return err
	}
	slices.Sort(bases)
	slices.Reverse(bases) // from the end: a kill in between leaves a shorter tail to cut
	for _, base := range bases {
		if base <= at.segment {
			break
		}
		if err := errors.Join(remove(segmentFile(folder, base, ".idx")), remove(segmentFile(folder, base, ".dat"))); err != nil {
			return err
		}
	}
	logger.Warn("a transaction that a crash left open is dropped", "partition", filepath.Base(folder), "batches", len(batches)-cut)
	return errors.Join(truncate(segmentFile(folder, at.segment, ".dat"), at.position), cutTail(folder))
}

// openTail returns the index of the first batch of a transaction without an end,
// -1 when there is none, and whether anything else stands behind it.
func openTail(batches []batchAt) (cut int, mixed bool) {
	first := map[int64]int{} // of each producer's transaction, since its last marker
	for i, b := range batches {
		switch {
		case b.control:
			delete(first, b.producer)
		case b.open:
			if _, begun := first[b.producer]; !begun {
				first[b.producer] = i
			}
		}
	}
	cut = -1
	for _, i := range first {
		if cut < 0 || i < cut {
			cut = i
		}
	}
	if cut < 0 {
		return -1, false
	}
	for i, b := range batches[cut:] {
		begun, open := first[b.producer]
		if !b.open || !open || cut+i < begun {
			return cut, true
		}
	}
	return cut, false
}

// readBatches reads the headers of all batches of a partition, in order.
func readBatches(folder string) ([]batchAt, error) {
	bases, err := segments(folder)
	if err != nil {
		return nil, err
	}
	slices.Sort(bases)
	var batches []batchAt
	for _, base := range bases {
		if batches, err = readSegment(batches, folder, base); err != nil {
			return nil, fmt.Errorf("reading %q: %w", segmentFile(folder, base, ".dat"), err)
		}
	}
	return batches, nil
}

func readSegment(batches []batchAt, folder string, base int64) ([]batchAt, error) {
	f, err := os.Open(segmentFile(folder, base, ".dat"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	r := bufio.NewReaderSize(f, 64<<10)
	var header [batchRead]byte
	for position := int64(0); ; {
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return batches, ignoreEOF(err)
		}
		length := batchHeader + int64(binary.BigEndian.Uint32(header[8:]))
		if length < batchRead {
			return batches, fmt.Errorf("a batch of %d bytes at %d", length, position)
		}
		if _, err := io.CopyN(io.Discard, r, length-batchRead); err != nil {
			return batches, ignoreEOF(err)
		}
		attributes := binary.BigEndian.Uint16(header[batchAttributes:])
		control := attributes&controlBit != 0
		batches = append(batches, batchAt{
			segment: base, position: position, producer: int64(binary.BigEndian.Uint64(header[batchProducer:])),
			control: control, open: !control && attributes&transactionalBit != 0,
		})
		position += length
	}
}
