package lake

import (
	"context"
	"encoding/binary"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
)

// prepared decodes a number into one of some prices made before, so that what is
// measured is the lake and not a codec.
type prepared []schemas.Price

func (p prepared) Decode(_ context.Context, wire []byte, v *schemas.Price) error {
	n := binary.LittleEndian.Uint64(wire)
	*v = p[n%uint64(len(p))]
	v.EventID = schemas.ID{}
	binary.LittleEndian.PutUint64(v.EventID[:], n)
	return nil
}

func preparedPrices(b *testing.B) prepared {
	p := make(prepared, 1000)
	for i := range p {
		p[i] = somePrice(b, i)
		p[i].Instrument = fmt.Sprintf("INS%d-USD", i%200)
		p[i].Provider = fmt.Sprintf("provider%d", i%10)
		p[i].CallID = fmt.Sprintf("call%d", i%50)
		p[i].Bid, p[i].Ask = dec(b, fmt.Sprintf("73379.%d", i)), dec(b, fmt.Sprintf("73381.%d", i))
	}
	return p
}

func preparedBlock(rows int, first int64) sinks.Block {
	blk := sinks.Block{Range: sinks.Range{Partition: sinks.Partition{Topic: schemas.TopicPrices, TopicID: topicID}, First: first, Last: first + int64(rows) - 1}, Epoch: 1}
	for i := range rows {
		blk.Records = append(blk.Records, stream.Record{
			Topic: schemas.TopicPrices, TopicID: topicID, Offset: first + int64(i), Timestamp: utc("2026-01-05 12:00:00"),
			Value: binary.LittleEndian.AppendUint64(nil, uint64(first)+uint64(i)),
		})
	}
	return blk
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLoadPrices is records to columns, without the codec and the server.
func BenchmarkLoadPrices(b *testing.B) {
	const rows = 50_000
	d := jsonDecoders()
	d.Prices = valueRows{preparedPrices(b)}
	loader := d.loaders(func(string, string) int32 { return 0 }, nil)[schemas.TopicPrices]
	blk := preparedBlock(rows, 0)
	b.ReportAllocs()
	start := cpu()
	for b.Loop() {
		parts, err := loader.load(b.Context(), blk, origin{topicID: topicID, insertedAt: blk.Records[0].Timestamp})
		if err != nil {
			b.Fatal(err)
		}
		parts[0].free()
	}
	b.ReportMetric(float64(cpu()-start)/float64(b.N*rows), "cpu-ns/row")
}

// BenchmarkColumns is fields into columns, and columns into what a connection gets,
// without reading records.
func BenchmarkColumns(b *testing.B) {
	const rows = 50_000
	reader := somePriceRows(b, 200)
	fresh := func() *fieldTable {
		return newFieldTable("prices", priceFields(), reader, "event_time", "fetched_at", nil)
	}
	table, blk := fresh(), preparedBlock(rows, 0)
	load := func(b *testing.B, table *fieldTable) part {
		parts, err := table.load(b.Context(), blk, origin{topicID: topicID, insertedAt: blk.Records[0].Timestamp})
		if err != nil {
			b.Fatal(err)
		}
		return parts[0]
	}
	perRow := func(b *testing.B, run func()) {
		b.ReportAllocs()
		start := cpu()
		for b.Loop() {
			run()
		}
		b.ReportMetric(float64(cpu()-start)/float64(b.N*rows), "cpu-ns/row")
	}
	b.Run("fill", func(b *testing.B) {
		perRow(b, func() { load(b, table).free() })
	})
	b.Run("grow", func(b *testing.B) {
		perRow(b, func() { load(b, fresh()).free() })
	})
	b.Run("emit", func(b *testing.B) {
		p, frame := load(b, table), make([]byte, 0, frameBytes)
		perRow(b, func() {
			for _, c := range p.cols {
				_ = c.data.(pieces).each(func(piece []byte) error {
					for n := 0; len(piece) > 0; piece = piece[n:] {
						n = min(len(piece), frameBytes)
						frame = append(frame[:0], piece[:n]...)
					}
					return nil
				})
			}
		})
	})
}

// BenchmarkWritePrices is records to rows of a real server, without the codec;
// the CPU is that of this process alone.
func BenchmarkWritePrices(b *testing.B) {
	const rows = 100_000
	l := openLake(b)
	s := openSink(b, l)
	d := jsonDecoders()
	d.Prices = valueRows{preparedPrices(b)}
	s.loaders = d.loaders(func(string, string) int32 { return 0 }, nil)
	b.ReportAllocs()
	first := int64(0)
	start := cpu()
	for b.Loop() {
		b.StopTimer()
		blk := preparedBlock(rows, first)
		first += rows
		b.StartTimer()
		if err := s.Write(b.Context(), blk); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpu()-start)/float64(b.N*rows), "cpu-ns/row")
	b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
}
