package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/pricelake/pricelake/internal/failpoint"
)

// armory tells processes at which failpoints to end themselves. One that ends of
// something else before it has come there is told again when it is started anew:
// whether it comes there depends on what it owns.
type armory struct {
	dir  string // of the logs in which processes note what they passed, one each
	data string // has the folders of the processes
	// least is how many processes are to end at a point before nobody waits for more.
	least int

	mu     sync.Mutex
	orders map[string][]*order // by process
	wiped  map[string]bool     // processes whose disk is lost when they start
}

// order is to end at a point.
type order struct {
	point failpoint.Point
	nth   int
	told  bool // to a process
}

func newArmory(logs, data string, least int) *armory {
	return &armory{dir: logs, data: data, least: least, orders: map[string][]*order{}, wiped: map[string]bool{}}
}

// wipe has a deduplicator lose its disk before its next start.
func (a *armory) wipe(process string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.wiped[process] = true
}

// arm orders a process to end at each of the points, one after the other, from
// its next start on.
func (a *armory) arm(process string, points []string, nth int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range points {
		a.orders[process] = append(a.orders[process], &order{point: failpoint.Point(p), nth: nth})
	}
}

// env is what the next start of a process gets. An order that was told before and
// came to nothing is for the first hit.
func (a *armory) env(process string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var texts []string
	armed := map[failpoint.Point]bool{}
	for _, o := range a.open(process) {
		if armed[o.point] {
			continue // it ends there once
		}
		nth := o.nth
		if o.told {
			nth = 1
		}
		armed[o.point], o.told = true, true
		a.wiped[process] = a.wiped[process] || o.point == failpoint.DedupeRestored
		texts = append(texts, fmt.Sprintf("%s=%s@%d", o.point, failpoint.Kill, nth))
	}
	if a.wiped[process] {
		delete(a.wiped, process)
		_ = os.RemoveAll(filepath.Join(a.data, process, "deduplicator")) // what is left of it is a disk that was not lost
	}
	if len(texts) == 0 {
		return nil
	}
	return []string{failpoint.Env + "=" + strings.Join(texts, ";")}
}

// open are the orders that a process has not obeyed. The caller holds the lock.
func (a *armory) open(process string) (open []*order) {
	seen, err := failpoint.ReadLog(a.log(process))
	if err != nil {
		return nil // the table at the end will say so too
	}
	for _, o := range a.orders[process] {
		c := seen[o.point]
		if c.Fired == 0 {
			open = append(open, o)
			continue
		}
		c.Fired--
		seen[o.point] = c
	}
	return open
}

// waiting are the processes with orders that they have not obeyed, for points at which
// too few have ended yet.
func (a *armory) waiting() (processes []string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	behind, err := a.behind()
	if err != nil {
		return nil, err
	}
	for _, process := range slices.Sorted(maps.Keys(a.orders)) {
		if slices.ContainsFunc(a.open(process), func(o *order) bool { return behind[o.point] }) {
			processes = append(processes, process)
		}
	}
	return processes, nil
}

// lacking are the points at which processes are to end and too few have yet.
func (a *armory) lacking() []failpoint.Point {
	a.mu.Lock()
	defer a.mu.Unlock()
	behind, err := a.behind()
	if err != nil {
		return nil // the table at the end will say so too
	}
	return slices.Sorted(maps.Keys(behind))
}

// behind has the points at which fewer than least processes have ended, and fewer
// than were to. The caller holds the lock.
func (a *armory) behind() (map[failpoint.Point]bool, error) {
	all, err := a.read()
	if err != nil {
		return nil, err
	}
	ordered := map[failpoint.Point]int{}
	for _, orders := range a.orders {
		for _, o := range orders {
			ordered[o.point]++
		}
	}
	behind := map[failpoint.Point]bool{}
	for p, n := range ordered {
		if all[p].Fired < min(n, a.least) {
			behind[p] = true
		}
	}
	return behind, nil
}

// log is where a process writes which failpoints it passed.
func (a *armory) log(process string) string { return filepath.Join(a.dir, process+".failpoints.log") }

// read sums up the logs of all processes.
func (a *armory) read() (map[failpoint.Point]failpoint.Counts, error) {
	names, err := filepath.Glob(a.log("*"))
	if err != nil {
		return nil, fmt.Errorf("looking for the logs of failpoints: %w", err)
	}
	all := map[failpoint.Point]failpoint.Counts{}
	for _, name := range names {
		one, err := failpoint.ReadLog(name)
		if err != nil {
			return nil, err
		}
		for p, c := range one {
			all[p] = failpoint.Counts{Passed: all[p].Passed + c.Passed, Fired: all[p].Fired + c.Fired}
		}
	}
	return all, nil
}
