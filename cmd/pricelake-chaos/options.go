package main

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pricelake/pricelake/cmd/pricelake-chaos/fault"
	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/failpoint"
)

// What a run's Kafka is.
const (
	onEmbedded = "embedded"
	onKafka    = "kafka"
)

// options are the command line.
type options struct {
	events, kills int
	seed          uint64
	gap           time.Duration
	others        float64
	kinds         []string
	replicas      int
	partitions    int
	session       time.Duration
	every         time.Duration
	calls         int
	drain         time.Duration
	maxRSS        int64
	waive         []string
	failpoints    []string
	json, plan    bool
	keep, recount string
	disk          int
	zombies       int

	on              string
	kafkaLibs, java string
	// Servers that are given: they are neither killed nor stopped.
	brokers                        []string
	registry                       string
	clickHouse, clickHouseHTTP     string
	clickHouseUser, clickHouseSaid string
	clickHousePassword             string
}

const usage = `pricelake-chaos runs pricelake against a price API of its own, kills its parts at
random while prices flow, and counts whether every price is in the lake once.

  pricelake-chaos --events 20000 --kills 5
  pricelake-chaos --events 200000 --kills 20 --on kafka --json
  pricelake-chaos --seed 7 --kills 20 --plan

The exit status is 0 when all is well, 3 when something is wrong, 1 when the run
could not be made, 2 for a wrong command line.

Flags:
`

// parseOptions reads the command line; nil without an error when help was asked
// for.
func parseOptions(args []string, stderr io.Writer) (*options, error) {
	o := &options{failpoints: []string{commonPoints}}
	f := flag.NewFlagSet("pricelake-chaos", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	o.flags(f)
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			f.SetOutput(stderr)
			fmt.Fprint(stderr, usage)
			f.PrintDefaults()
			return nil, nil
		}
		return nil, usageError{fmt.Errorf("%w; see pricelake-chaos --help", err)}
	}
	if f.NArg() > 0 {
		return nil, usageError{fmt.Errorf("%q is no flag; see pricelake-chaos --help", f.Arg(0))}
	}
	if err := o.complete(); err != nil {
		return nil, usageError{err}
	}
	return o, nil
}

func (o *options) flags(f *flag.FlagSet) {
	list := func(to *[]string, name, text string) {
		f.Func(name, text, func(v string) error { *to = strings.Split(v, ","); return nil })
	}
	f.IntVar(&o.events, "events", 20_000, "trades that the API gives")
	f.IntVar(&o.kills, "kills", 5, "processes that are ended with SIGKILL")
	f.Uint64Var(&o.seed, "seed", 0, "of the plan and the market; 0 draws one")
	f.DurationVar(&o.gap, "gap", 4*time.Second, "mean time between two kills")
	f.Float64Var(&o.others, "others", 0.7, "other faults for each kill, on average")
	list(&o.kinds, "kinds", "kinds of other faults, separated by commas: kill-all, freeze, slow, reset, stall, lose, trouble, wipe, burn, full (default: all; full needs --disk)")
	f.IntVar(&o.replicas, "replicas", 2, "processes of each role")
	f.IntVar(&o.partitions, "partitions", 3, "of each topic")
	f.DurationVar(&o.session, "session", 3*time.Second, "session timeout of consumer groups; they are frozen for up to twice as long")
	f.DurationVar(&o.every, "every", 500*time.Millisecond, "how often each call is polled")
	f.IntVar(&o.calls, "calls", 6, "calls of the catalog")
	f.DurationVar(&o.drain, "drain", 2*time.Minute, "time in which everything has to be worked off after the last fault")
	f.Int64Var(&o.maxRSS, "max-rss", 512, "MiB that a role may hold in memory")
	list(&o.waive, "waive", "invariants whose checks may fail, such as O6: they are made and shown, and do not count")
	list(&o.failpoints, "failpoints", "failpoints at which processes end themselves, taken in turns by every other kill: names, all, none, or common (those that need nothing to go wrong before, or for which it is brought about); one that had its turn and ended no process fails the run (default common)")
	f.IntVar(&o.zombies, "zombies", 0, "how often a process of poller, normalizer, deduplicator and lake is frozen for twice the session timeout, each")
	f.BoolVar(&o.json, "json", false, "print JSON, one object a line; the last one is the verdict")
	f.BoolVar(&o.plan, "plan", false, "print the plan of the seed and do nothing")
	f.StringVar(&o.keep, "keep", "", "keep ledger, data and logs in this folder (it must be empty)")
	f.StringVar(&o.recount, "recount", "", "count a folder of --keep again and do nothing else")
	f.IntVar(&o.disk, "disk", 0, "give the embedded broker and ClickHouse file systems of so many MiB, which are filled and freed (Linux, as root; 0: none)")
	f.StringVar(&o.on, "on", onEmbedded, "embedded: the embedded broker; kafka: Apache Kafka, one process")
	f.StringVar(&o.kafkaLibs, "kafka-libs", defaultKafkaLibs(), "folder with the jars of Apache Kafka")
	f.StringVar(&o.java, "java", "java", "Java 17 or newer, for --on kafka")
	list(&o.brokers, "brokers", "use this Kafka, host:port (it is neither killed nor frozen)")
	f.StringVar(&o.registry, "registry", "", "use this schema registry, a URL")
	f.StringVar(&o.clickHouse, "clickhouse", "", "use this ClickHouse, host:port of the native protocol; its database must be empty")
	f.StringVar(&o.clickHouseHTTP, "clickhouse-http", "", "URL of its HTTP interface")
	f.StringVar(&o.clickHouseUser, "clickhouse-user", "default", "account of that ClickHouse")
	f.StringVar(&o.clickHouseSaid, "clickhouse-password-env", "", "variable that holds its password")
}

