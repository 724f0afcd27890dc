package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
)

// PoisonOptions say how the cost of bad records is measured.
type PoisonOptions struct {
	// Servers.Dir gets a folder for each run; without Keep it is removed when
	// the run is over.
	Servers ServerOptions
	Keep    bool
	Rows    int64 // good records of a run
	// Rate is how many good records come in a second while the role runs; 0: all of
	// them wait when it starts, and it takes them as fast as it can.
	Rate       int
	Share      float64 // of all records that are bad, above 0 and at most a half
	Pairs      int     // of runs, with bad records and without, for each class
	Partitions int
	Profile    string // folder for profiles of the first pair of each class; empty: none
	// Only, if not empty, says what is measured: roles, or role/class.
	Only []string
	// Progress is told what was measured, line by line.
	Progress func(format string, args ...any)
}

// lake is the third role whose bad records are measured, beside the processors.
const lakeRole = "lake"

// class is a kind of bad record.
type class struct {
	role, name string
	text       string
	// becomes is where each ends up, and as what. Dead letters have a reason,
	// rejected prices theirs.
	becomes string
	reason  string
	// of are the kinds that take turns, if this is a mixture of them.
	of []class
}

// every is the name of the mixture of all kinds of a role.
const every = "every"

// becomes of a class.
const (
	deadLetter    = "dead letter"
	rejectedPrice = "rejected price"
)

// classes are the kinds of bad records, by role, in the order of the path.
func classes() []class {
	var all []class
	add := func(role, becomes, reason, name, text string) {
		all = append(all, class{role: role, name: name, text: text, becomes: becomes, reason: reason})
	}
	bytes := func(role string) {
		add(role, deadLetter, "decode", "bytes", "bytes that are no record")
		add(role, deadLetter, "decode", "cut", "a record that ends in the middle")
		if role != lakeRole { // which stops the table at these
			add(role, deadLetter, "decode", "schema", "a schema id that the registry does not have")
			add(role, deadLetter, "decode", "type", "a schema that cannot be read as ours")
		}
	}
	bytes(normalizer)
	add(normalizer, rejectedPrice, "unknown_call", "call", "a version of the call that the catalog does not have")
	add(normalizer, rejectedPrice, "unparsable", "html", "an answer that is no JSON")
	add(normalizer, rejectedPrice, "unparsable", "oversize", "an answer of 32 KiB that breaks off")
	add(normalizer, rejectedPrice, "bad_number", "number", "a price that is no number")
	add(normalizer, rejectedPrice, "bad_number", "object", "a price that is an object")
	add(normalizer, rejectedPrice, "too_large", "large", "a price of 40 digits")
	bytes(deduplicator)
	add(deduplicator, deadLetter, "invalid", "nameless", "a price without identity")
	bytes(lakeRole)
	add(lakeRole, deadLetter, "invalid", "empty", "a price without price, bid and ask")
	add(lakeRole, deadLetter, "invalid", "year", "an event of the year 1066")
	add(lakeRole, deadLetter, "refused", "refused", "a row that a constraint of the server forbids")
	for _, role := range []string{normalizer, deduplicator, lakeRole} {
		var of []class
		for _, c := range all {
			if c.role == role {
				of = append(of, c)
			}
		}
		all = append(all, class{role: role, name: every, text: "all kinds of the role in turn", becomes: "dead letter or rejected price", reason: "each its own", of: of})
	}
	return all
}

// kind is what the n-th bad record is, counted from 0.
func (c class) kind(n int64) class {
	if len(c.of) == 0 {
		return c
	}
	return c.of[n%int64(len(c.of))]
}

// PoisonClasses are the names that PoisonOptions.Only knows: role/class.
func PoisonClasses() (names []string) {
	for _, c := range classes() {
		names = append(names, c.id())
	}
	return names
}

func (c class) id() string { return c.role + "/" + c.name }

// Poison measures what bad records cost the good ones: the same good records are
// worked off with bad ones among them and without, in pairs of runs, and what has
// become of the bad ones is counted. Another count than that of the bad ones is an
// error; the report has the kinds that were measured before it.
func Poison(ctx context.Context, o PoisonOptions) (*PoisonReport, error) {
	r := &PoisonReport{Share: o.Share, Pairs: o.Pairs, Rate: o.Rate}
	for _, c := range classes() {
		if len(o.Only) > 0 && !slices.Contains(o.Only, c.role) && !slices.Contains(o.Only, c.id()) {
			continue
		}
		measured, err := o.class(ctx, c)
		if err != nil {
			return r, fmt.Errorf("measuring %s: %w", c.id(), err)
		}
		r.Classes = append(r.Classes, *measured)
		o.Progress("%s: %v", c.id(), measured)
	}
	return r, nil
}

// class measures the pairs of one class. Which of the two comes first takes turns.
func (o PoisonOptions) class(ctx context.Context, c class) (*PoisonClass, error) {
	m := &PoisonClass{Role: c.role, Class: c.name, Text: c.text, Becomes: c.becomes, Reason: c.reason}
	for pair := range o.Pairs {
		var clean, poisoned Poisoned
		for turn := range 2 {
			into, bad := &clean, int64(0)
			if (pair+turn)%2 == 1 {
				into, bad = &poisoned, o.Bad()
			}
			run, err := o.run(ctx, c, pair, bad)
			if err != nil {
				return m, err
			}
			*into = run
		}
		m.Good, m.Bad = clean.Good, poisoned.Bad
		m.clean, m.poisoned = append(m.clean, clean), append(m.poisoned, poisoned)
		o.Progress("%s, pair %d: without %v; with %d bad %v", c.id(), pair+1, clean, poisoned.Bad, poisoned)
	}
	m.finish()
	return m, nil
}

