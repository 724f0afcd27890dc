package main

import (
	"context"
	"sync"
	"time"

	"github.com/pricelake/pricelake/cmd/pricelake-chaos/count"
	"github.com/pricelake/pricelake/cmd/pricelake-chaos/fault"
	"github.com/pricelake/pricelake/cmd/pricelake-chaos/market"
	"github.com/pricelake/pricelake/cmd/pricelake-chaos/proc"
	"github.com/pricelake/pricelake/internal/failpoint"
)

// injector does what a plan says.
type injector struct {
	processes  map[string]*proc.Process
	kafka      *fault.Kafka
	clickHouse *fault.Proxy
	api        *market.Server
	feed       *market.Feed
	log        *count.Kafka
	lake       *count.ClickHouse
	heads      *heads
	screen     *screen
	disks      *disks
	armory     *armory
	session    time.Duration

	wg    sync.WaitGroup // faults that last
	kills int
	ended int // processes that kills ended
	done  map[fault.Kind]int
	// zombies counts by process how often it was frozen for so long that another
	// one took over.
	zombies map[string]int
}

// run does the steps of a plan at their times; it returns when the last fault is
// healed. elapsed is told the time since the beginning.
func (in *injector) run(ctx context.Context, steps []fault.Step, elapsed func(time.Duration)) {
	in.done, in.zombies = map[fault.Kind]int{}, map[string]int{}
	begun := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	defer in.heal()
	for _, step := range steps {
		for time.Since(begun) < step.At {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				elapsed(time.Since(begun))
			}
		}
		in.screen.fault(step)
		in.do(ctx, step)
		in.done[step.Kind]++
	}
}

// heal waits until what lasts has ended, and takes everything back.
func (in *injector) heal() {
	in.wg.Wait()
	in.kafka.Heal()
	for _, p := range in.processes {
		p.Thaw()
	}
}

func (in *injector) do(ctx context.Context, step fault.Step) {
	p := in.processes[step.Target]
	switch step.Kind {
	case fault.Kill:
		in.kills++
		in.kill(ctx, p.Kill)
	case fault.Failpoint:
		in.kills++
		in.armory.arm(step.Target, step.Points, step.Nth)
		in.kill(ctx, p.Kill)
		in.provoke(ctx, in.armory.lacking())
	case fault.Wipe:
		in.provoke(ctx, []failpoint.Point{failpoint.DedupeRestored})
		in.armory.wipe(step.Target)
		in.kill(ctx, p.Kill)
	case fault.Burn:
		in.burn(ctx)
	case fault.KillAll:
		in.kills++
		for _, p := range in.processes {
			if p.Kill() {
				in.ended++
			}
		}
	case fault.Freeze:
		if p.Freeze() {
			if step.For >= 2*in.session {
				in.zombies[step.Target]++
			}
			in.lasting(ctx, step.For, p.Thaw)
		}
	case fault.Slow:
		in.wg.Go(func() { slow(ctx, p, step.For) })
	case fault.Full:
		in.full(ctx, p, step)
	case fault.Reset:
		if step.Target == fault.Broker {
			in.kafka.Reset()
		} else {
			in.clickHouse.Reset()
		}
	case fault.Stall:
		if step.Target == fault.Broker {
			in.kafka.Stall(step.For)
		} else {
			in.clickHouse.Stall(step.For)
		}
		in.lasting(ctx, step.For, func() {})
	case fault.Lose:
		if step.Target == fault.Broker {
			in.kafka.LoseAnswer(step.Key, step.Times)
		} else {
			in.wg.Go(func() { in.clickHouse.LoseAnswers(ctx, loseLimit) })
		}
	case fault.Trouble:
		in.api.Disturb(market.Trouble{Share: troubleShare, Until: time.Now().Add(step.For)})
		in.lasting(ctx, step.For, func() {})
	}
}

const (
	// loseLimit is how long to wait for a request whose answer can be lost.
	loseLimit = 3 * time.Second
	// troubleShare of the requests meet trouble while there is some.
	troubleShare = 0.7
	// killPatience is how long a kill waits for a process that is just being
	// started again.
	killPatience = 2 * time.Second
)

func (in *injector) kill(ctx context.Context, kill func() bool) {
	for deadline := time.Now().Add(killPatience); !kill(); {
		if time.Now().After(deadline) || ctx.Err() != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	in.ended++
}

// lasting runs after when the time is over or ctx ends.
func (in *injector) lasting(ctx context.Context, d time.Duration, after func()) {
	in.wg.Go(func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		after()
	})
}

// Of each slowTurn a slow process runs slowRun.
const (
	slowTurn = 100 * time.Millisecond
	slowRun  = 10 * time.Millisecond
)

// slow lets a process run a tenth of the time, as on a disk or a processor that
// others use.
func slow(ctx context.Context, p *proc.Process, d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end) && ctx.Err() == nil; {
		p.Freeze()
		time.Sleep(slowTurn - slowRun)
		p.Thaw()
		time.Sleep(slowRun)
	}
}

// full fills the disk of a server for a while. A server may end for it.
func (in *injector) full(ctx context.Context, p *proc.Process, step fault.Step) {
	free, err := in.disks.fill(step.Target)
	if err != nil {
		in.screen.say("filling the disk of %s: %v", step.Target, err)
		return
	}
	p.MayEnd(true)
	in.lasting(ctx, step.For, func() {
		free()
		in.lasting(ctx, mayEndAfter, func() { p.MayEnd(false) })
	})
}

// mayEndAfter is how long after its disk was freed a server may still end for
// what happened before.
const mayEndAfter = 3 * time.Second
