package bench

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Run is one drain.
type Run struct {
	Rows  int64
	Bytes int64 // of the records
	Took  time.Duration
	Parts int64
	Usage Usage // of our process; zero for what runs in the server
	Others
}

// Others is the CPU time of the servers meanwhile, merges of earlier runs with
// it.
type Others struct{ ClickHouse, Broker time.Duration }

// RowsPerSecond is the rate of the drain.
func (r Run) RowsPerSecond() float64 { return float64(r.Rows) / r.Took.Seconds() }

// String is the run in a line.
func (r Run) String() string {
	text := fmt.Sprintf("%.0f rows/s, %.1f MB/s, %.2f s, %d parts", r.RowsPerSecond(), float64(r.Bytes)/1e6/r.Took.Seconds(), r.Took.Seconds(), r.Parts)
	if r.Usage.CPU > 0 {
		text += fmt.Sprintf(", %.2f CPU s per million rows, peak %d MiB", r.perMillion(r.Usage.CPU), r.Usage.PeakRSS>>20)
	}
	return text + fmt.Sprintf(" (ClickHouse %.2f, broker %.2f CPU s per million)", r.perMillion(r.ClickHouse), r.perMillion(r.Broker))
}

// perMillion is CPU seconds per million rows.
func (r Run) perMillion(cpu time.Duration) float64 { return cpu.Seconds() / float64(r.Rows) * 1e6 }

// LakeReport is what a measurement of the lake found. Rates are medians of the
// runs.
type LakeReport struct {
	Rows       int64 `json:"rows"`
	Bytes      int64 `json:"bytes"`
	Partitions int   `json:"partitions"`

	RowsPerSecond            float64 `json:"rows_per_second"`
	MegabytesPerSecond       float64 `json:"megabytes_per_second"`
	CPUSecondsPerMillionRows float64 `json:"cpu_seconds_per_million_rows"`
	PeakRSSBytes             uint64  `json:"peak_rss_bytes"` // the most of any run
	Parts                    int64   `json:"parts"`

	KafkaEngineRowsPerSecond     float64 `json:"kafka_engine_rows_per_second"`
	KafkaEngineBestRowsPerSecond float64 `json:"kafka_engine_best_rows_per_second"`
	KafkaEngineBest              string  `json:"kafka_engine_best_settings"`
	CeilingRowsPerSecond         float64 `json:"ceiling_rows_per_second"`
	CeilingConnections           int     `json:"ceiling_connections"`
	// CeilingKeptUp is what the server takes for as long as the product took.
	CeilingKeptUpRowsPerSecond float64 `json:"ceiling_kept_up_rows_per_second"`

	// The same of the servers, while our process loads.
	ClickHouseCPUSecondsPerMillionRows float64 `json:"clickhouse_cpu_seconds_per_million_rows"`
	BrokerCPUSecondsPerMillionRows     float64 `json:"broker_cpu_seconds_per_million_rows"`

	RatioKafkaEngine     float64 `json:"ratio_kafka_engine"`
	RatioKafkaEngineBest float64 `json:"ratio_kafka_engine_best"`
	RatioCeiling         float64 `json:"ratio_ceiling"`
	RatioCeilingKeptUp   float64 `json:"ratio_ceiling_kept_up"`
	// Noise is how far two runs of the very same thing were apart at most, as
	// a part of their median: a smaller difference means nothing.
	Noise float64 `json:"noise"`

	Intents *IntentsReport `json:"intents,omitempty"`

	Sink       []Run         `json:"-"`
	Engine     []Run         `json:"-"`
	EngineBest []Run         `json:"-"`
	Ceiling    map[int][]Run `json:"-"` // by connections
	// CeilingKeptUp is over the number of connections that was faster.
	CeilingKeptUp []Run `json:"-"`
}

// fastestCeiling is the number of connections over which ready-made blocks were
// inserted the fastest, and how fast.
func (r *LakeReport) fastestCeiling() (connections int, rate float64) {
	for n, runs := range r.Ceiling {
		if of := median(runs).RowsPerSecond(); of > rate {
			connections, rate = n, of
		}
	}
	return connections, rate
}

// finish computes medians and ratios.
func (r *LakeReport) finish() {
	if len(r.Sink) > 0 {
		mid := median(r.Sink)
		r.RowsPerSecond = mid.RowsPerSecond()
		r.MegabytesPerSecond = float64(mid.Bytes) / 1e6 / mid.Took.Seconds()
		r.Parts = mid.Parts
		r.ClickHouseCPUSecondsPerMillionRows, r.BrokerCPUSecondsPerMillionRows = mid.perMillion(mid.ClickHouse), mid.perMillion(mid.Broker)
		r.Noise = noise(r.Sink)
		cpu := slices.SortedFunc(slices.Values(r.Sink), func(a, b Run) int { return int(a.Usage.CPU - b.Usage.CPU) })
		r.CPUSecondsPerMillionRows = cpu[len(cpu)/2].perMillion(cpu[len(cpu)/2].Usage.CPU)
		for _, run := range r.Sink {
			r.PeakRSSBytes = max(r.PeakRSSBytes, run.Usage.PeakRSS)
		}
	}
	if len(r.Engine) > 0 {
		r.KafkaEngineRowsPerSecond = median(r.Engine).RowsPerSecond()
	}
	if len(r.EngineBest) > 0 {
		r.KafkaEngineBestRowsPerSecond = median(r.EngineBest).RowsPerSecond()
	}
	r.CeilingConnections, r.CeilingRowsPerSecond = r.fastestCeiling()
	if len(r.CeilingKeptUp) > 0 {
		r.CeilingKeptUpRowsPerSecond = median(r.CeilingKeptUp).RowsPerSecond()
	}
	// The documented setting is one of those that may be the best.
	r.KafkaEngineBestRowsPerSecond = max(r.KafkaEngineBestRowsPerSecond, r.KafkaEngineRowsPerSecond)
	r.RatioKafkaEngine = ratio(r.RowsPerSecond, r.KafkaEngineRowsPerSecond)
	r.RatioKafkaEngineBest = ratio(r.RowsPerSecond, r.KafkaEngineBestRowsPerSecond)
	r.RatioCeiling = ratio(r.RowsPerSecond, r.CeilingRowsPerSecond)
	r.RatioCeilingKeptUp = ratio(r.RowsPerSecond, r.CeilingKeptUpRowsPerSecond)
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// median is the run in the middle by its rate, of an even number the slower one of the
// two.
func median(runs []Run) Run {
	sorted := slices.SortedFunc(slices.Values(runs), func(a, b Run) int { return cmp.Compare(b.RowsPerSecond(), a.RowsPerSecond()) })
	return sorted[len(sorted)/2]
}

// noise is the distance of the fastest and the slowest run, as a part of the
// median.
func noise(runs []Run) float64 {
	least, most := runs[0].RowsPerSecond(), runs[0].RowsPerSecond()
	for _, run := range runs {
		least, most = min(least, run.RowsPerSecond()), max(most, run.RowsPerSecond())
	}
	return (most - least) / median(runs).RowsPerSecond()
}
