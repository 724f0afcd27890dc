package poller

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/schemas"
)

// Metrics are the instruments of all pollers of a process.
type Metrics struct {
	attempts *prometheus.CounterVec
	polls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
	dead     *prometheus.CounterVec
}

// NewMetrics registers the instruments with reg, unless that is nil.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pricelake_poll_attempts_total",
			Help: "HTTP requests made, by what came of them.",
		}, []string{"provider", "outcome"}),
		polls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pricelake_polls_total",
			Help: "Polls whose outcome is committed, by what came of them.",
		}, []string{"provider", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "pricelake_poll_duration_seconds",
			Help:    "From the start of a poll to its outcome, pauses between attempts included.",
			Buckets: []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300},
		}, []string{"provider"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pricelake_polls_in_flight",
			Help: "Polls being performed.",
		}, []string{"provider"}),
		dead: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pricelake_poll_dead_letters_total",
			Help: "Requests whose dead letter is committed, by reason: polls that failed for good, and requests that are none.",
		}, []string{"reason"}),
	}
	// From 0 on, so that the first of its kind is seen as an increase.
	for _, reason := range []schemas.DeadReason{schemas.DeadAttempts, schemas.DeadTooLarge, schemas.DeadUnknownCall, schemas.DeadDecode, schemas.DeadInvalid} {
		m.dead.WithLabelValues(reason.String())
	}
	if reg != nil {
		reg.MustRegister(m.attempts, m.polls, m.duration, m.inFlight, m.dead)
	}
	return m
}

// started counts a poll in, the function it returns counts it out.
func (m *Metrics) started(provider string) (ended func()) {
	g := m.inFlight.WithLabelValues(provider)
	g.Inc()
	return g.Dec
}

// finished returns what counts a poll, and the dead letter that it became, if
// any. It holds nothing of the poll.
func (m *Metrics) finished(f *schemas.PollFinished, dead schemas.DeadReason) func() {
	provider, outcome, took := f.Provider, f.Outcome.String(), f.FinishedAt.Sub(f.StartedAt).Seconds()
	return func() {
		m.polls.WithLabelValues(provider, outcome).Inc()
		m.duration.WithLabelValues(provider).Observe(took)
		if dead != schemas.DeadUnknown {
			m.dead.WithLabelValues(dead.String()).Inc()
		}
	}
}
