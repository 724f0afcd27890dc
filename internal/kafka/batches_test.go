package kafka

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pierrec/lz4/v4"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// readAll reads an answer as a backlog does.
func readAll(b *batches, p *kmsg.FetchResponseTopicPartition, from int64) ([]stream.Record, error) {
	var w waiting
	w.spare = new(sync.Pool)
	err := b.read(p, from, w.place, func() { w.placed() })
	var all []stream.Record
	for _, page := range w.pages {
		all = append(all, page.records()...)
	}
	return all, err
}

// readByClient is the same by the client: the oracle.
func readByClient(p *kmsg.FetchResponseTopicPartition, from int64) ([]stream.Record, int64, error) {
	fetched, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: from, IsolationLevel: kgo.ReadCommitted(), Topic: "t", Partition: 1,
	}, p, kgo.DefaultDecompressor(), nil)
	all := make([]stream.Record, len(fetched.Records))
	for i, r := range fetched.Records {
		all[i] = fromClient(r, stream.TopicID{})
	}
	return all, next, fetched.Err
}

func testBatches() *batches {
	return &batches{topic: "t", partition: 1, rooms: new(sync.Pool)}
}

// someBatch is a batch of n records from an offset on, as a producer may send it.
func someBatch(random *rand.Rand, first int64, n int) []byte {
	h := kmsg.RecordBatch{FirstOffset: first, LastOffsetDelta: int32(n - 1), Magic: 2, NumRecords: int32(n), PartitionLeaderEpoch: 7,
		FirstTimestamp: 1_700_000_000_000, MaxTimestamp: 1_700_000_100_000, ProducerID: int64(random.IntN(3)) - 1}
	if h.ProducerID >= 0 && random.IntN(2) == 0 {
		h.Attributes |= transactional
	}
	if random.IntN(4) == 0 {
		h.Attributes |= logAppendTime
	}
	var records []byte
	for i := range n {
		if n > 3 && random.IntN(8) == 0 {
			h.NumRecords-- // it was compacted away
			continue
		}
		records = appendRecord(records, random, int64(i))
	}
	if n == 1 && random.IntN(3) == 0 {
		h.Attributes |= control
		h.NumRecords = 1
		records = appendMarker(nil, random)
	} else if random.IntN(3) > 0 {
		h.Attributes |= 3
		records = frame(random, records)
	}
	h.Records = records
	return sealed(h)
}

func appendRecord(to []byte, random *rand.Rand, delta int64) []byte {
	var r []byte
	r = append(r, 0)
	r = kbin.AppendVarlong(r, int64(random.IntN(200_000))-1000)
	r = kbin.AppendVarint(r, int32(delta))
	r = kbin.AppendVarintBytes(r, someBytes(random, 12))
	r = kbin.AppendVarintBytes(r, someBytes(random, 300))
	headers := 0
	if random.IntN(5) == 0 {
		headers = random.IntN(3)
	}
	r = kbin.AppendVarint(r, int32(headers))
	for range headers {
		r = kbin.AppendVarintString(r, "name")
		r = kbin.AppendVarintBytes(r, someBytes(random, 5))
	}
	return append(kbin.AppendVarint(to, int32(len(r))), r...)
}

// appendMarker appends the end of a transaction: 0 aborts it, 1 commits it.
func appendMarker(to []byte, random *rand.Rand) []byte {
	r := []byte{0, 0, 0}
	r = kbin.AppendVarintBytes(r, []byte{0, 0, 0, byte(random.IntN(2))})
	r = kbin.AppendVarintBytes(r, []byte{0, 0, 0, 0, 0, 0})
	r = kbin.AppendVarint(r, 0)
	return append(kbin.AppendVarint(to, int32(len(r))), r...)
}

func someBytes(random *rand.Rand, most int) []byte {
	n := random.IntN(most+2) - 1
	if n < 0 {
		return nil
	}
	b := bytes.Repeat([]byte("price "), n/6+1)[:n]
	for i := 0; i < n; i += 1 + random.IntN(9) {
		b[i] = byte(random.Uint32())
	}
	return b
}

// frame compresses as one of the clients about does.
func frame(random *rand.Rand, records []byte) []byte {
	var to bytes.Buffer
	w := lz4.NewWriter(&to)
	options := []lz4.Option{
		lz4.BlockSizeOption([]lz4.BlockSize{lz4.Block64Kb, lz4.Block256Kb, lz4.Block4Mb}[random.IntN(3)]),
		lz4.BlockChecksumOption(random.IntN(2) == 0), lz4.ChecksumOption(random.IntN(2) == 0),
	}
	if random.IntN(3) == 0 {
		options = append(options, lz4.SizeOption(uint64(len(records))))
	}
	if err := w.Apply(options...); err != nil {
		panic(err)
	}
	if _, err := w.Write(records); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return to.Bytes()
}

