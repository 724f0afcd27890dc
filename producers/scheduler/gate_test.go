package scheduler

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// gate is a switch of the tests.
type gate struct {
	mu      sync.Mutex
	paused  bool
	changed chan struct{}
}

func newGate() *gate { return &gate{changed: make(chan struct{})} }

func (g *gate) Paused() (bool, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.paused, g.changed
}

func (g *gate) set(paused bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.paused = paused
	close(g.changed)
	g.changed = make(chan struct{})
}

// TestPause: a paused scheduler asks for nothing. When it is resumed, slots it
// has passed over are missed: counted, and the latest is asked for by calls that
// catch up, at once; a frequent call goes on with its next slot, and only once a
// slot, although the gate is touched again.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rare := every("rare", time.Hour)
		rare.Schedule.PhaseMicros = (10 * time.Minute).Microseconds()
		daily := catchingUp(every("daily", 24*time.Hour))
		daily.Schedule.PhaseMicros = (20 * time.Minute).Microseconds()
		s := newShard(every("often", 10*time.Second), rare, daily)
		g := newGate()
		cfg := s.config()
		cfg.Gate = g
		stop := start(t, cfg)
		time.Sleep(time.Minute)
		synctest.Wait()
		before := map[string]int{"often": len(s.of("often")), "rare": len(s.of("rare")), "daily": len(s.of("daily"))}
		if before["often"] < 6 {
			t.Fatalf("asked %v times in the first minute", before)
		}
		g.set(true)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		for id, n := range before {
			if now := len(s.of(id)); now != n {
				t.Errorf("call %q was asked for %d times while paused", id, now-n)
			}
		}
		g.set(false)
		g.set(false)
		time.Sleep(15 * time.Second)
		synctest.Wait()
		often := s.of("often")[before["often"]:]
		if n := len(often); n < 1 || n > 2 {
			t.Errorf("the frequent call was asked for %d times within 15 s of the resumption", n)
		} else if missed := often[0].slot.Missed; missed < 8600 || missed > 8640 {
			t.Errorf("%d slots of the frequent call are missed, want those of a day", missed)
		}
		if n := len(s.of("rare")) - before["rare"]; n != 0 {
			t.Errorf("the rare call was asked for %d times at once; it lets late slots go", n)
		}
		if n := len(s.of("daily")) - before["daily"]; n != 1 {
			t.Errorf("the call that catches up was asked for %d times, want once", n)
		}
		seen := map[time.Time]bool{}
		for _, a := range s.of("often") {
			if seen[a.slot.Slot] {
				t.Errorf("slot %v was asked for twice", a.slot.Slot)
			}
			seen[a.slot.Slot] = true
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
