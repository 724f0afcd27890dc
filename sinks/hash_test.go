package sinks

import (
	"encoding/binary"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/pricelake/pricelake/internal/stream"
)

// TestHashIsThatOfEachPart: however many bytes the hash is given at a time, it is that
// which intents of every version hold.
func TestHashIsThatOfEachPart(t *testing.T) {
	var rs []stream.Record
	sizes := []int{0, 1, 213, 5000, 3, 0, 700, 700, 700, 12}
	for size := 990; size < 2060; size++ {
		sizes = append(sizes, size)
	}
	for i, size := range sizes {
		r := stream.Record{Offset: int64(i * i), Value: make([]byte, size)}
		for j := range r.Value {
			r.Value[j] = byte(i + j)
		}
		if i%3 > 0 {
			r.Key = r.Value[:size/2]
		}
		rs = append(rs, r)
	}
	d := xxhash.New()
	for i := range rs {
		var head []byte
		for _, n := range []uint64{uint64(rs[i].Offset), length(rs[i].Key), length(rs[i].Value)} {
			head = binary.LittleEndian.AppendUint64(head, n)
		}
		_, _ = d.Write(head)
		_, _ = d.Write(rs[i].Key)
		_, _ = d.Write(rs[i].Value)
	}
	if got, want := Hash(rs), d.Sum64(); got != want {
		t.Errorf("the hash is %x, want %x", got, want)
	}
}

func BenchmarkHash(b *testing.B) {
	rs := make([]stream.Record, 256)
	for i := range rs {
		rs[i] = stream.Record{Offset: int64(i), Key: make([]byte, 16), Value: make([]byte, 213)}
	}
	d := xxhash.New()
	b.ReportAllocs()
	for b.Loop() {
		hashInto(d, rs)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(rs)), "ns/record")
}