// Bad is how many bad records there are to the good ones.
func (o PoisonOptions) Bad() int64 { return int64(float64(o.Rows) * o.Share / (1 - o.Share)) }

// poisonRun is one run: servers of its own, so that every run begins with nothing.
type poisonRun struct {
	PoisonOptions
	class
	servers *Servers
	admin   *kafka.Admin
	bad     int64
	made    int64  // bad records so far
	profile string // folder for profiles of this run; empty: none
	flow    flow   // at a rate
}

func (o PoisonOptions) run(ctx context.Context, c class, pair int, bad int64) (run Poisoned, err error) {
	what := "clean"
	if bad > 0 {
		what = "bad"
	}
	name := strings.ReplaceAll(c.id(), "/", "-") + "-" + what
	profile := ""
	if o.Profile != "" && pair == 0 {
		profile = filepath.Join(o.Profile, name)
	}
	if err := os.MkdirAll(o.Servers.Dir, 0o700); err != nil {
		return run, fmt.Errorf("making the folder of the measurement: %w", err)
	}
	if o.Servers.Dir, err = os.MkdirTemp(o.Servers.Dir, name+"-"); err != nil {
		return run, fmt.Errorf("making a folder for a run: %w", err)
	}
	if !o.Keep {
		defer func() { err = errors.Join(err, os.RemoveAll(o.Servers.Dir)) }()
	}
	if c.role != lakeRole {
		o.Servers.Engine = nil
	}
	s, err := StartServers(ctx, o.Servers)
	if err != nil {
		return run, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if err := s.SetUp(ctx, o.Partitions); err != nil {
		return run, err
	}
	admin, err := kafka.NewAdmin(s.kafkaConfig())
	if err != nil {
		return run, err
	}
	defer admin.Close()
	p := &poisonRun{PoisonOptions: o, class: c, servers: s, admin: admin, bad: bad, profile: profile}
	switch c.role {
	case lakeRole:
		return p.lake(ctx)
	case deduplicator:
		return p.deduplicator(ctx)
	}
	return p.normalizer(ctx)
}

// due says whether a bad record comes after so many good ones: they are spread
// evenly, and not in step with anything.
func (p *poisonRun) due(good int64) bool {
	if p.made >= p.bad {
		return false
	}
	shift := int64(uint64(p.made) * 0x9E3779B97F4A7C15 >> 33 % uint64(max(p.Rows/p.bad, 1)))
	if good < p.made*p.Rows/p.bad+shift && good < p.Rows {
		return false
	}
	p.made++
	return true
}

// settle is how long a role is given after the last good record is there, with
// bad ones and without: dead letters are loaded meanwhile, and what a role does at
// rest is the same in both. It is longer than the lake waits for more of them.
const settle = 6 * time.Second

// task is what a role is to do.
type task struct {
	fill func(context.Context) error // makes the records
	// seen is how many records are worked off, of all that fill makes.
	seen func(context.Context) (int64, error)
	all  func() int64
	look time.Duration // how often that is asked at a rate, and what a latency may be too long by
	// done returns when all of them are, told when what became of the bad ones is
	// there.
	done, told func(context.Context, *Process) error
}

// work runs the role of the class on a task.
func (p *poisonRun) work(ctx context.Context, t task) (run Poisoned, err error) {
	profiles, err := profilesIn(p.profile)
	if err != nil {
		return run, err
	}
	if p.Rate == 0 {
		if err := t.fill(ctx); err != nil {
			return run, err
		}
	}
	before, start := p.servers.used(), time.Now()
	role, err := p.servers.StartRole(p.role, p.Partitions, profiles)
	if err != nil {
		return run, err
	}
	if p.Rate > 0 {
		err = p.flows(ctx, t, role)
	} else {
		err = t.done(ctx, role)
	}
	run.Took = time.Since(start)
	if run.Good, run.Bad = p.Rows, p.made; p.Rate > 0 && err == nil {
		run.flowed, err = p.flow.result(t.all(), p.Rows, int64(p.Rate))
	}
	if err == nil {
		rest := time.NewTimer(settle)
		defer rest.Stop()
		select {
		case <-rest.C:
			err = t.told(ctx, role)
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err == nil {
		after := p.servers.used()
		run.Others = Others{ClickHouse: after.ClickHouse - before.ClickHouse, Broker: after.Broker - before.Broker}
		run.Usage, err = role.Usage()
	}
	if err == nil {
		err = p.count(ctx)
	}
	return run, errors.Join(err, role.Stop())
}

// count compares what became of the bad records with what they are.
func (p *poisonRun) count(ctx context.Context) error {
	want := map[string]map[string]int64{deadLetter: {}, rejectedPrice: {}}
	for n := range p.made {
		kind := p.kind(n)
		want[kind.becomes][kind.reason]++
	}
	letters, err := p.servers.letters(ctx)
	if err != nil {
		return err
	}
	if !maps.Equal(letters, want[deadLetter]) {
		return fmt.Errorf("%d bad records gave the dead letters %v, want %v", p.made, letters, want[deadLetter])
	}
	rejected, err := p.servers.rejected(ctx)
	if err != nil {
		return err
	}
	if !maps.Equal(rejected, want[rejectedPrice]) {
		return fmt.Errorf("%d bad records gave the rejected prices %v, want %v", p.made, rejected, want[rejectedPrice])
	}
	return nil
}
