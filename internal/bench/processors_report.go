package bench

import (
	"cmp"
	"slices"
)

// ProcessorReport is what a measurement of the processors found. Rates are
// medians of the runs, memory is the most of any run. A core is a CPU second, of
// user and system time, of the role's process.
type ProcessorReport struct {
	Deduplicator DeduplicatorReport `json:"deduplicator,omitzero"`
	Normalizer   NormalizerReport   `json:"normalizer,omitzero"`
}

// DeduplicatorReport is about prices that are all new, and about the same prices
// again.
type DeduplicatorReport struct {
	Identities              int64   `json:"identities"`
	EventsPerSecondPerCore  float64 `json:"events_per_second_per_core"`
	EventsPerSecond         float64 `json:"events_per_second"`
	StateBytesPerID         float64 `json:"state_bytes_per_id"`
	PeakRSSBytes            uint64  `json:"peak_rss_bytes"`
	RepeatsPerSecondPerCore float64 `json:"repeats_per_second_per_core"`
	// RepeatsPeakRSSBytes is of a process that began with the whole state.
	RepeatsPeakRSSBytes uint64 `json:"repeats_peak_rss_bytes"`
	// Noise is how far runs of the very same thing were apart at most, as a
	// part of their median.
	Noise float64 `json:"noise"`

	Fresh   []Drain `json:"-"`
	Repeats []Drain `json:"-"`
}

// NormalizerReport is about answers with many prices, and about answers of 1 kB
// with one. An event is a price.
type NormalizerReport struct {
	EventsPerSecondPerCore float64 `json:"events_per_second_per_core"` // answers of 500 symbols
	EventsPerSecond        float64 `json:"events_per_second"`
	PeakRSSBytes           uint64  `json:"peak_rss_bytes"`
	// Single is the same with one price an answer.
	SingleEventsPerSecondPerCore float64 `json:"single_events_per_second_per_core"`
	SingleEventsPerSecond        float64 `json:"single_events_per_second"`
	SinglePeakRSSBytes           uint64  `json:"single_peak_rss_bytes"`
	Noise                        float64 `json:"noise"`

	Batches []Drain `json:"-"`
	Singles []Drain `json:"-"`
}

func (r *ProcessorReport) finish() {
	d, n := &r.Deduplicator, &r.Normalizer
	var noise float64
	d.EventsPerSecondPerCore, d.EventsPerSecond, d.PeakRSSBytes, d.Noise = summary(d.Fresh)
	d.RepeatsPerSecondPerCore, _, d.RepeatsPeakRSSBytes, noise = summary(d.Repeats)
	d.Noise = max(d.Noise, noise)
	n.EventsPerSecondPerCore, n.EventsPerSecond, n.PeakRSSBytes, n.Noise = summary(n.Batches)
	n.SingleEventsPerSecondPerCore, n.SingleEventsPerSecond, n.SinglePeakRSSBytes, noise = summary(n.Singles)
	n.Noise = max(n.Noise, noise)
}

// summary is the medians of the rates, the most of the memory, and the noise of
// the rate per core. Of an even number of runs the lower one in the middle counts.
func summary(ds []Drain) (perCore, perSecond float64, rss uint64, noise float64) {
	if len(ds) == 0 {
		return 0, 0, 0, 0
	}
	middle := func(rate func(Drain) float64) (least, mid, most float64) {
		sorted := slices.SortedFunc(slices.Values(ds), func(a, b Drain) int { return cmp.Compare(rate(a), rate(b)) })
		return rate(sorted[0]), rate(sorted[(len(sorted)-1)/2]), rate(sorted[len(sorted)-1])
	}
	least, perCore, most := middle(Drain.PerCPUSecond)
	_, perSecond, _ = middle(func(d Drain) float64 { return float64(d.Events) / d.Took.Seconds() })
	for _, d := range ds {
		rss = max(rss, d.Usage.PeakRSS)
	}
	return perCore, perSecond, rss, (most - least) / perCore
}
