package bench

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// PoisonReport is what bad records cost the good ones.
type PoisonReport struct {
	Share   float64       `json:"share"` // of all records that were bad
	Pairs   int           `json:"pairs"`
	Rate    int           `json:"rate,omitempty"` // good records a second; none: as fast as it goes
	Classes []PoisonClass `json:"classes"`
}

// PoisonClass is what one kind of bad record costs. What is kept is the throughput
// of the good records with bad ones among them, as a part of that without: medians
// of the pairs. Noise is how far the runs without any were apart at most, as a part
// of their median: a smaller difference means nothing.
type PoisonClass struct {
	Role    string `json:"role"`
	Class   string `json:"class"`
	Text    string `json:"text"`
	Becomes string `json:"becomes"`
	Reason  string `json:"reason"`
	Good    int64  `json:"good"`
	Bad     int64  `json:"bad"` // each is a dead letter or a rejected price, counted
	// Kept is of the records a second, KeptCPU of those a CPU second of the role,
	// KeptAllCPU of those a CPU second of role, broker and ClickHouse.
	Kept       float64 `json:"kept"`
	KeptCPU    float64 `json:"kept_cpu"`
	KeptAllCPU float64 `json:"kept_all_cpu"`
	Noise      float64 `json:"noise"`
	NoiseCPU   float64 `json:"noise_cpu"`
	NoiseAll   float64 `json:"noise_all_cpu"`
	// Inserts into prices, with bad records and without: medians of the runs.
	Inserts      float64 `json:"inserts,omitempty"`
	CleanInserts float64 `json:"inserts_without,omitempty"`
	// Offered, at a rate, is how many good records were published a second, in the
	// run where they were fewest.
	Offered float64 `json:"offered,omitempty"`

	// Latency, at a rate, is that with bad records, LatencyWithout that without.
	Latency        *PoisonLatency `json:"latency,omitempty"`
	LatencyWithout *PoisonLatency `json:"latency_without,omitempty"`

	clean, poisoned []Poisoned
}

// PoisonLatency is how long records took from when they were due until they were seen
// to be worked off, in seconds: medians of the runs.
type PoisonLatency struct {
	P50 float64 `json:"p50_seconds"`
	P99 float64 `json:"p99_seconds"`
}

// Poisoned is one run.
type Poisoned struct {
	Good, Bad int64
	Took      time.Duration // until the good ones were worked off
	Usage     Usage         // of the role, the end of the dead letters included
	Inserts   int64
	Others
	flowed *flowed // at a rate
}

func (p Poisoned) perSecond() float64 {
	if p.flowed != nil {
		return p.flowed.perSecond()
	}
	return float64(p.Good) / p.Took.Seconds()
}
func (p Poisoned) perCPU() float64 { return float64(p.Good) / p.Usage.CPU.Seconds() }
func (p Poisoned) perAllCPU() float64 {
	return float64(p.Good) / (p.Usage.CPU + p.ClickHouse + p.Broker).Seconds()
}

// String is the run in a line.
func (p Poisoned) String() string {
	text := fmt.Sprintf("%.0f/s, %.0f a CPU second of the role, %.0f of all", p.perSecond(), p.perCPU(), p.perAllCPU())
	if f := p.flowed; f != nil {
		text += fmt.Sprintf(", of %.0f/s that came, p50 %.3f s, p99 %.3f s", f.offered, f.p50.Seconds(), f.p99.Seconds())
	}
	return text
}

func (c *PoisonClass) finish() {
	ratios := func(rate func(Poisoned) float64) (kept, noise float64) {
		var each, clean []float64
		for i := range c.clean {
			each, clean = append(each, math.Log(rate(c.poisoned[i])/rate(c.clean[i]))), append(clean, rate(c.clean[i]))
		}
		mid := middle(clean)
		// Of two ratios the geometric mean: where the second run of a pair is slower by
		// as much each time, nothing is lost.
		return math.Exp(middle(each)), (clean[len(clean)-1] - clean[0]) / mid // sorted by then
	}
	c.Kept, c.Noise = ratios(Poisoned.perSecond)
	c.KeptCPU, c.NoiseCPU = ratios(Poisoned.perCPU)
	c.KeptAllCPU, c.NoiseAll = ratios(Poisoned.perAllCPU)
	c.Inserts = medianOf(c.poisoned, func(p Poisoned) float64 { return float64(p.Inserts) })
	c.CleanInserts = medianOf(c.clean, func(p Poisoned) float64 { return float64(p.Inserts) })
	if c.clean[0].flowed == nil {
		return
	}
	c.Latency, c.LatencyWithout = latencyOf(c.poisoned), latencyOf(c.clean)
	c.Offered = math.Inf(1)
	for _, run := range slices.Concat(c.clean, c.poisoned) {
		c.Offered = min(c.Offered, run.flowed.offered)
	}
}

func medianOf(runs []Poisoned, what func(Poisoned) float64) float64 {
	var each []float64
	for _, run := range runs {
		each = append(each, what(run))
	}
	return middle(each)
}

// latencyOf is the medians of runs at a rate.
func latencyOf(runs []Poisoned) *PoisonLatency {
	return &PoisonLatency{
		P50: medianOf(runs, func(p Poisoned) float64 { return p.flowed.p50.Seconds() }),
		P99: medianOf(runs, func(p Poisoned) float64 { return p.flowed.p99.Seconds() }),
	}
}

// PartText is a part that is kept, in percent, and its noise, which one pair alone
// does not have.
func (c *PoisonClass) PartText(kept, noise float64) string {
	if len(c.clean) < 2 {
		return fmt.Sprintf("%.1f %% (–)", 100*kept)
	}
	return fmt.Sprintf("%.1f %% (%.1f)", 100*kept, 100*noise)
}

// String is the class in a line.
func (c *PoisonClass) String() string {
	text := fmt.Sprintf("kept (noise) of the records a second %s, of those a CPU second of the role %s, of all %s; %d bad, each a %s (%s)",
		c.PartText(c.Kept, c.Noise), c.PartText(c.KeptCPU, c.NoiseCPU), c.PartText(c.KeptAllCPU, c.NoiseAll), c.Bad, c.Becomes, c.Reason)
	if c.CleanInserts > 0 {
		text += fmt.Sprintf("; %g INSERTs instead of %g", c.Inserts, c.CleanInserts)
	}
	if l, w := c.Latency, c.LatencyWithout; l != nil {
		text += fmt.Sprintf("; p50 %.3f s instead of %.3f, p99 %.3f s instead of %.3f", l.P50, w.P50, l.P99, w.P99)
	}
	return text
}
