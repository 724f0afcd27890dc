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

// A Buffer takes its memory in chunks, each twice the size of the one before
// between these bounds: a price or two, a few hundred.
const (
	minChunk = 1 << 10
	maxChunk = 64 << 10
)

// usualRecord is room for most records.
const usualRecord = 512

// Buffer holds the keys and values made from one batch, in few allocations. It
// is never reused: the published records keep pointing into it until their
// transaction has ended. The zero value is ready.
type Buffer struct {
	chunk []byte // what is used of the latest
}

// Append returns what fill appends to the empty slice it is given. Nothing is
// kept of it when fill fails.
func (b *Buffer) Append(fill func(dst []byte) ([]byte, error)) ([]byte, error) {
	b.reserve(usualRecord)
	start := len(b.chunk)
	filled, err := fill(b.chunk[start:])
	if err != nil {
		return nil, err
	}
	if start+len(filled) <= cap(b.chunk) { // else fill has moved to memory of its own
		b.chunk = b.chunk[:start+len(filled)]
	}
	return filled[:len(filled):len(filled)], nil
}

// Copy returns a copy of p, nil for nil: a null value is not an empty one.
func (b *Buffer) Copy(p []byte) []byte {
	if p == nil {
		return nil
	}
	b.reserve(len(p))
	start := len(b.chunk)
	b.chunk = append(b.chunk, p...)
	return b.chunk[start:len(b.chunk):len(b.chunk)]
}

// CopyString returns the bytes of s.
func (b *Buffer) CopyString(s string) []byte {
	b.reserve(len(s))
	start := len(b.chunk)
	b.chunk = append(b.chunk, s...)
	return b.chunk[start:len(b.chunk):len(b.chunk)]
}

// reserve makes room for n bytes without moving what is already there.
func (b *Buffer) reserve(n int) {
	if cap(b.chunk)-len(b.chunk) < n {
		b.chunk = make([]byte, 0, max(n, minChunk, min(2*cap(b.chunk), maxChunk)))
	}
}