// sealed is a batch with its length and checksum.
func sealed(h kmsg.RecordBatch) []byte {
	b := h.AppendTo(nil)
	binary.BigEndian.PutUint32(b[lengthAt:], uint32(len(b)-lengthAt-4))
	binary.BigEndian.PutUint32(b[crcAt-4:], checksum(b))
	return b
}

// someAnswer is several batches, some of them of aborted transactions.
func someAnswer(random *rand.Rand) *kmsg.FetchResponseTopicPartition {
	p := &kmsg.FetchResponseTopicPartition{Partition: 1}
	next := int64(random.IntN(1000))
	for range 1 + random.IntN(12) {
		n := 1 + random.IntN(40)*random.IntN(40)
		p.RecordBatches = append(p.RecordBatches, someBatch(random, next, n)...)
		if random.IntN(3) == 0 {
			p.AbortedTransactions = append(p.AbortedTransactions, kmsg.FetchResponseTopicPartitionAbortedTransaction{
				ProducerID: int64(random.IntN(2)), FirstOffset: next - int64(random.IntN(3))})
		}
		next += int64(n + random.IntN(2))
	}
	if random.IntN(4) == 0 {
		p.RecordBatches = p.RecordBatches[:len(p.RecordBatches)-random.IntN(len(p.RecordBatches))]
	}
	return p
}

// TestBatchesAsTheClient: what is read of an answer is what the client reads of it.
func TestBatchesAsTheClient(t *testing.T) {
	b := testBatches()
	records, empty := 0, 0
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 1))
		p := someAnswer(random)
		from := int64(random.IntN(1200))
		got, err := readAll(b, p, from)
		want, next, werr := readByClient(p, from)
		if err != nil || werr != nil {
			t.Fatalf("seed %d: %v, the client %v", seed, err, werr)
		}
		if err := same(got, want); err != nil || b.from != next {
			t.Fatalf("seed %d from %d: %v; the position is %d, the client's %d", seed, from, err, b.from, next)
		}
		if records += len(got); len(got) == 0 {
			empty++
		}
	}
	if records < 100_000 || empty == 2000 {
		t.Errorf("%d records: the test shows nothing", records)
	}
}

func same(got, want []stream.Record) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d records, want %d", len(got), len(want))
	}
	for i := range got {
		g, w := got[i], want[i]
		headers := slices.EqualFunc(g.Headers, w.Headers, func(x, y stream.Header) bool { return x.Key == y.Key && bytes.Equal(x.Value, y.Value) })
		if g.Offset != w.Offset || !g.Timestamp.Equal(w.Timestamp) || !bytes.Equal(g.Key, w.Key) || !bytes.Equal(g.Value, w.Value) ||
			(g.Value == nil) != (w.Value == nil) || (g.Key == nil) != (w.Key == nil) || g.Topic != w.Topic || g.Partition != w.Partition || !headers {
			return fmt.Errorf("record %d is %+v, want %+v", i, g, w)
		}
	}
	return nil
}

// TestBatchesLeaveToTheClient: what is unusual is an error, and nothing of it is read.
func TestBatchesLeaveToTheClient(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	records := appendRecord(nil, random, 0)
	well := kmsg.RecordBatch{FirstOffset: 5, Magic: 2, NumRecords: 1, Records: records}
	with := func(change func(h *kmsg.RecordBatch)) []byte {
		h := well
		change(&h)
		return sealed(h)
	}
	broken := sealed(well)
	broken[len(broken)-1] ^= 1
	linked := frame(random, records)
	linked[4] &^= lz4Independent
	for name, in := range map[string][]byte{
		"another codec":     with(func(h *kmsg.RecordBatch) { h.Attributes = 4 }),
		"an old format":     with(func(h *kmsg.RecordBatch) { h.Magic = 1 }),
		"a wrong checksum":  broken,
		"a record too few":  with(func(h *kmsg.RecordBatch) { h.NumRecords = 2 }),
		"less than none":    with(func(h *kmsg.RecordBatch) { h.NumRecords, h.LastOffsetDelta = -1, 999 }),
		"less than a batch": with(func(h *kmsg.RecordBatch) { h.NumRecords, h.LastOffsetDelta = 0, -1 }),
		"no frame":          with(func(h *kmsg.RecordBatch) { h.Attributes = 3 }),
		"blocks that refer": with(func(h *kmsg.RecordBatch) { h.Attributes, h.Records = 3, linked }),
		"a frame that breaks off": with(func(h *kmsg.RecordBatch) {
			h.Attributes, h.Records = 3, frame(random, records)
			h.Records = h.Records[:len(h.Records)/2]
		}),
		"a bomb": with(func(h *kmsg.RecordBatch) {
			h.Attributes, h.Records = 3, frame(random, make([]byte, maxDecompressedBatch+1))
		}),
	} {
		b := testBatches()
		p := &kmsg.FetchResponseTopicPartition{RecordBatches: append(sealed(kmsg.RecordBatch{FirstOffset: 4, Magic: 2, NumRecords: 1, Records: records}), in...)}
		got, err := readAll(b, p, 0)
		if err == nil || len(got) < 1 || b.from != got[len(got)-1].Offset+1 {
			t.Errorf("%s: %d records up to %d and %v, want an error and the position behind what was read", name, len(got), b.from, err)
		}
		if cap(b.room) > 2*maxDecompressedBatch {
			t.Errorf("%s: %d bytes of memory", name, cap(b.room))
		}
	}
}

