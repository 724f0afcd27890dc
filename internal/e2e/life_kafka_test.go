package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/servers"
	"github.com/pricelake/pricelake/internal/simulator"
	"github.com/pricelake/pricelake/schemas"
)

// Sessions and transactions of the dead last this long in these tests; the test
// broker looks for expired transactions every second.
const testSession = 2 * time.Second

// TestLife puts two processes of every role through what happens to them in
// years: they are told to stop, they are rolled, they are killed, and so are the
// servers. It does not overlap with other tests: it measures pauses.
func TestLife(t *testing.T) {
	f := startFleet(t, serverSite(t), 4,
		"PRICELAKE_KAFKA_SESSION_TIMEOUT="+testSession.String(), "PRICELAKE_KAFKA_TRANSACTION_TIMEOUT="+testSession.String())
	procs := map[string][]*proc{}
	for _, role := range path {
		procs[role] = []*proc{f.run(role), f.run(role)}
	}
	for _, role := range path {
		for _, p := range procs[role] {
			p.ownsSome()
		}
	}
	f.movesEverywhere(30 * time.Second)

	t.Run("SIGTERM", func(t *testing.T) { f.in(t, func() { terminate(f, procs) }) })
	t.Run("rolling restart", func(t *testing.T) { f.in(t, func() { roll(f, procs) }) })
	t.Run("SIGTERM without servers", func(t *testing.T) { f.in(t, func() { terminateAlone(f, procs) }) })
	t.Run("kill", func(t *testing.T) { f.in(t, func() { killAll(f, procs) }) })
}

// in makes failures those of a subtest.
func (f *fleet) in(t *testing.T, test func()) {
	outer := f.t
	f.t = t
	defer func() { f.t = outer }()
	test()
}

// terminate stops one of the two processes of each role six times over, thirty in
// all, under load: quickly, cleanly, and so that nothing is done again.
func terminate(f *fleet, procs map[string][]*proc) {
	t := f.t
	var longest time.Duration
	for n := range 6 {
		for _, role := range path {
			victim := &procs[role][n%2]
			(*victim).ownsSome()
			longest = max(longest, (*victim).stop())
			*victim = f.run(role)
		}
	}
	f.movesEverywhere(30 * time.Second)
	f.exactly(func() {
		for _, topic := range []string{schemas.TopicRequests, schemas.TopicSchedules, schemas.TopicObserved, schemas.TopicRejected, schemas.TopicPrices} {
			if n := f.aborted(topic); n != 0 {
				t.Errorf("%s holds %d records of aborted transactions: batches were done again", topic, n)
			}
		}
		served, err := simulator.FetchSummary(context.Background(), f.simURL)
		if err != nil {
			t.Fatal(err)
		}
		if made := f.number("SELECT sum(length(attempts.number)) FROM polls"); made != served.Entries {
			t.Errorf("the server was asked %d times, the finished polls know of %d: calls were made again", served.Entries, made)
		}
		if n := f.number("SELECT sum(value) FROM system.events WHERE event = 'DuplicatedInsertedBlocks'"); n != 0 {
			t.Errorf("%d blocks were inserted again", n)
		}
		if n := f.logged("the sink is ahead of the committed offset"); n != 0 {
			t.Errorf("%d times a block was written and not committed", n)
		}
		if n := f.logged("a transaction was aborted"); n != 0 {
			t.Errorf("%d transactions were aborted", n)
		}
	})
	t.Logf("30 processes told to stop: the slowest took %s", longest.Round(time.Millisecond))
}

// terminateAlone stops one process of each role while neither the broker nor
// ClickHouse answers: it ends in time all the same.
func terminateAlone(f *fleet, procs map[string][]*proc) {
	for _, role := range path {
		procs[role][0].ownsSome()
	}
	f.real.kafka.Pause()
	f.real.clickhouse.Pause()
	time.Sleep(300 * time.Millisecond) // everything under way hangs
	began := time.Now()
	for _, role := range path {
		if err := procs[role][0].terminate(); err != nil {
			f.t.Fatal(err)
		}
	}
	for _, role := range path {
		err := procs[role][0].ended(40 * time.Second)
		if took := time.Since(began); took > 25*time.Second {
			f.t.Errorf("%s ended %s after SIGTERM", role, took)
		}
		f.t.Logf("%s ended within %s, with %v", role, time.Since(began).Round(10*time.Millisecond), err)
	}
	f.real.kafka.Resume()
	f.real.clickhouse.Resume()
	for _, role := range path {
		procs[role][0] = f.run(role)
	}
	f.movesEverywhere(60 * time.Second)
}

