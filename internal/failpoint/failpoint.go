// Package failpoint lets a test end, freeze, delay or fail the product at places
// with names: between two steps that have to be right whatever happens between
// them.
//
// A place passes its point by calling Hit on a set that it was given. A nil set
// is what everybody else gives: the call is then one comparison, inlined, and
// there is no build tag to forget. A set is made from a text, such as
//
//	lake.insert.acked=kill@3; poller.answer.read=delay:200ms*5
//
// which kills the process the third time an insert is acknowledged, and delays
// the first five answers.
package failpoint

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The variables that arm a process; see FromEnv.
const (
	// Env holds the text that Parse reads.
	Env = "PRICELAKE_FAILPOINTS"
	// LogEnv names a file that gets a line for each point that was passed for
	// the first time, and for each action, before it happens.
	LogEnv = "PRICELAKE_FAILPOINTS_LOG"
)

// ErrInjected is what Hit returns for the action error.
var ErrInjected = errors.New("injected by a failpoint")

// Action is what happens at a point.
type Action string

// The actions.
const (
	Kill  Action = "kill"  // SIGKILL to this process
	Stop  Action = "stop"  // SIGSTOP to this process; somebody else continues it
	Error Action = "error" // Hit returns ErrInjected
	Delay Action = "delay" // Hit returns after a while
)

// armed is what one point does.
type armed struct {
	action Action
	delay  time.Duration
	from   int // the hit it begins with, from 1
	times  int // how many hits it acts on
	hits   int
}

// Set holds the points of a process that do something. A nil *Set is valid and
// does nothing. Its methods may be used in parallel.
type Set struct {
	log     string
	signal  func(Action) error
	mu      sync.Mutex
	points  map[Point]*armed
	passed  map[Point]bool
	lastErr error
}

// FromEnv makes the set that the environment asks for, nil when it asks for
// none. An empty text with a log counts points and does nothing else.
func FromEnv(getenv func(string) string) (*Set, error) {
	text, log := getenv(Env), getenv(LogEnv)
	if text == "" && log == "" {
		return nil, nil
	}
	s, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Env, err)
	}
	s.log = log
	return s, nil
}

// Parse makes a set from a text: point=action, separated by semicolons. An
// action is kill, stop, error or delay:DURATION, then perhaps @N (from the N-th
// hit on; the first by default) and *M (on M hits; one by default).
func Parse(text string) (*Set, error) {
	s := &Set{signal: signal, points: map[Point]*armed{}, passed: map[Point]bool{}}
	for _, one := range strings.Split(text, ";") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		name, what, ok := strings.Cut(one, "=")
		p := Point(strings.TrimSpace(name))
		if !ok {
			return nil, fmt.Errorf("%q: write point=action", one)
		}
		if _, known := Lookup(p); !known {
			return nil, fmt.Errorf("%q: there is no such point", p)
		}
		a, err := parseAction(strings.TrimSpace(what))
		if err != nil {
			return nil, fmt.Errorf("%q: %w", one, err)
		}
		s.points[p] = a
	}
	return s, nil
}

func parseAction(text string) (*armed, error) {
	a := &armed{from: 1, times: 1}
	var err error
	if text, a.times, err = number(text, "*"); err != nil {
		return nil, err
	}
	if text, a.from, err = number(text, "@"); err != nil {
		return nil, err
	}
	name, duration, timed := strings.Cut(text, ":")
	a.action = Action(name)
	switch a.action {
	case Kill, Stop, Error:
		if timed {
			return nil, fmt.Errorf("%s takes no duration", name)
		}
	case Delay:
		if a.delay, err = time.ParseDuration(duration); err != nil || a.delay < 0 {
			return nil, fmt.Errorf("write delay:DURATION, such as delay:200ms")
		}
	default:
		return nil, fmt.Errorf("no action %q: write kill, stop, error or delay:DURATION", name)
	}
	return a, nil
}

// number takes a number that follows mark off the end of a text; it is 1 when
// there is none.
func number(text, mark string) (rest string, n int, err error) {
	rest, digits, ok := strings.Cut(text, mark)
	if !ok {
		return text, 1, nil
	}
	if n, err = strconv.Atoi(digits); err != nil || n < 1 {
		return "", 0, fmt.Errorf("write a number above 0 after %s", mark)
	}
	return rest, n, nil
}

// Hit passes a point. It returns nil unless the point is armed with the action
// error.
func (s *Set) Hit(p Point) error {
	if s == nil {
		return nil
	}
	return s.hit(p)
}

func (s *Set) hit(p Point) error {
	s.mu.Lock()
	if !s.passed[p] {
		s.passed[p] = true
		s.note("pass", p, "")
	}
	a := s.points[p]
	if a == nil {
		s.mu.Unlock()
		return nil
	}
	a.hits++
	if a.hits < a.from || a.hits >= a.from+a.times {
		s.mu.Unlock()
		return nil
	}
	s.note("fire", p, a.action)
	s.mu.Unlock()
	switch a.action {
	case Error:
		return fmt.Errorf("%s: %w", p, ErrInjected)
	case Delay:
		time.Sleep(a.delay)
		return nil
	}
	if err := s.signal(a.action); err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	return nil
}

// note appends a line to the log. It is written before anything happens: a
// process that kills itself has no later.
func (s *Set) note(what string, p Point, a Action) {
	if s.log == "" {
		return
	}
	f, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.lastErr = err
		return
	}
	if _, err := fmt.Fprintf(f, "%s %s %s %d\n", what, p, orDash(a), os.Getpid()); err != nil {
		s.lastErr = err
	}
	if err := f.Close(); err != nil {
		s.lastErr = err
	}
}

func orDash(a Action) Action {
	if a == "" {
		return "-"
	}
	return a
}

// Err says why the log could not be written the last time it could not.
func (s *Set) Err() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastErr
}

// Counts are what a log tells about one point.
type Counts struct {
	// Passed counts the processes that passed the point, Fired the actions.
	Passed, Fired int
}

// ReadLog sums up a log; a log that does not exist is empty. A line that a kill
// cut short is left out.
func ReadLog(name string) (map[Point]Counts, error) {
	text, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("reading the log of the failpoints: %w", err)
	}
	counts := map[Point]Counts{}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) != 4 {
			continue
		}
		c := counts[Point(words[1])]
		switch words[0] {
		case "pass":
			c.Passed++
		case "fire":
			c.Fired++
		}
		counts[Point(words[1])] = c
	}
	return counts, nil
}
