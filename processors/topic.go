package processors

import (
	"fmt"

	"github.com/pricelake/pricelake/internal/stream"
)

// Outlet makes the record to publish for an output.
type Outlet[Out any] interface {
	// Record makes the record of o, which came out of in. Key and value live in
	// b. It is called from one goroutine per partition. An error is final: in
	// becomes a dead letter.
	Record(b *Buffer, in *stream.Record, o *Out) (stream.Record, error)
}

// Topic is the Outlet into one topic.
type Topic[T any] struct {
	Name    string
	Encoder Encoder[T]
	// Key returns the record's key.
	Key func(*T) string
	// SamePartition writes to the partition whose number the input's has, so
	// that state kept by output partition and input partition move together.
	// Otherwise the key's hash decides.
	SamePartition bool
}

// Record encodes v and addresses it.
func (t *Topic[T]) Record(b *Buffer, in *stream.Record, v *T) (stream.Record, error) {
	key := t.Key(v)
	value, err := b.Append(func(dst []byte) ([]byte, error) { return t.Encoder.Append(dst, v) })
	if err != nil {
		return stream.Record{}, fmt.Errorf("encoding a record of %q with key %q: %w", t.Name, key, err)
	}
	r := stream.Record{Topic: t.Name, Partition: stream.AnyPartition, Key: b.CopyString(key), Value: value}
	if t.SamePartition {
		r.Partition = in.Partition
	}
	return r, nil
}

// bufferChunk is how much a Buffer takes at a time: a few hundred prices.
const bufferChunk = 64 << 10

// Buffer holds the keys and values made from one batch, in few large
// allocations. It is never reused: the published records keep pointing into it
// until their transaction has ended. The zero value is ready.
type Buffer struct {
	free []byte // length: used; capacity: what is left of the chunk
}

// Append returns what fill appends to the empty slice it is given. Nothing is
// kept of it when fill fails.
func (b *Buffer) Append(fill func(dst []byte) ([]byte, error)) ([]byte, error) {
	b.reserve(bufferChunk / 16)
	start := len(b.free)
	filled, err := fill(b.free[start:])
	if err != nil {
		return nil, err
	}
	if start+len(filled) <= cap(b.free) { // else fill has moved to memory of its own
		b.free = b.free[:start+len(filled)]
	}
	return filled[:len(filled):len(filled)], nil
}

// Copy returns a copy of p, nil for nil: a null value is not an empty one.
func (b *Buffer) Copy(p []byte) []byte {
	if p == nil {
		return nil
	}
	b.reserve(len(p))
	start := len(b.free)
	b.free = append(b.free, p...)
	return b.free[start:len(b.free):len(b.free)]
}

// CopyString returns the bytes of s.
func (b *Buffer) CopyString(s string) []byte {
	b.reserve(len(s))
	start := len(b.free)
	b.free = append(b.free, s...)
	return b.free[start:len(b.free):len(b.free)]
}

// reserve makes room for n bytes without moving what is already there.
func (b *Buffer) reserve(n int) {
	if cap(b.free)-len(b.free) < n {
		b.free = make([]byte, 0, max(n, bufferChunk))
	}
}
