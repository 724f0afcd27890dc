package bench

import (
	"context"
	"slices"
)

// IntentsReport is what the intents cost that the role commits, against the same
// role without any. Each pair has its own cost, and each a third run that tells
// how far two runs of the very same thing are apart: the noise.
type IntentsReport struct {
	Pairs int `json:"pairs"`
	// Cost and Noise are of the rows per second, CPUCost and CPUNoise of the CPU
	// time of the role's process for a row: parts of one, medians of the pairs.
	Cost     float64 `json:"cost"`
	Noise    float64 `json:"noise"`
	CPUCost  float64 `json:"cpu_cost"`
	CPUNoise float64 `json:"cpu_noise"`

	Intended []Run `json:"-"`
	Again    []Run `json:"-"`
	Bare     []Run `json:"-"`
}

// intents measures pairs of runs, interleaved.
func (b *lakeBench) intents(ctx context.Context) error {
	r := &IntentsReport{Pairs: b.Pairs}
	b.report.Intents = r
	for pair := range b.Pairs {
		// Each comes first, second and last in turn: what the machine does
		// meanwhile must not always meet the same.
		for turn := range 3 {
			into, name, env := &r.Intended, "with intents", ""
			switch (pair + turn) % 3 {
			case 1:
				into, name, env = &r.Bare, "without", "1"
			case 2:
				into, name = &r.Again, "with intents again"
			}
			run, err := b.sinkRun(ctx, 1, childNoIntentsEnv+"="+env)
			if err != nil {
				return err
			}
			*into = append(*into, run)
			b.Progress("pair %d, %s: %v", pair+1, name, run)
		}
	}
	r.finish()
	return nil
}

func (r *IntentsReport) finish() {
	var cost, noise, cpuCost, cpuNoise []float64
	for i, with := range r.Intended {
		bare, again := r.Bare[i], r.Again[i]
		cost = append(cost, 1-with.RowsPerSecond()/bare.RowsPerSecond())
		noise = append(noise, apart(with.RowsPerSecond(), again.RowsPerSecond()))
		cpuCost = append(cpuCost, with.perMillion(with.Usage.CPU)/bare.perMillion(bare.Usage.CPU)-1)
		cpuNoise = append(cpuNoise, apart(with.perMillion(with.Usage.CPU), again.perMillion(again.Usage.CPU)))
	}
	r.Cost, r.Noise, r.CPUCost, r.CPUNoise = middle(cost), middle(noise), middle(cpuCost), middle(cpuNoise)
}

// apart is how far the smaller of two is below the larger, as a part of it.
func apart(a, b float64) float64 { return 1 - min(a, b)/max(a, b) }

// middle is the median. Of an even number it is the mean of the two in the middle.
func middle(values []float64) float64 {
	slices.Sort(values)
	at := len(values) / 2
	if len(values)%2 == 0 {
		return (values[at-1] + values[at]) / 2
	}
	return values[at]
}
