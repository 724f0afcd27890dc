package kafka

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of every loop of the process. It is one collector, so that
// the loops of several roles share it under one Registerer.
type metrics struct {
	records  *prometheus.CounterVec // group, topic
	batches  *prometheus.CounterVec // group, topic
	commits  *prometheus.CounterVec // group
	aborts   *prometheus.CounterVec // group, reason
	retries  *prometheus.CounterVec // group, topic, step
	restarts *prometheus.CounterVec // group, reason
	lost     *prometheus.CounterVec // group, topic
	paused   *prometheus.CounterVec // group, topic
	hanging  *prometheus.CounterVec // outcome
	took     *prometheus.HistogramVec
	// quarantined has a series for each partition of this process.
	quarantined *prometheus.GaugeVec // group, topic, partition

	age      *prometheus.Desc
	lag      *prometheus.Desc
	inFlight *prometheus.Desc
	assigned *prometheus.Desc

	mu       sync.Mutex
	owners   map[*progress]struct{}
	standing map[key]*progress // owned by nobody that is known, see leave
}

// newMetrics registers the metrics, or returns those that another loop of the
// process has registered. It fails when something else took one of the names.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pricelake_kafka_" + name, Help: help}, labels)
	}
	partition := []string{"group", "topic", "partition"}
	m := &metrics{
		records:  counter("records_total", "Records settled by this process.", "group", "topic"),
		batches:  counter("batches_total", "Batches settled by this process.", "group", "topic"),
		commits:  counter("commits_total", "Successful commits of offsets.", "group"),
		aborts:   counter("transaction_aborts_total", "Transactions aborted.", "group", "reason"),
		retries:  counter("retries_total", "Steps that failed and are tried again: open, fetch (of a backlog), handle, write, publish, commit.", "group", "topic", "step"),
		restarts: counter("member_restarts_total", "Times a member left its group and joined anew.", "group", "reason"),
		lost:     counter("records_expired_total", "Offsets that retention deleted before the group had read them.", "group", "topic"),
		paused:   counter("partition_pauses_total", "Times the consumer stopped fetching a partition: its queue was full, or its worker fetched a backlog.", "group", "topic"),
		hanging:  counter("hanging_transactions_total", "Transactions that brokers had left open in some partition after their end, and that this process ended there as decided.", "outcome"),
		quarantined: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pricelake_kafka_quarantined_partitions",
			Help: "1 for each partition of this process that stands still until somebody decides how it goes on, 0 for each that does not; the log and `pricelake quarantine ls` say why.",
		}, partition),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pricelake_kafka_batch_duration_seconds", Help: "From handing over a batch to its commit.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
		}, []string{"group", "topic"}),
		age: prometheus.NewDesc("pricelake_kafka_unsettled_age_seconds",
			"Age of the oldest record this process has taken and not settled; without one, how long the partition has been behind its end, or without an owner, and stood still; 0 when there is nothing to do.", partition, nil),
		lag: prometheus.NewDesc("pricelake_kafka_lag_records",
			"Offsets between what is settled and the end of the partition, as last seen.", partition, nil),
		inFlight: prometheus.NewDesc("pricelake_kafka_in_flight_records",
			"Records taken and not settled.", partition, nil),
		assigned: prometheus.NewDesc("pricelake_kafka_assigned_partitions",
			"Partitions this process owns.", []string{"group", "topic"}, nil),
		owners:   make(map[*progress]struct{}),
		standing: make(map[key]*progress),
	}
	if reg == nil {
		return m, nil
	}
	err := reg.Register(m)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if shared, ok := already.ExistingCollector.(*metrics); ok {
			return shared, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("kafka: registering the metrics: another collector has taken a name of theirs: %w", err)
	}
	return m, nil
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.records, m.batches, m.commits, m.aborts, m.retries, m.restarts, m.lost, m.paused, m.hanging, m.took, m.quarantined}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.collectors() {
		c.Describe(ch)
	}
	for _, d := range []*prometheus.Desc{m.age, m.lag, m.inFlight, m.assigned} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. Ages are computed when asked for,
// so that they grow while everything stands still.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.collectors() {
		c.Collect(ch)
	}
	type groupTopic struct{ group, topic string }
	assigned := make(map[groupTopic]int)
	now := time.Now()
	for p, owned := range m.sample() {
		gauge := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, p.group, p.Topic, strconv.Itoa(int(p.Partition)))
		}
		s := p.at(now)
		gauge(m.age, s.age.Seconds())
		gauge(m.lag, float64(s.lag))
		gauge(m.inFlight, float64(s.inFlight))
		if owned {
			assigned[groupTopic{p.group, p.Topic}]++
		}
	}
	for k, n := range assigned {
		ch <- prometheus.MustNewConstMetric(m.assigned, prometheus.GaugeValue, float64(n), k.group, k.topic)
	}
}
