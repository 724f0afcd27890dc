package scheduler

import (
	"errors"
	"fmt"
	"time"

	"github.com/pricelake/pricelake/schemas"
)

// Slots is the sequence of instants at which one call is due. It is pure
// arithmetic: no clock, no state, safe for parallel use. Instants are UTC with
// microseconds.
type Slots interface {
	// Next returns the first slot after the instant. ok is false when there
	// is none within five years.
	Next(after time.Time) (slot time.Time, ok bool)
	// Latest returns the last slot that is not after the instant. ok is false
	// when there is none within five years.
	Latest(at time.Time) (slot time.Time, ok bool)
	// Count returns how many slots are after the first instant and not after
	// the second; never negative.
	Count(after, through time.Time) int64
}

// NewSlots returns the slots of a schedule, or an error that says what is wrong
// with it.
func NewSlots(s schemas.CallSchedule) (Slots, error) {
	switch {
	case s.Cron != "" && s.EveryMicros != 0:
		return nil, errors.New("the schedule has both an interval and a cron expression: give one")
	case s.Cron != "":
		return newCronSlots(s.Cron, s.Zone)
	case s.EveryMicros > 0:
		return intervalSlots{every: s.EveryMicros, phase: s.PhaseMicros}, nil
	default:
		return nil, fmt.Errorf("the schedule has no cron expression and an interval of %d µs: give a positive interval", s.EveryMicros)
	}
}

// Missed returns how many slots lie strictly between the last one asked for and
// the one asked for now: what was passed over.
func Missed(s Slots, last, slot time.Time) int64 {
	return max(0, s.Count(last, slot)-1)
}

// intervalSlots are phase + k·every since the Unix epoch, in microseconds. They
// are pinned to absolute time, so neither a restart nor another owner moves
// them; the phase, a hash of the call, spreads many calls evenly.
type intervalSlots struct{ every, phase int64 }

func (s intervalSlots) Next(after time.Time) (time.Time, bool) {
	return s.slot(s.index(after) + 1), true
}

func (s intervalSlots) Latest(at time.Time) (time.Time, bool) {
	return s.slot(s.index(at)), true
}

func (s intervalSlots) Count(after, through time.Time) int64 {
	return max(0, s.index(through)-s.index(after))
}

// index is k of the last slot that is not after the instant.
func (s intervalSlots) index(t time.Time) int64 {
	d := t.UnixMicro() - s.phase
	k := d / s.every
	if d%s.every < 0 {
		k--
	}
	return k
}

func (s intervalSlots) slot(k int64) time.Time {
	return time.UnixMicro(s.phase + k*s.every).UTC()
}
