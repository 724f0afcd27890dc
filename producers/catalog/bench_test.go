package catalog

import "testing"

// BenchmarkDefault reads the shipped catalog, presets and all.
func BenchmarkDefault(b *testing.B) {
	for b.Loop() {
		if _, err := Default(); err != nil {
			b.Fatal(err)
		}
	}
}
