package sinks

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
)

// randomBytes are nil, empty, short, or larger than a chunk.
func randomBytes(r *rand.Rand) []byte {
	switch n := r.IntN(100); n {
	case 0, 1, 2, 3, 4, 5, 6, 7, 8, 9:
		return nil
	case 10:
		return bytes.Repeat([]byte{7}, keptChunk-10+r.IntN(20))
	default:
		return bytes.Repeat([]byte{byte(n)}, r.IntN(300))
	}
}

// Records come out of kept as they went in, in any order, also in memory that others
// had before.
func TestKept(t *testing.T) {
	k := kept{spare: new(sync.Pool)}
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 5))
		var rs []stream.Record
		for range r.IntN(500) {
			one := stream.Record{Timestamp: time.UnixMilli(r.Int64N(1 << 42)), Key: randomBytes(r), Value: randomBytes(r)}
			for range r.IntN(3) {
				one.Headers = append(one.Headers, stream.Header{Key: string(randomBytes(r)), Value: randomBytes(r)})
			}
			rs = append(rs, one)
			given := one.Clone()
			k.add(&given)
			clear(given.Key)
			clear(given.Value)
		}
		look := func(i int) {
			t.Helper()
			var got stream.Record
			if k.record(i, &got); !reflect.DeepEqual(got, rs[i]) {
				t.Fatalf("seed %d: record %d of %d is %v, want %v", seed, i, len(rs), got, rs[i])
			}
		}
		for i := range rs {
			look(i)
		}
		for range min(len(rs), 20) {
			i := r.IntN(len(rs))
			look(i)
			look(i)
		}
		if k.n != len(rs) || len(rs) > 0 && k.bytes < keptChunk {
			t.Fatalf("seed %d: %d records in %d bytes, want %d", seed, k.n, k.bytes, len(rs))
		}
		if k.drop(); k.n != 0 || k.bytes != 0 {
			t.Fatalf("seed %d: %d records are left", seed, k.n)
		}
	}
}

// BenchmarkKept copies records and finds one in a hundred again.
func BenchmarkKept(b *testing.B) {
	one := stream.Record{Timestamp: time.UnixMilli(1_700_000_000_000), Key: make([]byte, 20), Value: make([]byte, 180)}
	for _, key := range []string{"ce_id", "ce_source", "ce_type", "ce_time"} {
		one.Headers = append(one.Headers, stream.Header{Key: key, Value: make([]byte, 20)})
	}
	k, found := kept{spare: new(sync.Pool)}, stream.Record{}
	b.ReportAllocs()
	for b.Loop() {
		k.add(&one)
		if k.n < 16<<10 {
			continue
		}
		for i := 0; i < k.n; i += 100 {
			k.record(i, &found)
		}
		k.drop()
	}
}
