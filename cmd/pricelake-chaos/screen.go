package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/pricelake/pricelake/cmd/pricelake-chaos/count"
	"github.com/pricelake/pricelake/cmd/pricelake-chaos/fault"
)

// screen shows what a run does: a live line on a terminal, plain lines in a
// pipe, one JSON object a line with --json. Safe for parallel use.
type screen struct {
	out, stderr io.Writer
	json        bool
	terminal    bool
	begun       time.Time

	mu   sync.Mutex
	live bool
	last time.Time
}

func newScreen(o *options, stdout, stderr io.Writer) *screen {
	f, ok := stdout.(*os.File)
	return &screen{out: stdout, stderr: stderr, json: o.json, terminal: ok && !o.json && term.IsTerminal(int(f.Fd())), begun: time.Now()}
}

// where says what the run is made on.
func (o *options) where() string {
	switch {
	case len(o.brokers) > 0:
		return "on the given servers"
	case o.on == onKafka:
		return "on Apache Kafka"
	}
	return "on the embedded stack"
}

// line prints a line of text, or the object with --json.
func (s *screen) line(object any, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.json {
		if err := json.NewEncoder(s.out).Encode(object); err != nil {
			fmt.Fprintf(s.stderr, "pricelake-chaos: %s\n", err)
		}
		return
	}
	if s.live {
		fmt.Fprint(s.out, "\r\x1b[K")
		s.live = false
	}
	fmt.Fprintf(s.out, format+"\n", args...)
}

func (s *screen) seconds() float64 {
	return float64(time.Since(s.begun).Milliseconds()) / 1000
}

// message is a line of JSON that is not the last.
type message struct {
	Event   string  `json:"event"`
	Seconds float64 `json:"seconds"`
	Text    string  `json:"text,omitempty"`
	Value   any     `json:"value,omitempty"`
}

func (s *screen) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.line(message{"note", s.seconds(), text, nil}, "%s", text)
}

func (s *screen) step(text string) {
	s.line(message{"step", s.seconds(), text, nil}, "%6.1fs  %s", s.seconds(), text)
}

func (s *screen) fault(step fault.Step) {
	s.line(message{"fault", s.seconds(), step.String(), step}, "%6.1fs  %s", s.seconds(), step)
}

// plan prints a plan.
func (s *screen) plan(steps []fault.Step) error {
	for _, step := range steps {
		s.line(message{"fault", step.At.Seconds(), step.String(), step}, "%6.1fs  %s", step.At.Seconds(), step)
	}
	return nil
}

// progress shows how far the run is: redrawn on a terminal, every ten seconds
// elsewhere.
func (s *screen) progress(t *rig) {
	stats := t.feed.Stats()
	text := fmt.Sprintf("%6.1fs  %d of %d trades given in %d answers, %d pages not recorded yet", s.seconds(), stats.Events, t.o.events, stats.Answers, stats.Waiting)
	s.mu.Lock()
	if s.terminal {
		fmt.Fprintf(s.out, "\r\x1b[K%s", text)
		s.live = true
		s.mu.Unlock()
		return
	}
	quiet := time.Since(s.last) < 10*time.Second
	if !quiet {
		s.last = time.Now()
	}
	s.mu.Unlock()
	if !quiet {
		s.line(message{"progress", s.seconds(), "", stats}, "%s", text)
	}
}

// points prints the table of failpoints.
func (s *screen) points(rows []pointRow) {
	if s.json {
		s.line(message{"failpoints", s.seconds(), "", rows}, "")
		return
	}
	s.line(nil, "  %-24s %6s %6s %6s  %s", "failpoint", "armed", "hit", "passed", "what is done and what is not")
	for _, r := range rows {
		s.line(nil, "  %-24s %6d %6d %6d  %s", r.Point, r.Armed, r.Fired, r.Passed, r.Text)
	}
}

// verdict is the last line of a run with --json; others rely on its names.
type verdict struct {
	OK      bool   `json:"ok"`
	Events  int    `json:"events"`
	Kills   int    `json:"kills"`
	Lost    int    `json:"lost"`
	Doubled int    `json:"doubled"`
	Seed    uint64 `json:"seed"`
}

// verdict prints every check and the last line.
func (s *screen) verdict(t *rig, r *count.Report) error {
	stats := t.feed.Stats()
	lost := t.kafka.Lost()
	s.line(message{"faults", s.seconds(), "", map[string]any{"done": t.injector.done, "processes_killed": t.injector.ended, "answers_of_kafka_lost": lost}},
		"%6.1fs  faults: %v; %d processes killed; answers of Kafka lost: %v", s.seconds(), t.injector.done, t.injector.ended, lost)
	s.line(message{"said", s.seconds(), "", stats}, "%6.1fs  the API gave %d trades in %d answers, said %d again, repeated %d, restated %d", s.seconds(),
		stats.Events, stats.Answers, stats.Again, stats.Repeats, stats.Restated)
	s.checks(r)
	v := verdict{r.OK(), stats.Events, t.injector.kills, r.Lost, r.Doubled, t.o.seed}
	s.end(v, r)
	return nil
}

// end prints the last line.
func (s *screen) end(v verdict, r *count.Report) {
	word := "all is well"
	if !v.OK {
		word = "SOMETHING IS WRONG"
	}
	s.line(v, "%s: %d events, %d kills, %d lost, %d doubled, %d wrong, seed %d, %.0f s", word, v.Events, v.Kills, v.Lost, v.Doubled, r.Wrong, v.Seed, s.seconds())
}

// checks prints every check with what it found.
func (s *screen) checks(r *count.Report) {
	for _, c := range r.Checks {
		mark := "ok    "
		switch {
		case !c.OK && c.Waived:
			mark = "waived"
		case !c.OK:
			mark = "WRONG "
		}
		s.line(message{"check", s.seconds(), c.Name, c}, "  %s %s  %s: %s", mark, c.Invariant, c.Name, c.Detail)
		if s.json {
			continue
		}
		for _, text := range c.Found {
			s.line(nil, "              %s", text)
		}
	}
}
