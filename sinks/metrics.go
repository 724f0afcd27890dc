package sinks

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/schemas"
)

type metrics struct {
	mu sync.Mutex
	// counted are the records of each partition that were counted as refused and
	// may be given up again, by whoever claims the partition next.
	counted map[Partition]*Offsets

	records     *prometheus.CounterVec
	recoveries  *prometheus.CounterVec
	deadLetters *prometheus.CounterVec
	intents     *prometheus.CounterVec
	burned      *prometheus.CounterVec
}

// outcomes of a record.
const (
	outcomeWritten = "written" // durable through this claim
	outcomeSkipped = "skipped" // was already there
	outcomeRefused = "refused" // is in the dead letters
)

// outcomes of an intent that was found open.
const (
	intentComplete    = "complete"
	intentWritten     = "written"
	intentUnreadable  = "unreadable"
	intentQuarantined = "quarantined"
)

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		counted: map[Partition]*Offsets{},
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pricelake_sink_records_total",
			Help: "Records a sink is done with, by outcome: written, skipped (were already there), refused (are dead letters).",
		}, []string{"topic", "outcome"}),
		recoveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pricelake_sink_recoveries_total",
			Help: "Times a sink asked by lineage what had arrived of a block, after a write of unknown outcome.",
		}, []string{"topic"}),
		deadLetters: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pricelake_sink_dead_letters_total",
			Help: "Records a sink gave up, by reason; each once, also when it is given up again after the partition was lost.",
		}, []string{"topic", "reason"}),
		intents: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pricelake_sink_open_intents_total",
			Help: "Intents found open at a claim, by what came of them: complete (everything was there), written (what was missing was written), unreadable (not an intent of this version; lineage decided), quarantined.",
		}, []string{"topic", "outcome"}),
		burned: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pricelake_sink_burned_names_total",
			Help: "Writes that a sink took for repeats although their rows are not there; they are repeated under another name.",
		}, []string{"topic"}),
	}
	reg.MustRegister(m.records, m.recoveries, m.deadLetters, m.intents, m.burned)
	return m
}

// begins makes the counts of a topic start at 0, so that the first dead letter
// of its kind is seen as an increase.
func (m *metrics) begins(topic string) {
	for _, reason := range []schemas.DeadReason{schemas.DeadDecode, schemas.DeadInvalid, schemas.DeadRefused} {
		m.deadLetters.WithLabelValues(topic, reason.String())
	}
}

// refused counts a record that was given up, unless it was counted before. What
// lies below settled never comes again.
func (m *metrics) refused(of Partition, settled, offset int64, reason schemas.DeadReason) {
	m.mu.Lock()
	defer m.mu.Unlock()
	counted := m.counted[of]
	if counted == nil {
		counted = new(Offsets)
		m.counted[of] = counted
	}
	counted.Forget(settled - 1)
	if counted.Has(offset) {
		return
	}
	counted.Add(offset, offset)
	m.records.WithLabelValues(of.Topic, outcomeRefused).Inc()
	m.deadLetters.WithLabelValues(of.Topic, reason.String()).Inc()
}
