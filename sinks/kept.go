package sinks

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
)

// keptChunk is how many bytes of records lie together; a larger record lies alone.
const keptChunk = 64 << 10

// kept is copies of records of one partition, packed: without the memory that their
// client's records hold, and with nothing in them for the garbage collector to look
// at.
type kept struct {
	spare  *sync.Pool // of *[]byte of keptChunk
	chunks [][]byte
	firsts []int    // the first record of each chunk
	starts []uint32 // where each record begins in its chunk
	n      int      // records
	bytes  int
}

// add appends a copy of a record. Its topic and offset are not of it.
func (k *kept) add(r *stream.Record) {
	need := len(r.Key) + len(r.Value) + binary.MaxVarintLen64*4
	for _, h := range r.Headers {
		need += len(h.Key) + len(h.Value) + binary.MaxVarintLen64*2
	}
	if last := len(k.chunks) - 1; last < 0 || cap(k.chunks[last])-len(k.chunks[last]) < need {
		k.chunks = append(k.chunks, k.room(need))
		k.firsts = append(k.firsts, k.n)
		k.bytes += cap(k.chunks[len(k.chunks)-1])
	}
	last := &k.chunks[len(k.chunks)-1]
	k.starts = append(k.starts, uint32(len(*last)))
	b := binary.AppendVarint(*last, r.Timestamp.UnixMilli())
	b = appendBytes(appendBytes(b, r.Key), r.Value)
	b = binary.AppendUvarint(b, uint64(len(r.Headers)))
	for _, h := range r.Headers {
		b = appendBytes(appendBytes(b, []byte(h.Key)), h.Value)
	}
	*last = b
	k.n++
	k.bytes += startBytes
}

// startBytes is what it takes to know where a record begins.
const startBytes = 4

func (k *kept) room(need int) []byte {
	if need > keptChunk {
		return make([]byte, 0, need)
	}
	if b, ok := k.spare.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, keptChunk)
}

// record fills key, value, headers and timestamp of one of the n records. They share
// memory with k until drop.
func (k *kept) record(index int, r *stream.Record) {
	chunk, first := slices.BinarySearch(k.firsts, index)
	if !first {
		chunk--
	}
	readKept(k.chunks[chunk][k.starts[index]:], r)
}

func readKept(b []byte, r *stream.Record) {
	millis, n := binary.Varint(b)
	r.Timestamp = time.UnixMilli(millis)
	r.Key, b = cutBytes(b[n:])
	r.Value, b = cutBytes(b)
	headers, n := binary.Uvarint(b)
	b, r.Headers = b[n:], nil
	for range headers {
		var h stream.Header
		var key []byte
		key, b = cutBytes(b)
		h.Key = string(key)
		h.Value, b = cutBytes(b)
		r.Headers = append(r.Headers, h)
	}
}

// drop lets go of all records.
func (k *kept) drop() {
	for _, b := range k.chunks {
		if cap(b) == keptChunk {
			k.spare.Put(&b)
		}
	}
	*k = kept{spare: k.spare}
}

// appendBytes appends bytes after their length, as length has it.
func appendBytes(to, b []byte) []byte { return append(binary.AppendUvarint(to, length(b)), b...) }

// cutBytes is the inverse of appendBytes.
func cutBytes(from []byte) (b, rest []byte) {
	size, n := binary.Uvarint(from)
	if from = from[n:]; size == 0 {
		return nil, from
	}
	return from[: size-1 : size-1], from[size-1:]
}
