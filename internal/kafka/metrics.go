package kafka

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
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
	took     *prometheus.HistogramVec

	age      *prometheus.Desc
	lag      *prometheus.Desc
	inFlight *prometheus.Desc
	assigned *prometheus.Desc

	mu     sync.Mutex
	owners map[*progress]struct{}
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pricelake_kafka_" + name, Help: help}, labels)
	}
	partition := []string{"group", "topic", "partition"}
	m := &metrics{
		records:  counter("records_total", "Records settled by this process.", "group", "topic"),
		batches:  counter("batches_total", "Batches settled by this process.", "group", "topic"),
		commits:  counter("commits_total", "Successful commits of offsets.", "group"),
		aborts:   counter("transaction_aborts_total", "Transactions aborted.", "group", "reason"),
		retries:  counter("retries_total", "Steps that failed and are tried again: open, handle, write, publish, commit.", "group", "topic", "step"),
		restarts: counter("member_restarts_total", "Times a member left its group and joined anew.", "group", "reason"),
		lost:     counter("records_expired_total", "Offsets that retention deleted before the group had read them.", "group", "topic"),
		paused:   counter("partition_pauses_total", "Times a partition's fetching was paused because its queue was full.", "group", "topic"),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pricelake_kafka_batch_duration_seconds", Help: "From handing over a batch to its commit.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
		}, []string{"group", "topic"}),
		age: prometheus.NewDesc("pricelake_event_age_seconds",
			"Age of the oldest record this process has taken and not settled; 0 when there is none.", partition, nil),
		lag: prometheus.NewDesc("pricelake_kafka_lag_records",
			"Offsets between what is settled and the end of the partition, as last seen.", partition, nil),
		inFlight: prometheus.NewDesc("pricelake_kafka_in_flight_records",
			"Records taken and not settled.", partition, nil),
		assigned: prometheus.NewDesc("pricelake_kafka_assigned_partitions",
			"Partitions this process owns.", []string{"group", "topic"}, nil),
		owners: make(map[*progress]struct{}),
	}
	if reg == nil {
		return m
	}
	err := reg.Register(m)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if shared, ok := already.ExistingCollector.(*metrics); ok {
			return shared
		}
	}
	return m
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.records, m.batches, m.commits, m.aborts, m.retries, m.restarts, m.lost, m.paused, m.took}
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
	for _, p := range m.sample() {
		gauge := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, p.group, p.Topic, strconv.Itoa(int(p.Partition)))
		}
		gauge(m.age, p.ageAt(now).Seconds())
		gauge(m.lag, float64(p.lagRecords()))
		gauge(m.inFlight, float64(p.inFlight.Load()))
		assigned[groupTopic{p.group, p.Topic}]++
	}
	for k, n := range assigned {
		ch <- prometheus.MustNewConstMetric(m.assigned, prometheus.GaugeValue, float64(n), k.group, k.topic)
	}
}

// sample returns one progress per partition: an assignment that is ending may
// overlap its successor.
func (m *metrics) sample() []*progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	type key struct {
		group string
		tp    stream.TopicPartition
	}
	newest := make(map[key]*progress, len(m.owners))
	for p := range m.owners {
		k := key{p.group, p.TopicPartition}
		if q := newest[k]; q == nil || q.since.Before(p.since) {
			newest[k] = p
		}
	}
	out := make([]*progress, 0, len(newest))
	for _, p := range newest {
		out = append(out, p)
	}
	return out
}

// progress is how far one assignment of a partition is.
type progress struct {
	stream.TopicPartition
	group string
	since time.Time

	opening  atomic.Bool  // the stage or sink is not there yet
	oldest   atomic.Int64 // unix microseconds of the oldest record taken and not settled; 0: none
	inFlight atomic.Int64
	settled  atomic.Int64 // next offset to settle
	end      atomic.Int64 // high watermark as last seen
}

func (m *metrics) track(group string, tp stream.TopicPartition) *progress {
	p := &progress{TopicPartition: tp, group: group, since: time.Now()}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.owners[p] = struct{}{}
	return p
}

func (m *metrics) untrack(p *progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.owners, p)
}

// holds says what is unsettled: n records, the oldest of which is from t.
func (p *progress) holds(n int, t time.Time) {
	p.inFlight.Store(int64(n))
	if n == 0 {
		p.oldest.Store(0)
		return
	}
	p.oldest.Store(t.UnixMicro())
}

func (p *progress) ageAt(now time.Time) time.Duration {
	if oldest := p.oldest.Load(); oldest != 0 {
		return max(0, now.Sub(time.UnixMicro(oldest)))
	}
	if p.opening.Load() && p.lagRecords() > 0 {
		return now.Sub(p.since) // at least that: nothing is read before it is open
	}
	return 0
}

func (p *progress) lagRecords() int64 { return max(0, p.end.Load()-p.settled.Load()) }

// seen raises the end of the partition.
func (p *progress) seen(end int64) {
	if end > p.end.Load() {
		p.end.Store(end)
	}
}
