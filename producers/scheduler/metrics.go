package scheduler

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the instruments of all schedulers of a process.
type Metrics struct {
	calls         prometheus.Gauge
	requests      *prometheus.CounterVec
	missed        *prometheus.CounterVec
	lateness      prometheus.Histogram
	publishErrors prometheus.Counter
	clockJumps    prometheus.Counter
}

// NewMetrics registers the instruments with reg, unless that is nil.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		calls: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pricelake_scheduler_calls",
			Help: "Enabled calls that are being scheduled.",
		}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pricelake_scheduler_requests_total",
			Help: "Polls asked for.",
		}, []string{"provider"}),
		missed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pricelake_scheduler_slots_missed_total",
			Help: "Slots that passed without being asked for, counted when the next one is.",
		}, []string{"provider"}),
		lateness: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "pricelake_scheduler_lateness_seconds",
			Help:    "From the slot to the moment its request was in the log.",
			Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600},
		}),
		publishErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pricelake_scheduler_publish_errors_total",
			Help: "Transactions with requests that failed or whose outcome is unknown; each is tried again.",
		}),
		clockJumps: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pricelake_scheduler_clock_jumps_total",
			Help: "Times the wall clock was seen to jump by more than a second.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.calls, m.requests, m.missed, m.lateness, m.publishErrors, m.clockJumps)
	}
	return m
}
