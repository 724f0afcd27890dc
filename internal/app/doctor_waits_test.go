package app

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A role that waits is not said to be missing: doctor says what it waits for, in
// the role's own words where it can ask, otherwise by what is wrong with servers.
func TestDoctorSaysWhatARoleWaitsFor(t *testing.T) {
	process := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"ready":false,"reasons":{"lake":"starting, waiting for ClickHouse: connection refused"}}`)
	}))
	defer process.Close()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }))
	defer other.Close()
	host := func(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }
	d := &doctor{options: DoctorOptions{Roles: []string{"lake"}, Timeout: time.Second, Admin: []string{"127.0.0.1:1", host(other), host(process)}}}
	reasons := d.waiting(t.Context())
	for _, role := range []string{"lake", "normalizer", "deduplicator"} {
		d.add(d.idle(role, 7, reasons))
	}
	d.add(Finding{Verdict: VerdictFail, Area: areaClickHouse, Check: "address", Text: "connection refused", Remedy: "start the server"})
	found := map[string]Finding{}
	for _, f := range d.diagnosis().Findings {
		found[f.Subject] = f
	}
	lake := found["pricelake.lake"]
	if lake.Verdict != VerdictFail || !strings.Contains(lake.Text, "waiting for ClickHouse: connection refused") || !strings.Contains(lake.Text, "7 offsets wait") || strings.Contains(lake.Remedy, "run lake") {
		t.Errorf("a role that waits: %+v", lake)
	}
	if f := found["pricelake.deduplicator"]; f.Verdict != VerdictWarn || !strings.Contains(f.Text, "nobody works") || !strings.Contains(f.Text, "if it runs, it waits for clickhouse") || !strings.Contains(f.Remedy, "if it runs, mend what is wrong with clickhouse") || !strings.Contains(f.Remedy, "run deduplicator") {
		t.Errorf("a role that may wait: %+v", f)
	}
	if f := found["pricelake.normalizer"]; strings.Contains(f.Text, "waits") || f.Remedy != "start it: `pricelake run normalizer`; if it runs, its log and /readyz say what it waits for" {
		t.Errorf("a role that does not run: %+v", f)
	}
}
