package bench

import (
	"fmt"
	"time"
)

// PoisonReport is what bad records cost the good ones.
type PoisonReport struct {
	Share   float64       `json:"share"` // of all records that were bad
	Pairs   int           `json:"pairs"`
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

	clean, poisoned []Poisoned
}

// Poisoned is one run.
type Poisoned struct {
	Good, Bad int64
	Took      time.Duration // until the good ones were worked off
	Usage     Usage         // of the role, the end of the dead letters included
	Inserts   int64
	Others
}

func (p Poisoned) perSecond() float64 { return float64(p.Good) / p.Took.Seconds() }
func (p Poisoned) perCPU() float64    { return float64(p.Good) / p.Usage.CPU.Seconds() }
func (p Poisoned) perAllCPU() float64 {
	return float64(p.Good) / (p.Usage.CPU + p.ClickHouse + p.Broker).Seconds()
}

// String is the run in a line.
func (p Poisoned) String() string {
	return fmt.Sprintf("%.0f/s, %.0f a CPU second of the role, %.0f of all", p.perSecond(), p.perCPU(), p.perAllCPU())
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
	at := len(c.clean) / 2
	c.Inserts, c.CleanInserts = c.poisoned[at].Inserts, c.clean[at].Inserts
}

// String is the class in a line.
func (c *PoisonClass) String() string {
	text := fmt.Sprintf("%.1f %% of the records a second are kept (noise %.1f %%), %.1f %% of those a CPU second of the role (%.1f %%), %.1f %% of all (%.1f %%); %d bad, each a %s (%s)",
		100*c.Kept, 100*c.Noise, 100*c.KeptCPU, 100*c.NoiseCPU, 100*c.KeptAllCPU, 100*c.NoiseAll, c.Bad, c.Becomes, c.Reason)
	if c.CleanInserts > 0 {
		text += fmt.Sprintf("; %d INSERTs instead of %d", c.Inserts, c.CleanInserts)
	}
	return text
}
