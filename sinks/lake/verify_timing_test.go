package lake

import (
	"testing"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
)

// BenchmarkVerify compares a million records with a lake of two million rows,
// without the reading of the log.
func BenchmarkVerify(b *testing.B) {
	const rows, blocks, compared = 100_000, 20, 1_000_000
	l := openLake(b)
	s := openSink(b, l)
	d := jsonDecoders()
	d.Prices = valueRows{preparedPrices(b)}
	s.loaders = d.loaders(func(string, string) int32 { return 0 }, nil)
	for i := range int64(blocks) {
		if err := s.Write(b.Context(), preparedBlock(rows, i*rows)); err != nil {
			b.Fatal(err)
		}
	}
	r := stream.Record{Timestamp: utc("2026-01-05 12:00:00")}
	start := cpu()
	for b.Loop() {
		v, err := l.Verify(sinks.Partition{Topic: schemas.TopicPrices, TopicID: topicID}, rows)
		if err != nil {
			b.Fatal(err)
		}
		for r.Offset = rows; r.Offset < rows+compared; r.Offset++ {
			if err := v.Record(b.Context(), &r); err != nil {
				b.Fatal(err)
			}
		}
		report, err := v.Report(b.Context(), rows+compared)
		if err != nil || !report.OK() || report.Rows != compared {
			b.Fatalf("%+v, %v", report, err)
		}
	}
	b.ReportMetric(float64(cpu()-start)/float64(b.N), "cpu-ns/op")
}
