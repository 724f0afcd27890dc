package fault

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Kind is a kind of fault.
type Kind string

// The kinds.
const (
	Kill    Kind = "kill"     // SIGKILL; the process is started again
	KillAll Kind = "kill-all" // every process at once
	// Failpoint is SIGKILL too; the process that is started again ends itself
	// at a failpoint, and again at the next one if there are several.
	Failpoint Kind = "failpoint"
	Freeze    Kind = "freeze"  // SIGSTOP for longer than a session lives, then SIGCONT
	Reset     Kind = "reset"   // all connections to a server are cut
	Stall     Kind = "stall"   // no byte goes through for a while
	Lose      Kind = "lose"    // a request is acted on, its answer is lost
	Trouble   Kind = "trouble" // the API misbehaves
	Slow      Kind = "slow"    // a server runs a tenth of the time
	Full      Kind = "full"    // the disk of a server is full
	// Wipe is SIGKILL to a deduplicator, whose disk is empty when it comes back.
	Wipe Kind = "wipe"
	// Burn uses up the names of INSERTs that are about to be made.
	Burn Kind = "burn"
)

// Targets that are no role.
const (
	Broker     = "broker"
	Registry   = "registry"
	ClickHouse = "clickhouse"
	API        = "api"
)

// Step is one fault of a plan.
type Step struct {
	At     time.Duration `json:"at"` // from the beginning
	Kind   Kind          `json:"kind"`
	Target string        `json:"target"`          // a process, or a server behind a proxy
	For    time.Duration `json:"for,omitempty"`   // how long it lasts
	Ask    string        `json:"ask,omitempty"`   // the request whose answer is lost
	Key    int16         `json:"-"`               // its API key
	Times  int           `json:"times,omitempty"` // how many answers are lost
	Points []string      `json:"points,omitempty"`
	Nth    int           `json:"nth,omitempty"` // the hit of a point that ends the process
}

// String is the step as people read it.
func (s Step) String() string {
	text := fmt.Sprintf("%s %s", s.Kind, s.Target)
	if s.Ask != "" {
		text += fmt.Sprintf(" (%d × the answer to %s)", s.Times, s.Ask)
	}
	if len(s.Points) > 0 {
		text += fmt.Sprintf(" at %s, the %d. time", strings.Join(s.Points, " and "), s.Nth)
	}
	if s.For > 0 {
		text += " for " + s.For.String()
	}
	return text
}

// Options say what a plan is made of.
type Options struct {
	Seed  uint64
	Kills int
	// Gap is the mean time between two steps of a plan.
	Gap time.Duration
	// Others is how many other faults there are for each kill, on average.
	Others float64
	// Processes may be killed and frozen, with how often relative to each
	// other.
	Processes []Process
	// Session is how long a silent member of a consumer group lives.
	Session time.Duration
	// Proxied servers stand behind a proxy.
	Proxied []string
	// Points are taken in turns by every other kill, each as often as any other;
	// where there are many kills, by several at a time, so that each has a few
	// turns.
	Points []Point
	// Zombies is how often a process of each role that can own partitions is
	// frozen for twice the session's time, so that another one takes over and it
	// comes back; of the roles ZombieRoles.
	Zombies int
	// Disks are servers with file systems of their own.
	Disks []string
	// Kinds, if any, are the only ones to use.
	Kinds []Kind
}

// Process is one that a plan may end.
type Process struct {
	Name   string
	Role   string
	Weight int
	// Freezable processes are frozen too.
	Freezable bool
}

// Point is a failpoint and the roles that pass it.
type Point struct {
	Name  string
	Roles []string
}

// Plan makes a plan. It depends on nothing but its options.
func Plan(o Options) []Step {
	p := planner{Options: o, rng: rand.New(rand.NewPCG(o.Seed, 1))}
	at := time.Duration(0)
	for kills := 0; kills < o.Kills; {
		at += time.Duration((0.5 + p.rng.Float64()) * float64(o.Gap) / (1 + o.Others))
		step := p.other()
		if p.rng.Float64()*(1+o.Others) < 1 || step.Kind == "" {
			step = p.kill()
			kills++
		}
		step.At = at.Round(time.Millisecond)
		p.steps = append(p.steps, step)
	}
	p.zombies()
	return p.steps
}

// ZombieRoles are the roles whose owners of partitions could do harm after they
// have been given up.
func ZombieRoles() []string { return []string{"poller", "normalizer", "deduplicator", "lake"} }

// zombies adds rounds in which a process of each role is frozen. The roles have
// their turns a moment apart, and the group of each has time to gather again.
func (p *planner) zombies() {
	long := 2 * p.Session
	for round := range p.Zombies {
		at := time.Duration(round) * (long + p.Session)
		for _, role := range ZombieRoles() {
			at += p.between(0, p.Session/4)
			if target := p.choose(func(c Process) bool { return c.Role == role && c.Freezable }); target != "" {
				p.steps = append(p.steps, Step{At: at, Kind: Freeze, Target: target, For: long})
			}
		}
	}
	slices.SortStableFunc(p.steps, func(a, b Step) int { return cmp.Compare(a.At, b.At) })
}

type planner struct {
	Options
	rng   *rand.Rand
	steps []Step
	turn  []Point // points that have not had their turn in this round
	odd   bool
}

// killAllOneIn kills take everything at once.
const killAllOneIn = 20

