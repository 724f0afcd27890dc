package dedupe

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// BenchmarkRestart opens the state of a million identities, as a process that was
// started again does. It must take less than three seconds.
func BenchmarkRestart(b *testing.B) {
	const events = 1_000_000
	r, stages, f := benchStages(b, 1)
	fill(b, stages, f, events)
	r.log.partitions[0].end = events
	b.ResetTimer()
	for range b.N {
		mustClose(b, stages[0])
		start := time.Now()
		stages[0] = r.open(0)
		if took := time.Since(start); took > 3*time.Second {
			b.Fatalf("ready after %v", took)
		}
	}
	b.StopTimer()
	if passed := put(b, stages[0], f.next(func(i int) uint64 { return uint64(i) }), events); passed != 0 {
		b.Fatalf("%d repeats passed", passed)
	}
}

// manyPrices is a lake with so many prices of one partition.
type manyPrices int64

func (m manyPrices) Holds(context.Context, stream.TopicPartition) ([]Held, error) {
	return []Held{{TopicID: newFakeLog(1).id, Last: int64(m) - 1, Rows: int64(m)}}, nil
}

func (m manyPrices) Prices(_ context.Context, _ stream.TopicPartition, _ stream.TopicID, _, _ int64, each func(int64, *schemas.Price) error) error {
	p := schemas.Price{Price: decimal("73380.6"), Bid: decimal("73380.6"), Ask: decimal("73380.7")}
	for n := range uint64(m) {
		// As the table is sorted: instrument by instrument, each from its first minute.
		instrument, at := n/20_000, n%20_000
		binary.BigEndian.PutUint32(p.EventID[:], uint32(29_000_000+at))
		binary.BigEndian.PutUint64(p.EventID[4:], mix(n))
		binary.BigEndian.PutUint32(p.EventID[12:], uint32(mix(^instrument)))
		if err := each(int64(n), &p); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkRestore puts what a lake holds into an empty state: what it costs
// beside the lake's own work.
func BenchmarkRestore(b *testing.B) {
	const events = 1_000_000
	for range b.N {
		r := newRig(b, 1)
		r.fs, r.dir, r.cache, r.lake = vfs.Default, b.TempDir(), 0, manyPrices(events)
		r.log.partitions[0] = fakePartition{first: events, end: events}
		r.start()
		start := cpuTime(b)
		s := r.open(0)
		b.ReportMetric(float64(cpuTime(b)-start)/events, "cpu-ns/row")
		b.ReportMetric(float64(residentBytes(b))/(1<<20), "rss-MiB")
		mustClose(b, s)
		r.stop()
	}
}