// TestBatchesAllocateNothing: memory is made for an answer and not for its records.
func TestBatchesAllocateNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var records []byte
	const n = 4000
	for i := range n {
		r := []byte{0}
		r = kbin.AppendVarintBytes(kbin.AppendVarint(kbin.AppendVarlong(r, 5), int32(i)), []byte("key"))
		r = kbin.AppendVarint(kbin.AppendVarintBytes(r, someBytes(random, 200)), 0)
		records = append(kbin.AppendVarint(records, int32(len(r))), r...)
	}
	p := &kmsg.FetchResponseTopicPartition{RecordBatches: sealed(kmsg.RecordBatch{LastOffsetDelta: n - 1, Magic: 2, NumRecords: n, Attributes: 3, Records: frame(random, records)})}
	b, got := testBatches(), 0
	var r stream.Record
	place, placed := func() *stream.Record { return &r }, func() { got++ }
	allocs := testing.AllocsPerRun(10, func() {
		if err := b.read(p, 0, place, placed); err != nil {
			t.Fatal(err)
		}
	})
	if got == 0 || allocs > 4 {
		t.Errorf("%v allocations for %d records", allocs, n)
	}
}

// FuzzBatches: whatever a broker sends, what is read is what the client reads of it.
func FuzzBatches(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(someAnswer(rand.New(rand.NewPCG(seed, 3))).RecordBatches, int64(seed*50), int64(-1))
	}
	f.Fuzz(func(t *testing.T, in []byte, from, aborted int64) {
		p := &kmsg.FetchResponseTopicPartition{Partition: 1, RecordBatches: reseal(in)}
		if aborted >= 0 {
			p.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{{FirstOffset: aborted}}
		}
		b := testBatches()
		got, err := readAll(b, p, from)
		if err != nil {
			return // the client's to look at
		}
		want, next, _ := readByClient(p, from)
		if next < b.from && len(want) <= len(got) {
			// It stops at a batch all of which is over, or at a frame whose own
			// checksum is wrong where the batch's is right.
			got, next = got[:len(want)], b.from
		}
		if err := same(got, want); err != nil || b.from != next {
			t.Fatalf("%v; the position is %d, the client's %d", err, b.from, next)
		}
	})
}

// reseal makes the checksums right, so that what is behind them is read.
func reseal(in []byte) []byte {
	in = slices.Clone(in)
	for rest := in; len(rest) >= batchHead; {
		size := int64(binary.BigEndian.Uint32(rest[lengthAt:])) + lengthAt + 4
		if size < batchHead || size > int64(len(rest)) {
			break
		}
		binary.BigEndian.PutUint32(rest[crcAt-4:], checksum(rest[:size]))
		rest = rest[size:]
	}
	return in
}

// BenchmarkBatches is a price of a backlog as it comes from the broker.
func BenchmarkBatches(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	var records []byte
	const n = 4000
	for i := range n {
		records = appendRecord(records, random, int64(i))
	}
	p := &kmsg.FetchResponseTopicPartition{RecordBatches: sealed(kmsg.RecordBatch{LastOffsetDelta: n - 1, Magic: 2, NumRecords: n, Attributes: 3, Records: frame(random, records)})}
	of := testBatches()
	var r stream.Record
	for b.Loop() {
		if err := of.read(p, 0, func() *stream.Record { return &r }, func() {}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(time.Nanosecond)/float64(b.N)/n, "ns/record")
}
