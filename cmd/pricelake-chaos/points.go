package main

import (
	"context"
	"time"

	"github.com/pricelake/pricelake/cmd/pricelake-chaos/count"
	"github.com/pricelake/pricelake/cmd/pricelake-chaos/fault"
)

// pointRow is a line of the table of failpoints.
type pointRow struct {
	Point string `json:"point"`
	// Armed counts how often a process was to end there, Fired those that did,
	// Passed the processes that came by at least once.
	Armed  int    `json:"armed"`
	Fired  int    `json:"fired"`
	Passed int    `json:"passed"`
	Text   string `json:"text"`
}

// points prints the table of failpoints and adds the check that each one that
// had its turn ended a process: one that is never reached tests nothing.
func (t *rig) points(report *count.Report) error {
	use := t.o.points()
	if len(use) == 0 {
		return nil
	}
	seen, err := t.armory.read()
	if err != nil {
		return err
	}
	armed := map[string]int{}
	for _, s := range t.o.steps() {
		for _, p := range s.Points {
			armed[p]++
		}
	}
	var unhit, seldom count.Findings
	rows := make([]pointRow, 0, len(use))
	fired := 0
	for _, d := range use {
		row := pointRow{string(d.Point), armed[string(d.Point)], seen[d.Point].Fired, seen[d.Point].Passed, d.Text}
		rows = append(rows, row)
		fired += row.Fired
		switch least := t.o.leastHits(); {
		case row.Armed > 0 && row.Fired == 0:
			unhit.Addf("%s: %d processes were to end there, none did; %d came by", row.Point, row.Armed, row.Passed)
		case row.Fired < least && row.Armed >= least:
			seldom.Addf("%s: %d processes were to end there, %d did", row.Point, row.Armed, row.Fired)
		}
	}
	t.screen.points(rows)
	report.Add("failpoints", "every failpoint that had its turn was hit", &unhit, "%d points, %d processes ended at them", len(use), fired)
	if least := t.o.leastHits(); least > 0 {
		report.Add("failpoints", "every failpoint was hit a few times", &seldom, "at least %d times each", least)
	}
	return nil
}

// leastHits is how often each failpoint has to be hit in a run with many kills.
func (o *options) leastHits() int {
	if o.kills >= fault.ManyKills {
		return fault.Turns - 1
	}
	return 0
}

const (
	// chances is how often processes that have not come to their failpoint get
	// another chance after the last fault, chance how long each takes. Where each
	// point is to be hit a few times they have as many for each.
	chances = 5
	chance  = 6 * time.Second
)

// lastChances lets those failpoints have their turn at which too few processes have
// ended yet. Some are passed only by who takes over, others only by who has to give
// partitions up: those that are waited for are ended, and the others of their role
// the next time, who then come back and want their share.
func (t *rig) lastChances(ctx context.Context) error {
	for round := range chances * max(t.o.leastHits(), 1) {
		t.injector.provoke(ctx, t.armory.lacking())
		limit, cancel := context.WithTimeout(ctx, chance)
		var waiting []string
		var err error
		done := t.await(limit, func() bool {
			waiting, err = t.armory.waiting()
			return err != nil || len(waiting) == 0
		})
		cancel()
		if done {
			t.injector.wg.Wait()
			return err
		}
		if peers := t.roles.peers(waiting); round%2 == 1 && len(peers) > 0 {
			waiting = peers
		}
		t.screen.say("too few processes have come to %v yet; ending %v", t.armory.lacking(), waiting)
		for _, name := range waiting {
			t.injector.kill(ctx, t.injector.processes[name].Kill)
		}
	}
	return nil
}
