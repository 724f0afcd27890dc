package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/simulator"
)

// fleet is a site on real servers with several processes of every role, under the
// load of a simulator that is asked by a catalog made for it.
type fleet struct {
	*site
	t          *testing.T // of the subtest that runs
	partitions int
	sim        *simulator.Server
	simURL     string
	watch      *watcher
	lake       app.Endpoints // as far as queryHTTP needs it
	instances  int
}

// startFleet starts the servers, sets them up and applies the catalog. No role
// runs yet.
func startFleet(t *testing.T, s *site, partitions int, settings ...string) *fleet {
	t.Helper()
	f := &fleet{site: s, t: t, partitions: partitions}
	f.plain = true
	owner := f.real.clickhouse.Owner()
	f.lake = app.Endpoints{ClickHouseHTTP: f.real.clickhouse.HTTPURL(), ClickHouseUser: owner.User, ClickHousePassword: owner.Password}
	f.real.env = slices.Concat(f.real.env, []string{"PRICELAKE_KAFKA_PARTITIONS=" + strconv.Itoa(partitions),
		"PRICELAKE_LAKE_FLUSH_INTERVAL=250ms", "PRICELAKE_LAKE_OTHER_FLUSH_INTERVAL=3s"}, settings)
	f.serveSimulator()
	if err := f.prepare("--catalog", f.catalog()); err != nil {
		t.Fatal(err)
	}
	f.watch = startWatch(t, f)
	return f
}

func (f *fleet) serveSimulator() {
	l, err := listenLoopback()
	if err != nil {
		f.t.Fatal(err)
	}
	f.sim = simulator.New(simulator.Config{Seed: 1, LedgerEntries: 200_000})
	f.simURL = "http://" + l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.sim.Run(ctx, l) }()
	f.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			f.t.Errorf("the simulator: %v", err)
		}
	})
}

// catalog writes a catalog whose calls lie in every partition of every topic:
// ids, accounts and instruments are chosen so. Each poll brings a price for each
// partition.
func (f *fleet) catalog() string {
	var b strings.Builder
	symbols := []string{"XBTUSD: {instrument: %s, aliases: XXBTZUSD}", "XBTEUR: {instrument: %s, aliases: XXBTZEUR}", "ETHUSD: {instrument: %s, aliases: XETHZUSD}", "SOLUSD: {instrument: %s}"}
	fmt.Fprintf(&b, "version: 1\nbase_urls: {kraken: %s/kraken}\ninstruments:\n", f.simURL)
	instruments := make([]string, len(symbols))
	for i := range symbols {
		instruments[i] = f.keyOn(i%f.partitions, fmt.Sprintf("LOAD-%d", i))
		fmt.Fprintf(&b, "  - {id: %s, asset_class: crypto, base: BTC, quote: USD}\n", instruments[i])
	}
	b.WriteString("calls:\n")
	for n := range 3 * f.partitions {
		p := n % f.partitions
		fmt.Fprintf(&b, "  - id: %s\n    preset: kraken/ticker\n    account: %s\n    schedule: {every: 800ms}\n    symbols:\n",
			f.keyOn(p, fmt.Sprintf("load-%d", n)), f.keyOn(p, fmt.Sprintf("account-%d", n)))
		for i, s := range symbols {
			fmt.Fprintf(&b, "      "+s+"\n", instruments[i])
		}
	}
	path := filepath.Join(f.dir, "catalog.yaml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return path
}

// keyOn returns a key with the prefix that is hashed to the partition.
func (f *fleet) keyOn(partition int, prefix string) string {
	hash := kgo.StickyKeyPartitioner(nil).ForTopic("")
	for i := 0; ; i++ {
		key := fmt.Sprintf("%s-%d", prefix, i)
		if hash.Partition(&kgo.Record{Key: []byte(key)}, f.partitions) == partition {
			return key
		}
	}
}

// tool runs a command against the servers and returns its standard output.
func (f *fleet) tool(args ...string) string {
	f.t.Helper()
	out, err := command(pricelake(f.t), f.real.env, args...)
	if err != nil {
		f.t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// proc is one role in a process of its own.
type proc struct {
	*part
	f     *fleet
	role  string
	admin string // base URL
}

// run starts one more process of a role. It does not wait until it works.
func (f *fleet) run(role string) *proc {
	f.t.Helper()
	f.instances++
	p := &proc{f: f, role: role}
	p.part, p.admin = f.startRole(role, fmt.Sprintf("%s-%d", role, f.instances))
	return p
}

// stop sends SIGTERM and returns how long the end took. It must be a clean one.
func (p *proc) stop() time.Duration {
	p.f.t.Helper()
	began := time.Now()
	err := p.terminate()
	if err == nil {
		err = p.ended(40 * time.Second)
	}
	took := time.Since(began)
	if err != nil || took > 25*time.Second {
		p.f.t.Errorf("%s ended %s after SIGTERM: %v\n%s", p.name, took, err, tail(p.log))
	}
	return took
}

// owned returns the partitions that the process works on, of the topic that the
// role is about.
func (p *proc) owned() []int {
	_, body, err := ask(p.admin + "/metrics")
	if err != nil {
		return nil
	}
	series := regexp.MustCompile(fmt.Sprintf(`(?m)^pricelake_kafka_in_flight_records\{group="%s",partition="(\d+)",topic="%s"\}`,
		regexp.QuoteMeta("pricelake."+p.role), regexp.QuoteMeta(inputs[p.role])))
	var partitions []int
	for _, match := range series.FindAllStringSubmatch(body, -1) {
		n, _ := strconv.Atoi(match[1])
		partitions = append(partitions, n)
	}
	return partitions
}

// ownsSome waits until the process works on a partition and returns all it does.
func (p *proc) ownsSome() (owned []int) {
	p.f.t.Helper()
	eventually(p.f.t, 60*time.Second, p.role+" owns a partition", func() error {
		select {
		case <-p.exited:
			return fmt.Errorf("%w\n%s", errors.Join(errors.New("it has ended"), p.err), tail(p.log))
		default:
		}
		if owned = p.owned(); len(owned) == 0 {
			return errors.New("none")
		}
		return nil
	})
	return owned
}

// logged counts the lines of the logs of all processes that hold a text.
func (f *fleet) logged(text string) int {
	f.t.Helper()
	logs, err := filepath.Glob(filepath.Join(f.site.t.ArtifactDir(), "*.log"))
	if err != nil {
		f.t.Fatal(err)
	}
	n := 0
	for _, name := range logs {
		b, err := os.ReadFile(name)
		if err != nil {
			f.t.Fatal(err)
		}
		n += bytes.Count(b, []byte(text))
	}
	return n
}
