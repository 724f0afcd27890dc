package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// batches reads the committed records of fetched batches, as the client does, without
// making anything for a record: the same memory holds one answer after the other. What
// the client would mend, skip or report is an error here, and the client's to look at. It
// is not to be used in parallel.
type batches struct {
	topic     string
	id        stream.TopicID
	partition int32

	rooms   *sync.Pool // of *[]byte, which were room
	room    []byte     // what was decompressed of the last answer
	from    int64      // the position: the next record wanted
	epoch   int32      // of the leader, of the last batch of the last answer; -1: it had none
	aborted map[int64][]int64
}

// errUnusual is what the client is to look at: old formats, codecs the hot path does
// not use, and what is no batch.
var errUnusual = errors.New("batches that only the client reads")

const (
	// batchHead is what a batch has before its records (KIP-98): its length from lengthAt
	// on, its checksum up to crcAt, and of what is behind it.
	batchHead = 61
	lengthAt  = 8
	magicAt   = 16
	crcAt     = 21

	codecMask     = 0b0000_0111
	logAppendTime = 0b0000_1000
	transactional = 0b0001_0000
	control       = 0b0010_0000
)

// read puts each committed record from an offset on where place says, and calls placed.
// The records share memory with the answer and with b, until the next read. An answer may
// end in the middle of a batch. After an error, what was placed is right, and the position
// behind it.
func (b *batches) read(p *kmsg.FetchResponseTopicPartition, from int64, place func() *stream.Record, placed func()) error {
	if b.room == nil {
		if room, ok := b.rooms.Get().(*[]byte); ok {
			b.room = *room
		}
	}
	b.from, b.epoch, b.room, b.aborted = from, -1, b.room[:0], nil
	for _, a := range p.AbortedTransactions {
		if b.aborted == nil {
			b.aborted = make(map[int64][]int64)
		}
		b.aborted[a.ProducerID] = append(b.aborted[a.ProducerID], a.FirstOffset)
	}
	for _, firsts := range b.aborted {
		slices.Sort(firsts) // brokers need not (Redpanda)
	}
	for in := p.RecordBatches; len(in) > magicAt; {
		size := int64(binary.BigEndian.Uint32(in[lengthAt:])) + lengthAt + 4
		if size > int64(len(in)) {
			return nil // the broker cut the answer here
		}
		if err := b.batch(in[:size], place, placed); err != nil {
			return fmt.Errorf("reading a batch at offset %d: %w", int64(binary.BigEndian.Uint64(in)), err)
		}
		in = in[size:]
	}
	return nil
}

// free gives the memory back if nothing waits that shares it: a range is written for
// longer than it is read, and many partitions may have a backlog.
func (b *batches) free(q *queue) {
	if b.room != nil && q.pending().waiting == 0 {
		room := b.room
		b.rooms.Put(&room)
		b.room = nil
	}
}

// batch reads one batch.
func (b *batches) batch(in []byte, place func() *stream.Record, placed func()) error {
	if len(in) < batchHead || in[magicAt] != 2 {
		return errUnusual
	}
	if checksum(in) != binary.BigEndian.Uint32(in[crcAt-4:]) {
		return errUnusual
	}
	var h kmsg.RecordBatch
	if err := h.UnsafeReadFrom(in); err != nil || h.NumRecords < 0 || h.LastOffsetDelta < 0 {
		return errUnusual
	}
	end := h.FirstOffset + int64(h.LastOffsetDelta) + 1
	if end <= b.from {
		return nil
	}
	aborted := b.drops(&h)
	if aborted || h.Attributes&control != 0 {
		place = nil
	}
	first, err := b.records(&h, place, placed)
	if err != nil {
		return err
	}
	// A marker ends a transaction of its producer: an aborted one has type 0.
	if aborted && h.Attributes&control != 0 && len(first) >= 4 && first[2] == 0 && first[3] == 0 {
		b.aborted[h.ProducerID] = b.aborted[h.ProducerID][1:]
	}
	// Compaction keeps the offsets of a batch (KAFKA-5443).
	b.from, b.epoch = max(b.from, end), h.PartitionLeaderEpoch
	return nil
}