func defaultKafkaLibs() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "pricelake", "services", "kafka-4.3.1", "libs")
}

// complete checks the options and fills what follows from them.
func (o *options) complete() error {
	var errs []error
	bad := func(ok bool, text string) {
		if !ok {
			errs = append(errs, errors.New(text))
		}
	}
	bad(o.events > 0, "--events: write a number above 0")
	bad(o.kills >= 0, "--kills: write 0 or more")
	bad(o.zombies >= 0, "--zombies: write 0 or more")
	bad(o.gap >= 100*time.Millisecond, "--gap: write 100ms or more")
	bad(o.others >= 0 && o.others <= 10, "--others: write a number from 0 to 10")
	bad(o.replicas > 0 && o.partitions > 0 && o.calls > 0 && o.calls < 100, "--replicas, --partitions, --calls: write a number above 0 (calls: below 100)")
	bad(o.session >= time.Second, "--session: write 1s or more")
	bad(o.on == onEmbedded || o.on == onKafka, "--on: write embedded or kafka")
	bad(o.disk == 0 || o.disk >= minDisk, fmt.Sprintf("--disk: write %d or more: the broker stops when little is left", minDisk))
	bad((o.clickHouse == "") == (o.clickHouseHTTP == ""), "--clickhouse and --clickhouse-http belong together")
	for _, k := range o.kinds {
		switch fault.Kind(k) {
		case fault.KillAll, fault.Freeze, fault.Slow, fault.Full, fault.Reset, fault.Stall, fault.Lose, fault.Trouble, fault.Wipe, fault.Burn:
		default:
			errs = append(errs, fmt.Errorf("--kinds: %q is none", k))
		}
	}
	for _, name := range o.failpoints {
		if _, known := failpoint.Lookup(failpoint.Point(name)); !known && name != allPoints && name != commonPoints && name != noPoints {
			errs = append(errs, fmt.Errorf("--failpoints: there is no %q; there are %v", name, pointNames(true)))
		}
	}
	if o.clickHouseSaid != "" {
		o.clickHousePassword = os.Getenv(o.clickHouseSaid)
	}
	for o.seed == 0 {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return fmt.Errorf("drawing a seed: %w", err)
		}
		o.seed = binary.BigEndian.Uint64(b[:]) >> 33 // short enough to be said aloud
	}
	return errors.Join(errs...)
}

// steps is the plan of these options.
func (o *options) steps() []fault.Step {
	p := fault.Options{Seed: o.seed, Kills: o.kills, Gap: o.gap, Others: o.others, Session: o.session, Zombies: o.zombies}
	for _, k := range o.kinds {
		p.Kinds = append(p.Kinds, fault.Kind(k))
	}
	for _, role := range app.RoleNames() {
		for i := range o.replicas {
			p.Processes = append(p.Processes, fault.Process{Name: processName(role, i), Role: role, Weight: roleWeight / o.replicas, Freezable: true})
		}
	}
	if len(o.brokers) == 0 {
		p.Processes = append(p.Processes, fault.Process{Name: fault.Broker, Weight: roleWeight, Freezable: true})
	}
	if o.clickHouse == "" {
		p.Processes = append(p.Processes, fault.Process{Name: fault.ClickHouse, Weight: roleWeight, Freezable: true})
	}
	if o.registry == "" {
		p.Processes = append(p.Processes, fault.Process{Name: fault.Registry, Weight: roleWeight / 4})
	}
	for _, d := range o.points() {
		p.Points = append(p.Points, fault.Point{Name: string(d.Point), Roles: d.Roles})
	}
	if o.disk > 0 {
		p.Disks = o.disks()
	}
	p.Proxied = []string{fault.Broker, fault.ClickHouse}
	return fault.Plan(p)
}

// minDisk is the smallest file system in MiB that the embedded broker works on.
const minDisk = 512

// disks are the servers with file systems of their own.
func (o *options) disks() (names []string) {
	if len(o.brokers) == 0 {
		names = append(names, fault.Broker)
	}
	if o.clickHouse == "" {
		names = append(names, fault.ClickHouse)
	}
	return names
}

// Words for several failpoints.
const (
	allPoints    = "all"
	commonPoints = "common"
	noPoints     = "none"
)

// points are the failpoints to use; those of tools are passed by no role.
func (o *options) points() []failpoint.Description {
	var use []failpoint.Description
	for _, d := range failpoint.Points() {
		asked := slices.Contains(o.failpoints, string(d.Point)) || slices.Contains(o.failpoints, allPoints) ||
			slices.Contains(o.failpoints, commonPoints) && (!d.Rare || slices.Contains(provoked(), d.Point))
		if asked && len(d.Roles) > 0 {
			use = append(use, d)
		}
	}
	return use
}

// pointNames lists the failpoints that a role passes.
func pointNames(rare bool) (names []string) {
	for _, d := range failpoint.Points() {
		if len(d.Roles) > 0 && (rare || !d.Rare) {
			names = append(names, string(d.Point))
		}
	}
	return names
}

// roleWeight makes kills uniform over roles and servers; the registry, which
// only new processes need, is killed less often.
const roleWeight = 12

func processName(role string, i int) string { return fmt.Sprintf("%s-%d", role, i+1) }
