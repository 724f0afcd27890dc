package bench

import (
	"fmt"
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
	// Inserts into prices, of the median pair, with bad records and without.
	Inserts      int64 `json:"inserts,omitempty"`
	CleanInserts int64 `json:"inserts_without,omitempty"`

	// Latency, at a rate, is that with bad records, LatencyWithout that without.
	Latency        *PoisonLatency `json:"latency,omitempty"`
	LatencyWithout *PoisonLatency `json:"latency_without,omitempty"`

	clean, poisoned []Poisoned
}

// PoisonLatency is how long records took from just before they were published until
// they were seen to be worked off, in seconds: medians of the runs.
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
	flowed flowed // at a rate
}

func (p Poisoned) perSecond() float64 {
	if p.flowed.took > 0 {
		return float64(p.flowed.records) / p.flowed.took.Seconds()
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
	if p.flowed.took > 0 {
		text += fmt.Sprintf(", p50 %.3f s, p99 %.3f s", p.flowed.p50.Seconds(), p.flowed.p99.Seconds())
	}
	return text
}

func (c *PoisonClass) finish() {
	ratios := func(rate func(Poisoned) float64) (kept, noise float64) {
		var each, clean []float64
		for i := range c.clean {
			each, clean = append(each, rate(c.poisoned[i])/rate(c.clean[i])), append(clean, rate(c.clean[i]))
		}
		mid := middle(clean)
		return middle(each), (clean[len(clean)-1] - clean[0]) / mid // sorted by then
	}
	c.Kept, c.Noise = ratios(Poisoned.perSecond)
	c.KeptCPU, c.NoiseCPU = ratios(Poisoned.perCPU)
	c.KeptAllCPU, c.NoiseAll = ratios(Poisoned.perAllCPU)
	c.Latency, c.LatencyWithout = latencyOf(c.poisoned), latencyOf(c.clean)
	at := len(c.clean) / 2
	c.Inserts, c.CleanInserts = c.poisoned[at].Inserts, c.clean[at].Inserts
}

// latencyOf is the medians of runs; nil where they were not at a rate.
func latencyOf(runs []Poisoned) *PoisonLatency {
	var p50, p99 []float64
	for _, r := range runs {
		if r.flowed.took == 0 {
			return nil
		}
		p50, p99 = append(p50, r.flowed.p50.Seconds()), append(p99, r.flowed.p99.Seconds())
	}
	return &PoisonLatency{P50: middle(p50), P99: middle(p99)}
}

// String is the class in a line.
func (c *PoisonClass) String() string {
	text := fmt.Sprintf("%.1f %% of the records a second are kept (noise %.1f %%), %.1f %% of those a CPU second of the role (%.1f %%), %.1f %% of all (%.1f %%); %d bad, each a %s (%s)",
		100*c.Kept, 100*c.Noise, 100*c.KeptCPU, 100*c.NoiseCPU, 100*c.KeptAllCPU, 100*c.NoiseAll, c.Bad, c.Becomes, c.Reason)
	if c.CleanInserts > 0 {
		text += fmt.Sprintf("; %d INSERTs instead of %d", c.Inserts, c.CleanInserts)
	}
	if l, w := c.Latency, c.LatencyWithout; l != nil {
		text += fmt.Sprintf("; p50 %.3f s instead of %.3f, p99 %.3f s instead of %.3f", l.P50, w.P50, l.P99, w.P99)
	}
	return text
}
