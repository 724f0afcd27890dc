package dedupe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/processors"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
)

// avroCodec is the codec of the price topics as the role uses it.
type avroCodec struct{ *avro.Codec[schemas.Price] }

func (c avroCodec) Decode(ctx context.Context, wire []byte, p *schemas.Price) error {
	err := c.Codec.Decode(ctx, wire, p)
	if errors.Is(err, avro.ErrBadRecord) {
		return processors.Reject(schemas.DeadDecode, err)
	}
	return err
}

func newAvroCodec(b *testing.B) avroCodec {
	b.Helper()
	server := httptest.NewServer(srfake.NewRegistry().Handler())
	b.Cleanup(server.Close)
	client, err := avro.NewClient(server.URL)
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range avro.Schemas() {
		if s.Topic == schemas.TopicObserved {
			if _, err := client.Register(b.Context(), s.Name, s.Schema); err != nil {
				b.Fatal(err)
			}
		}
	}
	codec, err := avro.NewCodec[schemas.Price](schemas.TopicObserved, client)
	if err != nil {
		b.Fatal(err)
	}
	if err := codec.Prepare(b.Context()); err != nil {
		b.Fatal(err)
	}
	return avroCodec{codec}
}

const benchBatch = 2000

// feed makes batches of one ticker's prices, of which only the event id
// differs: it is the first field of the record.
type feed struct{ batch stream.Batch }

func newFeed(b *testing.B, codec avroCodec) *feed {
	b.Helper()
	p := &schemas.Price{
		Provider: "coinbase", CallID: "coinbase-btc-usd", CallVersion: "0123456789abcdef", Instrument: "BTC-USD",
		Base: "BTC", Quote: "USD", Kind: schemas.KindTicker, RateType: schemas.RateLast,
		Price: decimal("73380.6"), Bid: decimal("73380.6"), Ask: decimal("73380.7"), Size: decimal("0.00012"),
		EventTime: day(0), EventTimeKind: schemas.TimeSource, RequestedAt: day(0), FetchedAt: day(0), TradeID: "18502034",
		PollID: schemas.ID{1}, ResponseID: schemas.ID{2}, CorrelationID: schemas.ID{3},
	}
	wire, err := codec.Append(nil, p)
	if err != nil {
		b.Fatal(err)
	}
	f := &feed{stream.Batch{Topic: schemas.TopicObserved, Records: make([]stream.Record, benchBatch)}}
	for i := range f.batch.Records {
		f.batch.Records[i] = stream.Record{Topic: schemas.TopicObserved, Key: []byte(p.Instrument), Value: append([]byte(nil), wire...)}
	}
	return f
}

// next returns the batch of events number(0), number(1) ….
func (f *feed) next(number func(i int) uint64) stream.Batch {
	for i := range f.batch.Records {
		id := f.batch.Records[i].Value[5:21]
		n := number(i)
		binary.BigEndian.PutUint32(id, uint32(29_000_000+n/20_000)) // 20,000 events a minute
		binary.BigEndian.PutUint64(id[4:], mix(n))
		binary.BigEndian.PutUint32(id[12:], uint32(mix(^n)))
	}
	return f.batch
}

// mix is the finalizer of splitmix64: it spreads counted numbers as a hash does.
func mix(n uint64) uint64 {
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

// benchStages are the stages of some partitions of one process, on a real disk.
func benchStages(b *testing.B, partitions int) (*rig, []stream.Stage, *feed) {
	b.Helper()
	codec := newAvroCodec(b)
	r := newRig(b, partitions)
	r.fs, r.dir, r.decoder, r.cache = vfs.Default, b.TempDir(), codec, 0
	r.start()
	stages := make([]stream.Stage, partitions)
	for p := range stages {
		stages[p] = r.open(int32(p))
	}
	b.Cleanup(func() {
		for _, s := range stages {
			mustClose(b, s)
		}
		r.stop()
	})
	return r, stages, newFeed(b, codec)
}

// put handles and commits a batch, without a log: offsets are all that counts.
func put(b *testing.B, s stream.Stage, batch stream.Batch, offset int64) (passed int) {
	out, err := s.Handle(b.Context(), batch)
	if err != nil {
		b.Fatal(err)
	}
	for i := range out.Records {
		out.Records[i].Offset = offset + int64(i)
	}
	if err := out.Committed(b.Context(), out.Records); err != nil {
		b.Fatal(err)
	}
	return len(out.Records)
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// fill puts new events through the stages in turn.
func fill(b *testing.B, stages []stream.Stage, f *feed, events int) {
	b.Helper()
	for n := 0; n < events; n += benchBatch {
		s := stages[n/benchBatch%len(stages)]
		if passed := put(b, s, f.next(func(i int) uint64 { return uint64(n + i) }), int64(n)); passed != benchBatch {
			b.Fatalf("%d of %d new events passed", passed, benchBatch)
		}
	}
}

// BenchmarkNewEvents: decode, decide, pass on, remember, with all of the
// store's own work. `-benchtime 10000000x` for stores of that many events.
func BenchmarkNewEvents(b *testing.B) {
	for _, partitions := range []int{1, 12} {
		b.Run(fmt.Sprintf("partitions=%d", partitions), func(b *testing.B) {
			r, stages, f := benchStages(b, partitions)
			b.ResetTimer()
			start := cpuTime(b)
			fill(b, stages, f, b.N)
			b.StopTimer()
			events := float64((b.N + benchBatch - 1) / benchBatch * benchBatch)
			b.ReportMetric(float64(cpuTime(b)-start)/events, "cpu-ns/event")
			b.ReportMetric(float64(diskBytes(b, r.dir))/events, "disk-B/event")
			b.ReportMetric(float64(residentBytes(b))/(1<<20), "rss-MiB")
		})
	}
}

// BenchmarkRepeats drops events of a store that holds a million.
func BenchmarkRepeats(b *testing.B) {
	const events = 1_000_000
	for name, number := range map[string]func(n uint64) uint64{
		"recent": func(n uint64) uint64 { return events - 1 - n%10_000 },
		"random": func(n uint64) uint64 { return mix(n) % events },
	} {
		b.Run(name, func(b *testing.B) {
			_, stages, f := benchStages(b, 1)
			fill(b, stages, f, events)
			b.ResetTimer()
			start := cpuTime(b)
			for n := 0; n < b.N; n += benchBatch {
				if passed := put(b, stages[0], f.next(func(i int) uint64 { return number(uint64(n + i)) }), 0); passed != 0 {
					b.Fatalf("%d repeats passed", passed)
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(cpuTime(b)-start)/float64((b.N+benchBatch-1)/benchBatch*benchBatch), "cpu-ns/event")
		})
	}
}

func diskBytes(b *testing.B, dir string) (total int64) {
	b.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return total
}

// residentBytes is the peak resident size of the process.
func residentBytes(b *testing.B) int64 {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return used.Maxrss << 10
}
