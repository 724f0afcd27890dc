package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.yaml.in/yaml/v3"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/promtest"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks/lake"
)

// TestSeeing runs the demo on real servers under a real Prometheus: every panel
// of the dashboard and every rule has something to go by, and real trouble makes
// the rules fire. It does not overlap with other tests: it measures ages.
func TestSeeing(t *testing.T) {
	promtest.Promtool(t) // before the servers are started for nothing
	w := &watching{t: t, up: serverSite(t).start("--demo"), targets: map[string]string{}}
	w.prom = promtest.Start(t, promtest.Config{Rules: impatient(t), Interval: 500 * time.Millisecond})
	for i, role := range app.RoleNames() {
		w.targets[role] = strings.TrimPrefix(w.up.Admins[i], "http://")
	}
	w.prom.Scrape(w.targets)

	w.everyPanelHasData()
	w.everyRuleHasData()
	w.fires("PricelakeProviderFails", map[string]string{"provider": "broken"}) // a call of the demo that never works
	for _, quiet := range []string{"PricelakeEventsLate", "PricelakeNobodyWorks", "PricelakeEventsExpire", "PricelakeDeadLetters"} {
		w.rests(quiet)
	}
	w.poisoned()
	w.deadLake()
	t.Logf("largest error of an age: %.3f s", w.worst)
}

// patience is for machines whose cores are busy with other tests: each step is a
// matter of seconds.
const patience = 2 * time.Minute

// watching is the demo with its Prometheus.
type watching struct {
	t       *testing.T
	up      *up
	prom    *promtest.Server
	targets map[string]string // admin addresses by role
	worst   float64           // the largest error of an age that was right, in seconds
}

// impatient returns the shipped rules with shorter times, because this test
// waits for them: every "for" becomes two seconds, and an event is late after 8
// instead of 60. All else is as shipped, and the shipped times are what the unit
// tests of the rules check (deploy/prometheus/tests).
func impatient(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/prometheus/rules/pricelake.yml")
	if err != nil {
		t.Fatal(err)
	}
	rules := regexp.MustCompile(`for: \d+m\b`).ReplaceAllString(string(text), "for: 2s")
	rules = strings.ReplaceAll(rules, "> 60\n", "> 8\n")
	if strings.Count(rules, "for: 2s") != 7 || strings.Count(rules, "> 8\n") != 2 {
		t.Fatalf("the rules are not written as this test thinks:\n%s", rules)
	}
	return rules
}

// questions returns what the panels ask, with the variables replaced as Grafana
// does.
func questions(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/grafana/dashboards/pricelake.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	asked := map[string][]string{}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			expr := strings.NewReplacer("$__rate_interval", "10s", "$provider", ".*").Replace(target.Expr)
			if strings.Contains(expr, "$") {
				t.Errorf("panel %q: %s has a variable that this test does not know", p.Title, expr)
			}
			asked[p.Title] = append(asked[p.Title], expr)
		}
	}
	return asked
}

// everyPanelHasData asks the dashboard's questions until each has an answer that
// is a number.
func (w *watching) everyPanelHasData() {
	w.t.Helper()
	asked := questions(w.t)
	if len(asked) < 8 {
		w.t.Fatalf("only %d panels found", len(asked))
	}
	for title, exprs := range asked {
		for _, expr := range exprs {
			w.answered("panel "+title, expr)
		}
	}
}

// everyRuleHasData evaluates every rule, and looks for the series each is about:
// a rule over nothing would be quiet for ever.
func (w *watching) everyRuleHasData() {
	w.t.Helper()
	var file struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal([]byte(impatient(w.t)), &file); err != nil {
		w.t.Fatal(err)
	}
	for _, rule := range file.Groups[0].Rules {
		if _, err := w.prom.Query(rule.Expr); err != nil {
			w.t.Errorf("rule %s: %v", rule.Alert, err)
		}
		for _, series := range regexp.MustCompile(`(pricelake_[a-z_]+|\bup)(\{[^}]*\})?`).FindAllString(rule.Expr, -1) {
			w.answered("rule "+rule.Alert, fmt.Sprintf("count(%s)", series))
		}
	}
}

func (w *watching) answered(who, expr string) {
	w.t.Helper()
	eventually(w.t, patience, who+" to have data: "+expr, func() error {
		samples, err := w.prom.Query(expr)
		if err == nil && !slices.ContainsFunc(samples, func(s promtest.Sample) bool { return !math.IsNaN(s.Value) }) {
			err = fmt.Errorf("no data: %v", samples)
		}
		return err
	})
}

// fires waits for an alert with such labels.
func (w *watching) fires(name string, labels map[string]string) {
	w.t.Helper()
	eventually(w.t, patience, fmt.Sprintf("%s%v to fire", name, labels), func() error {
		firing, err := w.prom.Firing(name)
		if err != nil {
			return err
		}
		for _, a := range firing {
			matches := a.Annotations["summary"] != "" && !strings.Contains(a.Annotations["summary"], "<error") // in expanding the text
			for k, v := range labels {
				matches = matches && a.Labels[k] == v
			}
			if matches {
				return nil
			}
		}
		return fmt.Errorf("firing are %v", firing)
	})
}

