package app

import (
	"fmt"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
	"github.com/pricelake/pricelake/sinks/lake"
)

// anAuditor audits without rest, and believes at once what it sees.
func (r *rebuilds) anAuditor() (*auditor, *prometheus.Registry) {
	r.t.Helper()
	l, err := r.app.openLake()
	if err != nil {
		r.t.Fatal(err)
	}
	log, err := r.app.kafkaLog()
	if err != nil {
		r.t.Fatal(err)
	}
	c := r.app.kafkaConfig("test")
	c.Registerer = prometheus.NewRegistry()
	admin, err := kafka.NewAdmin(c)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(admin.Close)
	reg := prometheus.NewRegistry()
	return &auditor{lake: l, log: log, admin: admin, metrics: lake.NewAuditMetrics(reg), logger: slog.New(slog.DiscardHandler),
		every: time.Second, known: map[sinks.Partition]*audited{}}, reg
}

// One row that is missing and one that is doubled, in what was proven before, are
// found and named; mended they are gone again. What is proven is remembered, and
// rows that the log no longer holds are watched too.
func TestAudit(t *testing.T) {
	r := newRebuilds(t, 1000)
	db := r.config.ClickHouse.Database
	w, reg := r.anAuditor()
	round := func(w *auditor) {
		t.Helper()
		if err := w.round(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	round(w)
	if got := gathered(t, reg, "pricelake_audit_proven_offset"); got != 1000 {
		t.Fatalf("%v offsets are proven, want 1000", got)
	}
	found := func() map[int32][]string {
		all := map[int32][]string{}
		for of, k := range w.known {
			for _, a := range k.slices {
				if of.Topic == schemas.TopicPrices && !a.Report.OK() {
					all[of.Number] = a.Report.Findings()
				}
			}
		}
		return all
	}
	if got := found(); len(got) != 0 {
		t.Fatalf("a good lake: %v", got)
	}
	r.exec(fmt.Sprintf("CREATE TABLE %[1]s.kept AS %[1]s.prices", db))
	r.exec(fmt.Sprintf("INSERT INTO %[1]s.kept SELECT * FROM %[1]s.prices WHERE _partition = 0 AND _offset = 123", db))
	r.exec(fmt.Sprintf("ALTER TABLE %s.prices DELETE WHERE _partition = 0 AND _offset = 123 SETTINGS mutations_sync = 1", db))
	r.exec(fmt.Sprintf("INSERT INTO %[1]s.prices SELECT * FROM %[1]s.prices WHERE _partition = 1 AND _offset = 77", db))
	round(w)
	want := map[int32][]string{0: {"missing 123-123"}, 1: {"doubled 77-77"}}
	if got := found(); !reflect.DeepEqual(got, want) {
		t.Fatalf("found %v, want %v", got, want)
	}
	if got := r.ask("SELECT _partition, findings FROM audits FINAL WHERE topic = 'prices.v1' ORDER BY 1"); got != "0 ['missing 123-123']\n1 ['doubled 77-77']" {
		t.Errorf("the table audits says %s", got)
	}
	if got := gathered(t, reg, "pricelake_audit_findings"); got != 2 {
		t.Errorf("the metric says %v findings, want 2", got)
	}
	// Mended, and seen by the next process, which goes on where this one was.
	r.exec(fmt.Sprintf("INSERT INTO %[1]s.prices SELECT * FROM %[1]s.kept", db))
	r.exec(fmt.Sprintf("ALTER TABLE %s.prices DELETE WHERE _partition = 1 AND _offset = 77 SETTINGS mutations_sync = 1", db))
	r.exec(fmt.Sprintf("DROP TABLE %s.kept", db))
	w, _ = r.anAuditor()
	round(w)
	if got, want := found(), (map[int32][]string{1: {"missing 77-77"}}); !reflect.DeepEqual(got, want) {
		t.Fatalf("after the restart %v, want %v", got, want)
	}
	for of, k := range w.known {
		if of.Topic == schemas.TopicPrices && k.next != 500 {
			t.Errorf("partition %d is proven to %d, want 500", of.Number, k.next)
		}
	}
	// Older than the log: nothing to compare with, but what was proven is known.
	r.forget(0, 500)
	r.exec(fmt.Sprintf("ALTER TABLE %s.prices DELETE WHERE _partition = 0 AND _offset = 300 SETTINGS mutations_sync = 1", db))
	round(w)
	if got, want := found(), (map[int32][]string{0: {"altered 0-499"}, 1: {"missing 77-77"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("after retention %v, want %v", got, want)
	}
}

// gathered is the sum of a gauge over its labels.
func gathered(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetGauge().GetValue()
			}
		}
	}
	return sum
}
