package lake

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/sinks"
)

// AuditMetrics are what the auditor has proven and found. One process of the role
// audits; the others export none of it.
type AuditMetrics struct {
	proven   *prometheus.GaugeVec
	unproven *prometheus.GaugeVec
	findings *prometheus.GaugeVec
	compared *prometheus.CounterVec
}

// NewAuditMetrics registers the metrics of an auditor.
func NewAuditMetrics(reg prometheus.Registerer) *AuditMetrics {
	m := &AuditMetrics{
		proven: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pricelake_audit_proven_offset",
			Help: "Offset below which every record of the partition was compared with the rows of the lake.",
		}, []string{"topic", "partition"}),
		unproven: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pricelake_audit_unproven_offsets",
			Help: "Offsets that the lake has settled and the auditor has not compared yet.",
		}, []string{"topic", "partition"}),
		findings: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pricelake_audit_findings",
			Help: "Records and rows that are wrong now, by kind: missing, doubled, unexpected (a row without a record), altered (a row of another record). The table audits has the offsets.",
		}, []string{"topic", "partition", "kind"}),
		compared: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pricelake_audit_records_compared_total",
			Help: "Records the auditor compared with the rows of the lake.",
		}, []string{"topic"}),
	}
	reg.MustRegister(m.proven, m.unproven, m.findings, m.compared)
	return m
}

// Proven shows how far a partition is proven, and what is wrong in it.
func (m *AuditMetrics) Proven(of sinks.Partition, next, settled int64, audits map[int64]*Audit) {
	number := strconv.Itoa(int(of.Number))
	m.proven.WithLabelValues(of.Topic, number).Set(float64(next))
	m.unproven.WithLabelValues(of.Topic, number).Set(float64(max(0, settled-next)))
	var missing, doubled, unexpected, altered int64
	for _, a := range audits {
		missing += a.Report.MissingCount
		doubled += a.Report.DoubledCount
		unexpected += a.Report.UnexpectedCount
		altered += a.Report.AlteredCount
	}
	for kind, n := range map[string]int64{"missing": missing, "doubled": doubled, "unexpected": unexpected, "altered": altered} {
		m.findings.WithLabelValues(of.Topic, number, kind).Set(float64(n))
	}
}

// Compared counts records.
func (m *AuditMetrics) Compared(topic string, records int64) {
	m.compared.WithLabelValues(topic).Add(float64(records))
}

// Forget takes away what this process said of partitions: another audits them.
func (m *AuditMetrics) Forget() {
	m.proven.Reset()
	m.unproven.Reset()
	m.findings.Reset()
}
