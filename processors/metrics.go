package processors

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/schemas"
)

// Metrics are the counters of one role's stage. It may be used in parallel.
type Metrics struct {
	published, filtered, dead prometheus.Counter
	outputs                   prometheus.Counter
	deadLetters               *prometheus.CounterVec
	duration                  prometheus.Histogram
}

// NewMetrics registers the metrics of a role. Every role of a process has its
// own, told apart by the label role.
func NewMetrics(reg prometheus.Registerer, role string) *Metrics {
	reg = prometheus.WrapRegistererWith(prometheus.Labels{"role": role}, reg)
	records := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pricelake_processor_records_total",
		Help: "Input records whose transaction committed, by what became of them: published, filtered or dead.",
	}, []string{"outcome"})
	m := &Metrics{
		published: records.WithLabelValues("published"),
		filtered:  records.WithLabelValues("filtered"),
		dead:      records.WithLabelValues("dead"),
		outputs: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pricelake_processor_outputs_total",
			Help: "Output records whose transaction committed, without dead letters.",
		}),
		deadLetters: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pricelake_processor_dead_letters_total",
			Help: "Dead letters whose transaction committed, by reason.",
		}, []string{"reason"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "pricelake_processor_batch_duration_seconds",
			Help:    "Time to turn a batch into its outputs, before they are published.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9),
		}),
	}
	// From 0 on, so that the first of its kind is seen as an increase.
	for _, reason := range []schemas.DeadReason{schemas.DeadDecode, schemas.DeadUnknownCall, schemas.DeadInvalid, schemas.DeadTooLarge} {
		m.deadLetters.WithLabelValues(reason.String())
	}
	reg.MustRegister(records, m.outputs, m.deadLetters, m.duration)
	return m
}

// Handled observes the time one batch took.
func (m *Metrics) Handled(d time.Duration) { m.duration.Observe(d.Seconds()) }

// Tally counts what became of the records of one batch. It is added to the
// metrics after the batch's transaction has committed, so that a batch that
// comes twice counts once.
type Tally struct {
	Published int // input records with at least one output
	Filtered  int // input records without
	Outputs   int
	Dead      []schemas.DeadReason // one for each dead letter
}

// Add adds the tally of a committed batch.
func (m *Metrics) Add(t *Tally) {
	m.published.Add(float64(t.Published))
	m.filtered.Add(float64(t.Filtered))
	m.outputs.Add(float64(t.Outputs))
	m.dead.Add(float64(len(t.Dead)))
	for _, reason := range t.Dead {
		m.deadLetters.WithLabelValues(reason.String()).Inc()
	}
}
