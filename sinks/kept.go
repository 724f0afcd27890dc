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
// at. A chunk has records from its begin on, and from its end backwards where each
// begins.
type kept struct {
	spare  *sync.Pool // of *[]byte of keptChunk
	chunks [][]byte
	firsts []int // the first record of each chunk
	n      int   // records
	bytes  int
}

// startBytes is what it takes to know where a record begins.
const startBytes = 2

// add appends a copy of a record. Its topic and offset are not of it.
func (k *kept) add(r *stream.Record) {
	need := startBytes + len(r.Key) + len(r.Value) + binary.MaxVarintLen64*4
	for _, h := range r.Headers {
		need += len(h.Key) + len(h.Value) + binary.MaxVarintLen64*2
	}
	last := len(k.chunks) - 1
	if last < 0 || k.left(last) < need {
		k.chunks = append(k.chunks, k.room(need))
		k.firsts = append(k.firsts, k.n)
		last++
		k.bytes += cap(k.chunks[last])
	}
	b := k.chunks[last]
	binary.LittleEndian.PutUint16(startOf(b, k.n-k.firsts[last]), uint16(len(b)))
	b = binary.AppendVarint(b, r.Timestamp.UnixMilli())
	b = appendBytes(appendBytes(b, r.Key), r.Value)
	b = binary.AppendUvarint(b, uint64(len(r.Headers)))
	for _, h := range r.Headers {
		b = appendBytes(appendBytes(b, []byte(h.Key)), h.Value)
	}
	k.chunks[last] = b
	k.n++
}

// left is how many bytes a chunk has room for: none if the next record would begin where
// startBytes cannot say it.
func (k *kept) left(chunk int) int {
	b := k.chunks[chunk]
	if len(b) >= keptChunk {
		return 0
	}
	return cap(b) - len(b) - startBytes*(k.n-k.firsts[chunk])
}

// startOf is where a chunk says at which byte its n-th record begins.
func startOf(chunk []byte, n int) []byte {
	return chunk[cap(chunk)-startBytes*(n+1) : cap(chunk)]
}

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
	at, found := slices.BinarySearch(k.firsts, index)
	if !found {
		at--
	}
	chunk := k.chunks[at]
	readKept(chunk[binary.LittleEndian.Uint16(startOf(chunk, index-k.firsts[at])):], r)
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
