package scheduler

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/schemas"
)

// TestTenThousandCallsAMinute: ten thousand calls a minute are asked for on
// time and evenly, from the first minute of an empty log on.
func TestTenThousandCallsAMinute(t *testing.T) {
	const calls, minutes = 10_000, 5
	defs := make([]schemas.CallDefined, calls)
	for i := range defs {
		defs[i] = every(fmt.Sprintf("%d-call", i), time.Minute)
	}
	synctest.Test(t, func(t *testing.T) {
		s := newShard(defs...)
		perSecond := map[int64]int{}
		slots := map[schemas.ID]bool{}
		s.seen = func(a asked) {
			if slots[a.slot.PollID] {
				t.Errorf("call %s: slot %v asked for twice", a.slot.CallID, a.slot.Slot)
			}
			slots[a.slot.PollID] = true
			perSecond[a.at.Unix()]++
			// A newcomer's first slot may be as old as the interval.
			if late := a.at.Sub(a.slot.Slot); late > time.Minute {
				t.Errorf("call %s: slot %v asked for %v late", a.slot.CallID, a.slot.Slot, late)
			}
		}
		stop := start(t, s.config())
		time.Sleep(minutes * time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		busiest := 0
		for _, n := range perSecond {
			busiest = max(busiest, n)
		}
		mean := float64(calls) / 60
		t.Logf("%d slots, mean %.1f a second, busiest second %d (%.2f)", len(slots), mean, busiest, float64(busiest)/mean)
		if float64(busiest) > 1.5*mean {
			t.Errorf("busiest second asks for %d slots, more than 1.5 times the mean of %.1f", busiest, mean)
		}
		if len(slots) < calls*minutes {
			t.Errorf("%d slots in %d minutes of %d calls a minute", len(slots), minutes, calls)
		}
	})
}

// wallClock is a wall clock that jumps.
type wallClock struct {
	mu     sync.Mutex
	offset time.Duration
}

func (c *wallClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

func (c *wallClock) jump(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

// TestThirtyDaysOfTrouble runs a month of simulated time with clock jumps of an
// hour either way, transactions that fail with and without having happened,
// restarts, and a second owner that takes over. No slot is asked for twice, and
// every slot that was not asked for is counted.
func TestThirtyDaysOfTrouble(t *testing.T) {
	defs := []schemas.CallDefined{
		every("a-90s", 90*time.Second), every("b-minute", time.Minute), catchingUp(every("c-3min", 3*time.Minute)),
		every("d-17min", 17*time.Minute), catchingUp(every("e-hour", time.Hour)), every("f-day", 24*time.Hour),
		cronCall("g-fixing", "15 16 * * MON-FRI", "Europe/Berlin"),
		catchingUp(cronCall("h-night", "30 2 * * *", "Europe/Berlin")),
		catchingUp(cronCall("i-often", "*/5 * * * *", "America/New_York")),
	}
	slots := map[string]Slots{}
	for _, d := range defs {
		slots[d.CallID] = slotsOf(t, d.Schedule)
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2000, 3, 10, 0, 0, 0, 0, time.UTC))) // over the jumps of spring
		r := rand.New(rand.NewPCG(7, 7))
		s := newShard(defs...)
		faults := rand.New(rand.NewPCG(8, 8)) // another goroutine's
		s.fault = func() (failed, written bool) { return faults.IntN(200) == 0, faults.IntN(2) == 0 }
		last := map[string]schemas.SlotScheduled{}
		asks := 0
		var missed int64
		s.seen = func(a asked) {
			asks++
			missed += a.slot.Missed
			checkNext(t, slots[a.slot.CallID], last, a.slot)
		}
		reg := prometheus.NewRegistry()
		clock := &wallClock{}
		cfg := s.config()
		cfg.Metrics, cfg.Now, cfg.Recheck = NewMetrics(reg), clock.now, 20*time.Second
		ctx, cancel := context.WithCancel(t.Context())
		var owners sync.WaitGroup
		run := func() {
			cfg := cfg
			cfg.Publisher = s.open()
			owners.Go(func() { _ = New(cfg).Run(ctx) })
		}
		run()
		end := time.Now().Add(30 * 24 * time.Hour)
		for jumps := []time.Duration{time.Hour, -time.Hour}; time.Now().Before(end); {
			time.Sleep(time.Duration(r.Int64N(int64(12 * time.Hour))))
			switch r.IntN(3) {
			case 0:
				clock.jump(jumps[0])
				jumps[0], jumps[1] = jumps[1], jumps[0]
			case 1: // an owner dies, the next comes minutes later
				cancel()
				owners.Wait()
				time.Sleep(time.Duration(r.Int64N(int64(5 * time.Minute))))
				ctx, cancel = context.WithCancel(t.Context())
				run()
			case 2: // another takes over from a living one
				run()
			}
		}
		cancel()
		owners.Wait()
		if len(last) != len(defs) {
			t.Errorf("%d calls were asked for, of %d", len(last), len(defs))
		}
		counted := total(t, reg, "pricelake_scheduler_slots_missed_total")
		t.Logf("%d slots asked for, %d missed, %.0f of them in the counter", asks, missed, counted)
		if asks < 80_000 || missed == 0 {
			t.Errorf("%d slots asked for and %d missed in 30 days: the test tests nothing", asks, missed)
		}
		if int64(counted) != missed {
			t.Errorf("the counter says %.0f slots missed, the log %d", counted, missed)
		}
	})
}

// total sums a counter over its labels.
func total(t *testing.T, g prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// checkNext compares a slot with the one before it in the log.
func checkNext(t *testing.T, slots Slots, last map[string]schemas.SlotScheduled, slot schemas.SlotScheduled) {
	t.Helper()
	if latest, ok := slots.Latest(slot.Slot); !ok || !latest.Equal(slot.Slot) {
		t.Errorf("call %s: %v is no slot", slot.CallID, slot.Slot)
	}
	before, ok := last[slot.CallID]
	last[slot.CallID] = slot
	if !ok {
		return
	}
	if !slot.Slot.After(before.Slot) {
		t.Errorf("call %s: slot %v asked for after %v", slot.CallID, slot.Slot, before.Slot)
		return
	}
	var passed int64
	for s, ok := slots.Next(before.Slot); ok && s.Before(slot.Slot); s, ok = slots.Next(s) {
		passed++
	}
	if slot.Missed != passed {
		t.Errorf("call %s: %d slots missed between %v and %v, counted %d", slot.CallID, passed, before.Slot, slot.Slot, slot.Missed)
	}
}

// BenchmarkAsk is the cost of one slot in the scheduler itself.
func BenchmarkAsk(b *testing.B) {
	defs := make([]schemas.CallDefined, 10_000)
	for i := range defs {
		defs[i] = every(fmt.Sprintf("%d-call", i), time.Minute)
	}
	s := newShard(defs...)
	s.seen = func(asked) {}
	cfg := s.config()
	sched := New(cfg)
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	sched.plan.update(now, defs)
	b.ReportAllocs()
	for n := 0; n < b.N; {
		now = now.Add(time.Second)
		asks := sched.plan.due(now, batchLimit)
		if err := sched.ask(b.Context(), now, asks); err != nil {
			b.Fatal(err)
		}
		n += len(asks)
	}
}
