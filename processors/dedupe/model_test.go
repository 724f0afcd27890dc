package dedupe

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// model is the deduplicator in ten lines: a map that forgets nothing.
type model struct {
	highest map[schemas.ID]schemas.Price
	out     []string
}

func (m *model) see(p schemas.Price) {
	last, known := m.highest[p.EventID]
	switch {
	case !known:
		p.Revision = 0
	case p.Identity() == schemas.IdentitySlot && p.Withdrawn == last.Withdrawn:
		return
	case p.SameValues(&last):
		return
	default:
		p.Revision = last.Revision + 1
	}
	m.highest[p.EventID] = p
	m.out = append(m.out, told([]schemas.Price{p})...)
}

// randomPrice draws from few events and fewer values, so that repeats,
// restatements and flip-flops are common.
func randomPrice(rng *rand.Rand) *schemas.Price {
	instrument := []string{"EUR-USD", "EUR-CHF", "EUR-JPY"}[rng.IntN(3)]
	value := []string{"1", "2", "2.5"}[rng.IntN(3)]
	p := fixing(instrument, rng.IntN(20), value)
	if rng.IntN(3) == 0 {
		p = slotted(instrument, rng.IntN(20), value)
	}
	p.Withdrawn = rng.IntN(12) == 0
	return p
}

// TestAgainstModel runs random batches with aborts, clean restarts with
// retention in between, and crashes at random points, and wants of the log what
// the model says.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(25) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { againstModel(t, seed) })
	}
}

func againstModel(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	r := newRig(t, 1)
	defer r.stop()
	r.start()
	s := r.open(0)
	defer func() { mustClose(t, s) }()
	m := &model{highest: map[schemas.ID]schemas.Price{}}
	var got []string
	for range 50 {
		prices := make([]*schemas.Price, rng.IntN(12))
		for i := range prices {
			prices[i] = randomPrice(rng)
			m.see(*prices[i])
		}
		b := input(t, 0, prices...)
		for rng.IntN(3) == 0 { // aborted, perhaps with a crash, and tried again
			r.run(s, b, false)
			if rng.IntN(2) == 0 {
				s = r.crash(s, rng)
			}
		}
		got = append(got, told(r.prices(r.run(s, b, true)))...)
		switch rng.IntN(6) {
		case 0:
			s = r.crash(s, rng)
		case 1:
			mustClose(t, s)
			_, end, _ := r.log.Bounds(t.Context(), stream.TopicPartition{})
			r.log.retain(0, rng.Int64N(end+1))
			r.start()
			s = r.open(0)
		}
	}
	if !slices.Equal(got, m.out) {
		t.Errorf("seed %d: published\n%q\nwant\n%q", seed, got, m.out)
	}
	for name, want := range map[string]float64{"pricelake_dedupe_state_gap_total": 0, "pricelake_dedupe_state_receded_total": 0} {
		if got := r.metric(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// crash ends the process as a power cut does: of what was not synced, some is
// lost. It returns the stage of the process started after it.
func (r *rig) crash(s stream.Stage, rng *rand.Rand) stream.Stage {
	r.t.Helper()
	disk := r.fs.(*vfs.MemFS).CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
	mustClose(r.t, s) // the dead process' goroutines, on its own disk
	r.fs = disk
	r.start()
	return r.open(0)
}

// metric returns the value of a metric without labels, or the sum over its
// labels.
func (r *rig) metric(name string) float64 {
	r.t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	sum, found := 0.0, false
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			found = true
		}
	}
	if !found {
		r.t.Fatalf("there is no metric %s", name)
	}
	return sum
}
