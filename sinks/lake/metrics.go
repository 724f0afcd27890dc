package lake

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	rows      *prometheus.CounterVec
	failed    *prometheus.CounterVec
	repeats   *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	freshness prometheus.Histogram
	unknown   *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pricelake_lake_rows_written_total",
			Help: "Rows the server acknowledged, by table.",
		}, []string{"table"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pricelake_lake_inserts_failed_total",
			Help: "INSERTs that ended in an error; what is missing is written again.",
		}, []string{"table"}),
		repeats: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pricelake_lake_inserts_repeated_total",
			Help: "INSERTs the server dropped as repeats of one it knew.",
		}, []string{"table"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "pricelake_lake_insert_duration_seconds",
			Help:    "Time from the begin of an INSERT to its acknowledgement.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}, []string{"table"}),
		freshness: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "pricelake_freshness_seconds",
			Help:    "Age of a price when it can be queried: from the end of the answer it was in to the acknowledged row.",
			Buckets: []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400}, // 5 and 30 are goals
		}),
	}
	m.unknown = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pricelake_lake_unknown_fields_total",
		Help: "Rows whose record has a field that this version does not load, by the field's name.",
	}, []string{"table", "field"})
	reg.MustRegister(m.unknown, m.rows, m.failed, m.repeats, m.duration, m.freshness)
	return m
}

// inserted counts an acknowledged INSERT. A repeat wrote nothing.
func (m *metrics) inserted(p *part, now time.Time, took time.Duration, repeat bool) {
	m.duration.WithLabelValues(p.table).Observe(took.Seconds())
	if repeat {
		m.repeats.WithLabelValues(p.table).Inc()
		return
	}
	m.rows.WithLabelValues(p.table).Add(float64(p.rows))
	if p.fetched == nil {
		return
	}
	for row := range p.fetched.Rows() {
		m.freshness.Observe(now.Sub(time.UnixMicro(p.fetched.int(row))).Seconds())
	}
}

// passedOver counts a row whose record has fields that no column takes.
func (m *metrics) passedOver(table string, fields []string) {
	for _, field := range fields {
		m.unknown.WithLabelValues(table, field).Inc()
	}
}
