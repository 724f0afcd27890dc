package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pricelake/pricelake/sinks/lake"
)

// Verdict is what a check found.
type Verdict string

// The verdicts. A warning is something that works, and may not for long.
const (
	VerdictOK   Verdict = "ok"
	VerdictWarn Verdict = "warn"
	VerdictFail Verdict = "fail"
)

// Finding is the outcome of one check on one thing.
type Finding struct {
	Verdict Verdict `json:"verdict"`
	// Area is what was looked at: configuration, kafka, registry, clickhouse,
	// machine.
	Area string `json:"area"`
	// Check is the question, Subject whom it is about, such as a topic.
	Check   string `json:"check"`
	Subject string `json:"subject,omitempty"`
	// Text is what was found, Remedy what to do about it.
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"`

	idle string // the role that nobody seems to work for
}

// Diagnosis is everything that doctor found, in the order of the areas.
type Diagnosis struct {
	OK       bool      `json:"ok"` // nothing failed
	Findings []Finding `json:"findings"`
}

// DoctorOptions say what to look at.
type DoctorOptions struct {
	// Roles whose servers are looked at; all when empty. A role that is named
	// has to run.
	Roles []string
	// Timeout of one check: a server that hangs does not hide the others.
	Timeout time.Duration
	// Admin are addresses, host:port, at which processes of roles say what they
	// wait for.
	Admin []string
	Now   func() time.Time
}

// Doctor checks everything that the roles rely on against the live servers, in
// parallel, and changes nothing.
func (a *App) Doctor(ctx context.Context, o DoctorOptions) Diagnosis {
	d := &doctor{app: a, options: o}
	areas := []func(context.Context){d.machine, d.kafka, d.registry}
	if d.about(lake.Role) {
		areas = append(areas, d.clickhouse)
	}
	inParallel(ctx, areas...)
	return d.diagnosis()
}

// doctor is one examination.
type doctor struct {
	app     *App
	options DoctorOptions

	mu       sync.Mutex
	findings []Finding
}

// about says whether a role is looked at.
func (d *doctor) about(role string) bool {
	return len(d.options.Roles) == 0 || slices.Contains(d.options.Roles, role)
}

func areas() []string {
	return []string{areaConfiguration, areaMachine, areaKafka, areaRegistry, areaClickHouse}
}

const (
	areaConfiguration = "configuration"
	areaMachine       = "machine"
	areaKafka         = "kafka"
	areaRegistry      = "registry"
	areaClickHouse    = "clickhouse"
)

func (d *doctor) diagnosis() Diagnosis {
	d.explain()
	slices.SortStableFunc(d.findings, func(x, y Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(areas(), x.Area), slices.Index(areas(), y.Area)),
			cmp.Compare(x.Check, y.Check), cmp.Compare(x.Subject, y.Subject))
	})
	bad := slices.ContainsFunc(d.findings, func(f Finding) bool { return f.Verdict == VerdictFail })
	return Diagnosis{OK: !bad, Findings: d.findings}
}

func (d *doctor) add(f Finding) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.findings = append(d.findings, f)
}

// question is one check of an area.
type question struct {
	doctor *doctor
	area   string
	check  string
}

func (q question) ok(subject, format string, args ...any) {
	q.say(VerdictOK, subject, "", format, args...)
}

func (q question) warn(subject, remedy, format string, args ...any) {
	q.say(VerdictWarn, subject, remedy, format, args...)
}

func (q question) fail(subject, remedy, format string, args ...any) {
	q.say(VerdictFail, subject, remedy, format, args...)
}

func (q question) say(v Verdict, subject, remedy, format string, args ...any) {
	q.doctor.add(Finding{Verdict: v, Area: q.area, Check: q.check, Subject: subject, Text: fmt.Sprintf(format, args...), Remedy: remedy})
}

// ask runs a question under its deadline. What it could not find out is a
// failure with the general remedy of the area.
func (d *doctor) ask(ctx context.Context, area, check, remedy string, look func(context.Context, question) error) {
	ctx, cancel := context.WithTimeout(ctx, d.options.Timeout)
	defer cancel()
	q := question{d, area, check}
	if err := look(ctx, q); err != nil {
		if late(err) {
			remedy = fmt.Sprintf("on a busy machine ask again with --timeout %v; else %s", 6*d.options.Timeout, remedy)
		}
		remedy = remedyFor(err, remedy)
		q.fail("", remedy, "%s", strings.Replace(plain(err), ": "+remedy, "", 1)) // it has a place of its own
	}
}

// plain is an error as people read it: a deadline is a server that did not
// answer.
func plain(err error) string {
	text := err.Error()
	if late(err) {
		text = "no answer in time (" + text + ")"
	}
	return strings.ReplaceAll(text, "\n", "; ")
}

// late says that the time was over before there was an answer.
func late(err error) bool {
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout()
}

// inParallel runs all and waits for them.
func inParallel(ctx context.Context, all ...func(context.Context)) {
	var wg sync.WaitGroup
	for _, one := range all {
		wg.Go(func() { one(ctx) })
	}
	wg.Wait()
}

// clock judges how far a server's clock is ahead of ours. Slots, freshness and
// revisions as known at a time compare instants of several clocks.
func (q question) clock(server string, ahead time.Duration) {
	const bearable, wrong = time.Second, time.Minute
	const remedy = "synchronise both clocks, with NTP say"
	side := "ahead of"
	if ahead < 0 {
		side, ahead = "behind", -ahead
	}
	off := ahead.Round(time.Millisecond)
	switch {
	case ahead >= wrong:
		q.fail(server, remedy, "its clock is %v %s this machine's", off, side)
	case ahead > bearable:
		q.warn(server, remedy, "its clock is %v %s this machine's", off, side)
	default:
		q.ok(server, "its clock and this machine's agree to %v", max(off, time.Millisecond))
	}
}

// space judges how much of a disk is left. total is 0 where it is not known.
func (q question) space(disk, remedy string, free, total uint64) {
	const least = 1 << 30
	text := fmt.Sprintf("%.1f GiB free", float64(free)/(1<<30))
	share := 1.0
	if total > 0 {
		share = float64(free) / float64(total)
		text += fmt.Sprintf(", %.0f %% of %.1f GiB", 100*share, float64(total)/(1<<30))
	}
	switch {
	case free < least || share < 0.03:
		q.fail(disk, remedy, "%s", text)
	case free < 5*least || share < 0.1:
		q.warn(disk, remedy, "%s", text)
	default:
		q.ok(disk, "%s", text)
	}
}
