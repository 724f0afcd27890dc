package count

import (
	"testing"

	"github.com/pricelake/pricelake/cmd/pricelake-chaos/market"
)

func BenchmarkModel(b *testing.B) {
	w := market.World{Seed: 1, Calls: 6, Symbols: 8, Page: 1000}
	m := newModel(w)
	page := 0
	b.ReportAllocs()
	for b.Loop() {
		m.answer(market.Answer{Parts: []market.Part{{Page: page, Stride: 1}}})
		page++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*w.Page), "ns/trade")
}