// roll gives each role four processes and restarts them one after the other.
func roll(f *fleet, procs map[string][]*proc) {
	for _, role := range path {
		members := append(slices.Clone(procs[role]), f.run(role), f.run(role))
		for _, p := range members {
			p.ownsSome()
		}
		eventually(f.t, 30*time.Second, "one partition each", func() error { return oneEach(members) })
		rolls := []rolling{rolled(f, role, members)}
		again := func(until int) {
			for len(rolls) < until {
				time.Sleep(10 * time.Second)
				rolls = append(rolls, rolled(f, role, members))
			}
		}
		if !short(rolls) {
			again(quietest)
		}
		if !short(rolls) && noisy(rolls) {
			again(mostRolls)
		}
		f.t.Logf("rolling restart of 4 × %s: no partition stood still for longer than %v", role, rolls)
		if !short(rolls) {
			f.t.Errorf("rolling restart of 4 × %s: partitions stood still for %v, want %s at most, the median of the %d quietest, and never twice that", role, rolls, longestPause, quietest)
		}
		for _, p := range members[2:] {
			p.stop()
		}
		procs[role] = members[:2]
	}
	f.exactly(func() {})
}

const (
	// longestPause is how long a partition may stand still while a role is restarted.
	longestPause = 2 * time.Second
	// Where it is longer the role is restarted again, so many times in all, a while
	// later each, and the median counts: the writes of a whole test run on one disk can
	// take a second of anybody.
	quietest = 5
	// Neighbours can have half of the machine for minutes, while a fleet like this needs
	// all of it: where they had some of it, there are so many in all and the quietest count.
	mostRolls = 10
	noise     = 0.02
)

// rolling is what one rolling restart was like.
type rolling struct {
	pause  time.Duration // the longest time that a partition stood still
	stolen float64       // part of the machine's CPU time that others had
}

func (r rolling) String() string { return fmt.Sprintf("%v (%.0f %% stolen)", r.pause, 100*r.stolen) }

// quiet are the rolls that the fewest neighbours were at, the quietest first.
func quiet(rolls []rolling) []rolling {
	sorted := slices.SortedStableFunc(slices.Values(rolls), func(a, b rolling) int { return cmp.Compare(a.stolen, b.stolen) })
	return sorted[:min(quietest, len(sorted))]
}

// noisy says whether others could be quieter than those that count.
func noisy(rolls []rolling) bool {
	of := quiet(rolls)
	return of[len(of)-1].stolen > noise
}

// short says whether partitions stood still for no longer than they may: the median
// of the quietest, and none of these twice as long.
func short(rolls []rolling) bool {
	quiet := quiet(rolls)
	slices.SortFunc(quiet, func(a, b rolling) int { return cmp.Compare(a.pause, b.pause) })
	return quiet[len(quiet)/2].pause <= longestPause && quiet[len(quiet)-1].pause <= 2*longestPause
}

