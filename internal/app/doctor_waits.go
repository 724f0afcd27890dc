package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pricelake/pricelake/processors/dedupe"
	"github.com/pricelake/pricelake/sinks/lake"
)

// A role that waits for a server on its way to work is no member of its group yet:
// to the brokers it looks like one that does not run. Its process knows better.

// waiting asks the processes at the admin addresses which of their roles are not
// ready and why, by role. Who does not answer says nothing.
func (d *doctor) waiting(ctx context.Context) map[string]string {
	reasons := map[string]string{}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // not through the proxy of API calls
	for _, addr := range d.options.Admin {
		for role, why := range askReady(ctx, client, addr) {
			reasons[role] = why
		}
	}
	return reasons
}

// readyPatience bounds the question to one process.
const readyPatience = 3 * time.Second

func askReady(ctx context.Context, client *http.Client, addr string) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/readyz", nil)
	if err != nil {
		return nil
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	var said struct {
		Reasons map[string]string `json:"reasons"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&said); err != nil {
		return nil // another program's
	}
	return said.Reasons
}

// idle is the finding about a role that nobody works for, unless it waits.
func (d *doctor) idle(role string, lag int, reasons map[string]string) Finding {
	f := Finding{Verdict: VerdictWarn, Area: areaKafka, Check: "groups", Subject: groupOf(role), idle: role}
	if slices.Contains(d.options.Roles, role) {
		f.Verdict = VerdictFail
	}
	if why := reasons[role]; why != "" {
		f.idle = ""
		f.Text = fmt.Sprintf("it runs and does not work yet: %s; %s wait", strings.ReplaceAll(why, "\n", "; "), plural(lag, "offset"))
		f.Remedy = "mend what it waits for: it goes on by itself, no restart is needed"
		return f
	}
	f.Text = fmt.Sprintf("nobody works for it, %s wait", plural(lag, "offset"))
	f.Remedy = "start it: `pricelake run " + role + "`; if it runs, its log and /readyz say what it waits for"
	return f
}

// explain says of roles that nobody works for which of their servers failed: one
// that runs waits for it, and says so where doctor cannot ask.
func (d *doctor) explain() {
	for i := range d.findings {
		f := &d.findings[i]
		if f.idle == "" {
			continue
		}
		var areas []string
		for _, other := range d.findings {
			if other.Verdict == VerdictFail && other.Check != f.Check && slices.Contains(needs(f.idle), other.Area) && !slices.Contains(areas, other.Area) {
				areas = append(areas, other.Area)
			}
		}
		if len(areas) == 0 {
			continue
		}
		slices.Sort(areas)
		f.Text += "; if it runs, it waits for " + strings.Join(areas, " and ")
		f.Remedy = "start it: `pricelake run " + f.idle + "`; if it runs, mend what is wrong with " + strings.Join(areas, " and ") + ": it goes on by itself"
	}
}

// needs are the areas whose servers a role waits for at its start.
func needs(role string) []string {
	switch role {
	case lake.Role, dedupe.Role: // the deduplicator where its disk lacks something
		return []string{areaKafka, areaRegistry, areaClickHouse}
	}
	return []string{areaKafka, areaRegistry}
}
