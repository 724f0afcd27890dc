package dedupe

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/processors"
)

type metrics struct {
	stage              *processors.Metrics
	repeats, revisions *prometheus.CounterVec
	gap, receded       prometheus.Counter
	replayed, restored prometheus.Counter
	discarded, foreign prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, stateBytes func() float64) *metrics {
	m := &metrics{
		stage: processors.NewMetrics(reg, Role),
		repeats: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pricelake_dedupe_repeats_total",
			Help: "Prices dropped because their event is known with the same values, or, where the source says no time, at all.",
		}, []string{"provider"}),
		revisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pricelake_dedupe_revisions_total",
			Help: "Prices passed on as a later revision of a known event.",
		}, []string{"provider"}),
		gap: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pricelake_dedupe_state_gap_total",
			Help: "Offsets of the output partitions that retention removed before the state or the lake had seen them; events published there may pass again.",
		}),
		receded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pricelake_dedupe_state_receded_total",
			Help: "Events forgotten because the log of the output partition lost their records.",
		}),
		replayed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pricelake_dedupe_state_replayed_total",
			Help: "Records of the output partitions applied to the state when a partition was assigned.",
		}),
		restored: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pricelake_dedupe_state_restored_total",
			Help: "Rows of the lake put into the state of partitions that had lost theirs.",
		}),
		foreign: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pricelake_dedupe_earlier_topics_total",
			Help: "Earlier topics of the name of the output topic of which the lake holds rows, found when a partition's state was begun.",
		}),
		discarded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pricelake_dedupe_state_discarded_total",
			Help: "Stores moved aside because they were of no use.",
		}),
	}
	reg.MustRegister(m.repeats, m.revisions, m.gap, m.receded, m.replayed, m.restored, m.discarded, m.foreign,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pricelake_dedupe_state_bytes",
			Help: "Disk taken by the state of the partitions assigned to this process.",
		}, stateBytes))
	return m
}

// add counts what became of a committed batch.
func (m *metrics) add(b *made) {
	m.stage.Add(&b.tally)
	for provider, n := range b.repeats {
		m.repeats.WithLabelValues(provider).Add(float64(n))
	}
	for provider, n := range b.revisions {
		m.revisions.WithLabelValues(provider).Add(float64(n))
	}
}