func (p *planner) kill() Step {
	p.odd = !p.odd
	if len(p.Points) > 0 && p.odd {
		return p.point()
	}
	if p.rng.IntN(killAllOneIn) == 0 && p.uses(KillAll) {
		return Step{Kind: KillAll, Target: "everything"}
	}
	return Step{Kind: Kill, Target: p.choose(func(Process) bool { return true })}
}

const (
	// ManyKills are enough for every point to have a few turns.
	ManyKills = 100
	// Turns is how many that are.
	Turns = 6
	// maxPoints bounds how many points one kill takes for it.
	maxPoints = 4
	// maxNth bounds which hit of a point ends the process.
	maxNth = 3
)

// atOnce is how many points one kill takes. Without many kills most of what is
// killed is to be killed anywhere.
func (p *planner) atOnce() int {
	if p.Kills < ManyKills {
		return 1
	}
	half := (p.Kills + 1) / 2
	return min((Turns*len(p.Points)+half-1)/half, maxPoints)
}

// point draws points that have not had their turn, and a process that passes
// them.
func (p *planner) point() Step {
	if len(p.turn) == 0 {
		p.turn = slices.Clone(p.Points)
		p.rng.Shuffle(len(p.turn), func(i, j int) { p.turn[i], p.turn[j] = p.turn[j], p.turn[i] })
	}
	step := Step{Kind: Failpoint, Nth: 1 + p.rng.IntN(maxNth)}
	role := p.turn[0].Roles[p.rng.IntN(len(p.turn[0].Roles))]
	step.Target = p.choose(func(c Process) bool { return c.Role == role })
	most := p.atOnce()
	p.turn = slices.DeleteFunc(p.turn, func(one Point) bool {
		take := len(step.Points) < most && slices.Contains(one.Roles, role)
		if take {
			step.Points = append(step.Points, one.Name)
		}
		return take
	})
	return step
}

// choose draws a process by weight.
func (p *planner) choose(fit func(Process) bool) string {
	total := 0
	for _, c := range p.Processes {
		if fit(c) {
			total += c.Weight
		}
	}
	if total == 0 {
		return ""
	}
	n := p.rng.IntN(total)
	for _, c := range p.Processes {
		if !fit(c) {
			continue
		}
		if n -= c.Weight; n < 0 {
			return c.Name
		}
	}
	return ""
}

func (p *planner) uses(k Kind) bool { return len(p.Kinds) == 0 || slices.Contains(p.Kinds, k) }

// other draws a fault that is no kill; its kind is empty when there is none to
// draw.
func (p *planner) other() Step {
	var may []Kind
	for _, k := range []Kind{Freeze, Reset, Stall, Lose, Trouble, Slow, Full, Wipe, Burn} {
		possible := true
		switch k {
		case Reset, Stall, Lose:
			possible = len(p.Proxied) > 0
		case Full:
			possible = len(p.Disks) > 0
		case Wipe:
			possible = slices.ContainsFunc(p.Processes, isDeduplicator)
		case Burn:
			possible = slices.Contains(p.Proxied, ClickHouse)
		}
		if possible && p.uses(k) {
			may = append(may, k)
		}
	}
	if len(may) == 0 || p.Others <= 0 {
		return Step{}
	}
	s := Step{Kind: may[p.rng.IntN(len(may))]}
	switch s.Kind {
	case Freeze:
		s.Target = p.choose(func(c Process) bool { return c.Freezable })
		s.For = p.between(p.Session/4, 2*p.Session)
	case Slow:
		s.Target, s.For = p.choose(func(c Process) bool { return c.Freezable }), p.between(p.Session/2, 2*p.Session)
	case Full:
		s.Target, s.For = p.Disks[p.rng.IntN(len(p.Disks))], p.between(p.Session, 3*p.Session)
	case Trouble:
		s.Target, s.For = API, p.between(500*time.Millisecond, 3*time.Second)
	case Stall:
		s.Target, s.For = p.server(), p.between(100*time.Millisecond, p.Session)
	case Reset:
		s.Target = p.server()
	case Wipe:
		s.Target = p.choose(isDeduplicator)
	case Burn:
		s.Target = ClickHouse
	case Lose:
		s.Target = p.server()
		s.Times = 1 + p.rng.IntN(2)
		s.Ask, s.Key = "INSERT", -1
		if s.Target == Broker {
			keys := losable()
			s.Key = keys[p.rng.IntN(len(keys))]
			s.Ask = kmsg.NameForKey(s.Key)
		}
	}
	if s.Target == "" {
		return Step{}
	}
	return s
}

func isDeduplicator(p Process) bool { return p.Role == "deduplicator" }

func (p *planner) server() string { return p.Proxied[p.rng.IntN(len(p.Proxied))] }

func (p *planner) between(low, high time.Duration) time.Duration {
	return (low + time.Duration(p.rng.Int64N(int64(high-low)+1))).Round(time.Millisecond)
}

// losable are the requests whose lost answers matter: the broker has acted.
func losable() []int16 {
	return []int16{
		kmsg.Produce.Int16(), kmsg.EndTxn.Int16(), kmsg.TxnOffsetCommit.Int16(), kmsg.OffsetCommit.Int16(),
		kmsg.AddPartitionsToTxn.Int16(), kmsg.InitProducerID.Int16(), kmsg.JoinGroup.Int16(), kmsg.SyncGroup.Int16(), kmsg.Heartbeat.Int16(),
	}
}

// Length is when the last step begins.
func Length(steps []Step) time.Duration {
	if len(steps) == 0 {
		return 0
	}
	return steps[len(steps)-1].At
}