// TestShort has the noisy ones not count where there are quiet ones.
func TestShort(t *testing.T) {
	long, brief := rolling{3 * time.Second, 0.5}, rolling{time.Second, 0.1}
	for name, c := range map[string]struct {
		rolls []rolling
		want  bool
	}{
		"one is enough":       {[]rolling{brief}, true},
		"one that is long":    {[]rolling{long}, false},
		"the others":          {[]rolling{long, long, long, brief, brief, brief, brief, brief}, true},
		"too few others":      {[]rolling{long, long, long, brief, brief}, false},
		"a very long one":     {[]rolling{brief, brief, brief, brief, {5 * time.Second, 0.1}}, false},
		"long without reason": {[]rolling{{3 * time.Second, 0}, {3 * time.Second, 0}, {3 * time.Second, 0}, brief, brief, brief}, false},
	} {
		if got := short(c.rolls); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if rolls := []rolling{long, brief, brief, brief, brief}; !noisy(rolls) {
		t.Errorf("nobody was at %v", rolls)
	}
	if rolls := []rolling{{3 * time.Second, 0}, {3 * time.Second, 0.01}}; noisy(rolls) {
		t.Errorf("somebody was at %v", rolls)
	}
}

// rolled restarts one member after the other.
func rolled(f *fleet, role string, members []*proc) rolling {
	from, before := time.Now(), cpuTimes()
	for i := range members {
		members[i].stop()
		members[i] = f.run(role)
		members[i].ownsSome()
		eventually(f.t, 30*time.Second, "one partition each", func() error { return oneEach(members) })
	}
	time.Sleep(500 * time.Millisecond) // until progress of the last has been seen
	var longest time.Duration
	for n := range f.partitions {
		longest = max(longest, f.watch.longestPause(place{role, n}, from, time.Now()))
	}
	return rolling{longest.Round(time.Millisecond), cpuTimes().stolenSince(before)}
}

func oneEach(members []*proc) error {
	for _, p := range members {
		if n := len(p.owned()); n != 1 {
			return fmt.Errorf("%s owns %d", p.name, n)
		}
	}
	return nil
}

// killAll ends one of the two processes of each role ten times over, as kill -9
// does, and in between ClickHouse and the only broker. Somebody else goes on in time, and in the end every price is there exactly once.
func killAll(f *fleet, procs map[string][]*proc) {
	limit := testSession + 5*time.Second
	longest := map[string]time.Duration{}
	// Two at once where the one does not starve the other: each poll brings prices
	// for every partition behind the normalizer, so half of what comes before it
	// keeps all of that busy.
	together := [][]string{{"scheduler", "deduplicator"}, {"poller", "lake"}, {"normalizer"}}
	for n := range 10 {
		for _, roles := range together {
			victims := make([]*victim, len(roles))
			for i, role := range roles {
				victims[i] = f.killOwner(procs[role][n%2])
			}
			for i, role := range roles {
				longest[role] = max(longest[role], victims[i].takeover(limit))
				procs[role][n%2] = f.run(role)
			}
		}
		switch n {
		case 3:
			f.real.kafka.Stop()
			f.real.kafka.Start()
			f.movesEverywhere(60 * time.Second)
		case 6:
			f.real.clickhouse.Kill()
			f.real.clickhouse.Start()
			f.movesEverywhere(60 * time.Second)
		case 8:
			f.real.kafka.Kill()
			f.real.kafka.Start()
			f.movesEverywhere(60 * time.Second)
		}
	}
	for _, role := range path {
		f.t.Logf("%s: the slowest of ten takeovers took %s", role, longest[role].Round(10*time.Millisecond))
	}
	f.exactly(func() {})
}

// TestTakeoverAtDefaults measures how long the dead are missed with the settings
// that nobody changed: sessions and transactions of ten seconds, and a broker that
// looks for expired transactions every ten. Its figures are in docs/benchmarks.
func TestTakeoverAtDefaults(t *testing.T) {
	if os.Getenv("PRICELAKE_MEASURE") == "" {
		t.Skip("takes two minutes and only measures: set PRICELAKE_MEASURE=1")
	}
	const interval = 10 * time.Second
	session := config.Default().Kafka.SessionTimeout
	f := startFleet(t, serverSiteOn(t, servers.KafkaConfig{Properties: map[string]string{
		"group.min.session.timeout.ms":                                "6000",
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": strconv.Itoa(int(interval.Milliseconds())),
	}}), 4, "PRICELAKE_KAFKA_SESSION_TIMEOUT="+session.String(), "PRICELAKE_KAFKA_TRANSACTION_TIMEOUT="+config.Default().Kafka.TransactionTimeout.String())
	victims := map[string]*proc{}
	for _, role := range path {
		victims[role] = f.run(role)
		f.run(role).ownsSome()
		victims[role].ownsSome()
	}
	f.movesEverywhere(60 * time.Second)
	for _, role := range path {
		took := f.killOwner(victims[role]).takeover(session + interval + 5*time.Second)
		t.Logf("%s: taken over in %s", role, took.Round(10*time.Millisecond))
	}
}

// victim is a process that was killed while it owned partitions.
type victim struct {
	*proc
	owned  []int
	killed time.Time
}

// killOwner ends a process as kill -9 does, once each of its partitions has moved:
// one that stands still, because what comes before it was killed too, tells nothing.
func (f *fleet) killOwner(p *proc) *victim {
	f.t.Helper()
	v := &victim{proc: p, owned: p.ownsSome()}
	for {
		f.moves(p.role, v.owned, time.Now(), 30*time.Second)
		now := p.ownsSome()
		if slices.Equal(now, v.owned) {
			break // a group that has just taken somebody in hands partitions on
		}
		v.owned = now
	}
	v.killed = time.Now()
	p.kill()
	return v
}

// takeover returns the longest time from the end of the victim until somebody
// else moves each of its partitions.
func (v *victim) takeover(limit time.Duration) time.Duration {
	f := v.f
	f.t.Helper()
	var longest time.Duration
	for _, n := range v.owned {
		p := place{v.role, n}
		eventually(f.t, limit+30*time.Second, fmt.Sprintf("somebody takes over %v", p), func() error {
			// What the victim had sent may take effect, and be seen, a moment later.
			after, ok := f.watch.after(p, v.killed.Add(3*watchEvery))
			if !ok {
				return errors.New("no progress")
			}
			longest = max(longest, after.Sub(v.killed))
			return nil
		})
	}
	if longest > limit {
		f.t.Errorf("taking over from a killed %s took %s, want at most %s", v.role, longest, limit)
	}
	return longest
}

// movesEverywhere waits until every partition of every role has moved.
func (f *fleet) movesEverywhere(within time.Duration) {
	f.t.Helper()
	since := time.Now()
	all := make([]int, f.partitions)
	for n := range all {
		all[n] = n
	}
	for _, role := range path {
		f.moves(role, all, since, within)
	}
}

// moves waits until each of some partitions of a role has moved since an instant.
func (f *fleet) moves(role string, partitions []int, since time.Time, within time.Duration) {
	f.t.Helper()
	for _, n := range partitions {
		eventually(f.t, within, fmt.Sprintf("%s moves on in partition %d", role, n), func() error {
			if _, ok := f.watch.after(place{role, n}, since); !ok {
				return errors.New("it stands still")
			}
			return nil
		})
	}
}