// checksum is that of what a batch has behind its checksum.
func checksum(batch []byte) uint32 {
	return crc32.Checksum(batch[crcAt:], crc32.MakeTable(crc32.Castagnoli))
}

// drops reports whether a batch is of a transaction that was aborted.
func (b *batches) drops(h *kmsg.RecordBatch) bool {
	firsts := b.aborted[h.ProducerID]
	return h.Attributes&transactional != 0 && len(firsts) > 0 && h.FirstOffset >= firsts[0]
}

// records reads the records of a batch, and returns the key of the first. Without place
// it reads them to see that they are there.
func (b *batches) records(h *kmsg.RecordBatch, place func() *stream.Record, placed func()) (first []byte, err error) {
	in := h.Records
	switch h.Attributes & codecMask {
	case 0:
	case 3:
		at := len(b.room)
		if b.room, err = appendLZ4(b.room, in, at+maxDecompressedBatch); err != nil {
			return nil, err
		}
		in = b.room[at:]
	default:
		return nil, errUnusual
	}
	all := varints{in: in}
	for i := range h.NumRecords {
		offset, key := b.record(h, all.next(), &all, place)
		if all.bad {
			return nil, errUnusual
		}
		if i == 0 {
			first = key
		}
		if place != nil && offset >= b.from {
			placed()
			b.from = offset + 1
		}
	}
	return first, nil
}

// record reads one record of so many bytes. It is put into place only if it is wanted.
func (b *batches) record(h *kmsg.RecordBatch, length int64, all *varints, place func() *stream.Record) (offset int64, key []byte) {
	r := varints{in: all.cut(length)}
	r.cut(1) // attributes, unused
	at := h.FirstTimestamp + r.next()
	offset = h.FirstOffset + r.next()
	key, value := r.bytes(), r.bytes()
	headers := r.headers()
	all.bad = all.bad || r.bad || offset < h.FirstOffset || offset > h.FirstOffset+int64(h.LastOffsetDelta)
	if all.bad || place == nil || offset < b.from {
		return offset, key
	}
	if h.Attributes&logAppendTime != 0 {
		at = h.MaxTimestamp
	}
	*place() = stream.Record{Topic: b.topic, TopicID: b.id, Partition: b.partition, Offset: offset,
		Timestamp: time.UnixMilli(at), Key: key, Value: value, Headers: headers}
	return offset, key
}

// varints reads what records are made of. After the first thing that is not there
// everything is zero, and bad is set.
type varints struct {
	in  []byte
	bad bool
}

func (v *varints) next() int64 {
	if len(v.in) > 0 && v.in[0] < 0x80 {
		n := v.in[0]
		v.in = v.in[1:]
		return int64(n>>1) ^ -int64(n&1)
	}
	n, size := binary.Varint(v.in)
	if size <= 0 {
		v.in, v.bad = nil, true
		return 0
	}
	v.in = v.in[size:]
	return n
}

func (v *varints) cut(n int64) []byte {
	if n < 0 || n > int64(len(v.in)) {
		v.in, v.bad = nil, true
		return nil
	}
	b := v.in[:n:n]
	v.in = v.in[n:]
	return b
}

// bytes is nil where there are none.
func (v *varints) bytes() []byte {
	if n := v.next(); n >= 0 {
		return v.cut(n)
	}
	return nil
}

func (v *varints) headers() []stream.Header {
	n := v.next()
	if n <= 0 {
		return nil
	}
	if n > int64(len(v.in)) {
		v.in, v.bad = nil, true
		return nil
	}
	headers := make([]stream.Header, n)
	for i := range headers {
		headers[i] = stream.Header{Key: string(v.bytes()), Value: v.bytes()}
	}
	return headers
}
