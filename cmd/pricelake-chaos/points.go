package main

import (
	"path/filepath"

	"github.com/pricelake/pricelake/cmd/pricelake-chaos/count"
	"github.com/pricelake/pricelake/cmd/pricelake-chaos/fault"
	"github.com/pricelake/pricelake/internal/failpoint"
)

// pointRow is a line of the table of failpoints.
type pointRow struct {
	Point string `json:"point"`
	// Armed counts the processes that were told to end there, Fired those that
	// did, Passed the processes that came by at least once.
	Armed  int    `json:"armed"`
	Fired  int    `json:"fired"`
	Passed int    `json:"passed"`
	Text   string `json:"text"`
}

// points prints the table of failpoints and adds the check that each one that
// had its turn ended a process: one that is never reached tests nothing.
func (t *rig) points(report *count.Report) error {
	use := t.o.points()
	if len(use) == 0 {
		return nil
	}
	seen, err := failpoint.ReadLog(filepath.Join(t.dir, failpointLog))
	if err != nil {
		return err
	}
	armed := map[string]int{}
	for _, s := range t.o.steps() {
		if s.Kind == fault.Failpoint {
			armed[s.Point]++
		}
	}
	var unhit count.Findings
	rows := make([]pointRow, 0, len(use))
	fired := 0
	for _, d := range use {
		row := pointRow{string(d.Point), armed[string(d.Point)], seen[d.Point].Fired, seen[d.Point].Passed, d.Text}
		rows = append(rows, row)
		fired += row.Fired
		if row.Armed > 0 && row.Fired == 0 {
			unhit.Addf("%s: %d processes were to end there, none did; %d came by", row.Point, row.Armed, row.Passed)
		}
	}
	t.screen.points(rows)
	report.Add("failpoints", "every failpoint that had its turn was hit", &unhit, "%d points, %d processes ended at them", len(use), fired)
	return nil
}