// rests waits until an alert does not fire: what has just started on a busy
// machine may be late, and then the alert is right.
func (w *watching) rests(name string) {
	w.t.Helper()
	eventually(w.t, patience, name+" to be at rest", func() error {
		firing, err := w.prom.Firing(name)
		if err == nil && len(firing) > 0 {
			err = fmt.Errorf("firing are %v", firing)
		}
		return err
	})
}

// poisoned puts a record into responses.v1 that nobody can read.
func (w *watching) poisoned() {
	w.t.Helper()
	record := &kgo.Record{Topic: schemas.TopicResponses, Key: []byte("poison"), Value: []byte("this is no Avro")}
	if err := w.client().ProduceSync(w.t.Context(), record).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	w.fires("PricelakeDeadLetters", map[string]string{"role": "normalizer", "reason": "decode"})
}

func (w *watching) client(opts ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(w.up.Ready.Kafka))...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

// deadLake kills the only process of the lake's group. Its event age must grow as
// the topic says, the alerts fire, and all be well again once it is back.
func (w *watching) deadLake() {
	w.t.Helper()
	w.up.parts[slices.Index(app.RoleNames(), lake.Role)].kill()
	truth := w.unprocessed()
	known := time.Now()
	if len(truth) == 0 {
		w.t.Fatal("no event waits for the dead lake")
	}
	// The first picture of it may be under way: from then on it must be true.
	eventually(w.t, patience, "the ages of the dead group", func() error { return w.agesAreTrue(truth) })
	w.t.Logf("the ages were true %v after all partitions had something to wait for", time.Since(known).Round(time.Millisecond))
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); time.Sleep(250 * time.Millisecond) {
		if err := w.agesAreTrue(truth); err != nil {
			w.t.Error(err)
		}
	}
	w.fires("PricelakeEventsLate", map[string]string{"group": "pricelake.lake", "topic": schemas.TopicPrices})
	w.fires("PricelakeNobodyWorks", map[string]string{"service": "lake"})
	w.fires("PricelakeNobodyWorks", map[string]string{"group": "pricelake.lake", "topic": schemas.TopicPrices})
	if err := w.agesAreTrue(truth); err != nil {
		w.t.Error(err)
	}
	_, url := w.up.site.startRole(lake.Role, lake.Role)
	w.targets[lake.Role] = strings.TrimPrefix(url, "http://")
	w.prom.Scrape(w.targets)
	for _, name := range []string{"PricelakeEventsLate", "PricelakeNobodyWorks"} {
		w.rests(name)
	}
}

// unprocessed reads out of the topic itself, by partition of prices.v1, the
// timestamp of the first committed record at or after what the dead group has
// committed. It waits until there is one in every partition the demo fills.
func (w *watching) unprocessed() map[string]time.Time {
	w.t.Helper()
	from := map[string]map[int32]kgo.Offset{schemas.TopicPrices: {}}
	w.lastCommitted().Each(func(o kadm.OffsetResponse) {
		from[o.Topic][o.Partition] = kgo.NewOffset().At(max(o.At, 0))
	})
	reader := w.client(kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	first := map[string]time.Time{}
	eventually(w.t, patience, "events that wait in all partitions", func() error {
		reader.PollFetches(w.t.Context()).EachRecord(func(r *kgo.Record) {
			partition := fmt.Sprint(r.Partition)
			if _, ok := first[partition]; !ok {
				first[partition] = r.Timestamp
			}
		})
		if len(first) < len(from[schemas.TopicPrices]) {
			return fmt.Errorf("only in %v", first)
		}
		return nil
	})
	return first
}

// lastCommitted returns what the dead group has committed, once that rests: a commit
// may have been on its way to the broker when its member was killed.
func (w *watching) lastCommitted() kadm.OffsetResponses {
	w.t.Helper()
	admin := kadm.NewClient(w.client())
	var before kadm.OffsetResponses
	eventually(w.t, patience, "the offsets of the dead group rest", func() error {
		now, err := admin.FetchOffsetsForTopics(w.t.Context(), "pricelake.lake", schemas.TopicPrices)
		if err != nil {
			return err
		}
		same := before != nil
		now.Each(func(o kadm.OffsetResponse) {
			last, ok := before.Lookup(o.Topic, o.Partition)
			same = same && ok && last.At == o.At
		})
		if before = now; !same {
			time.Sleep(time.Second)
			return errors.New("they have moved")
		}
		return nil
	})
	return before
}

// agesAreTrue holds the ages in Prometheus, each as of when it was scraped,
// against the records' timestamps.
func (w *watching) agesAreTrue(first map[string]time.Time) error {
	const age = `pricelake_event_age_seconds{group="pricelake.lake",topic="prices.v1"}`
	samples, err := w.prom.Query("timestamp(" + age + ") - " + age) // that is the record's timestamp
	if err != nil {
		return err
	}
	if len(samples) != len(first) {
		return fmt.Errorf("%d ages of %d partitions", len(samples), len(first))
	}
	var wrong []string
	for _, s := range samples {
		record := first[s.Labels["partition"]]
		if off := float64(record.UnixMilli())/1000 - s.Value; math.Abs(off) > 1 {
			wrong = append(wrong, fmt.Sprintf("the age of partition %s is off by %.3f s", s.Labels["partition"], off))
		} else {
			w.worst = max(w.worst, math.Abs(off))
		}
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, ", "))
	}
	return nil
}
