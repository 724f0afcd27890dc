package scheduler

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// cronSlots are the instants named by a cron expression of five fields (minute,
// hour, day of month, month, day of week) read on the wall clock of a time
// zone. Where that clock jumps, every slot still exists exactly once:
//
//   - An expression for every hour ("*/5 * * * *") counts hours as they pass:
//     the hour that comes twice in autumn has its slots twice (they are
//     different instants), the hour that spring leaves out has none.
//   - An expression that names hours ("30 2 * * *") happens once for each wall
//     time it names: in autumn on the first pass only, and in spring a time
//     that is left out falls on the instant the clock jumps. So a daily call
//     is daily on both days.
type cronSlots struct {
	spec      cron.Schedule // on a clock without jumps
	zone      *time.Location
	everyHour bool
}

// searchSpan bounds the search for a slot, like the cron library's own limit.
const searchSpan = 5 * 366 * 24 * 60 * 60 // seconds

func newCronSlots(expression, zone string) (*cronSlots, error) {
	if strings.Contains(expression, "=") || strings.HasPrefix(expression, "@") {
		return nil, fmt.Errorf("cron %q: write five fields, and the time zone as the schedule's zone", expression)
	}
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	spec, err := parser.Parse("TZ=UTC " + expression)
	if err != nil {
		return nil, fmt.Errorf("reading cron %q: %w", expression, err)
	}
	if zone == "" {
		zone = "UTC"
	}
	loc, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return nil, fmt.Errorf("time zone %q: write an IANA name such as Europe/Berlin", zone)
	}
	const allHours = 1<<24 - 1
	fields, ok := spec.(*cron.SpecSchedule)
	s := &cronSlots{spec: spec, zone: loc, everyHour: ok && fields.Hour&allHours == allHours}
	if _, ok := s.wallAfter(0); !ok {
		return nil, fmt.Errorf("cron %q never happens: no date has that day and month", expression)
	}
	return s, nil
}

func (s *cronSlots) Next(after time.Time) (time.Time, bool) {
	u, ok := s.next(after.Unix())
	return time.Unix(u, 0).UTC(), ok
}

// Latest looks for the last second whose next slot is not after at.
func (s *cronSlots) Latest(at time.Time) (time.Time, bool) {
	end := at.Unix()
	low, ok := int64(0), false
	for span := int64(120); span < searchSpan && !ok; span *= 2 {
		low, ok = s.next(end - span)
		ok = ok && low <= end
	}
	if !ok {
		return time.Time{}, false
	}
	for high := end; high-low > 1; {
		mid := low + (high-low)/2
		if u, ok := s.next(mid); ok && u <= end {
			low = u
		} else {
			high = mid
		}
	}
	// low is a slot and the next one may be end itself, one second on.
	if u, ok := s.next(low); ok && u <= end {
		low = u
	}
	return time.Unix(low, 0).UTC(), true
}

func (s *cronSlots) Count(after, through time.Time) int64 {
	var n int64
	end := through.Unix()
	for u, ok := s.next(after.Unix()); ok && u <= end; u, ok = s.next(u) {
		n++
	}
	return n
}

// segment is a span of absolute time with one offset from UTC. before is the
// offset of the span that precedes it. All in seconds.
type segment struct{ start, end, offset, before int64 }

func (s *cronSlots) segment(u int64) segment {
	t := time.Unix(u, 0).In(s.zone)
	_, offset := t.Zone()
	seg := segment{start: math.MinInt64 / 4, end: math.MaxInt64 / 4, offset: int64(offset), before: int64(offset)}
	start, end := t.ZoneBounds()
	if !start.IsZero() {
		seg.start = start.Unix()
		_, before := start.Add(-time.Second).Zone()
		seg.before = int64(before)
	}
	if !end.IsZero() {
		seg.end = end.Unix()
	}
	return seg
}

// next returns the first slot after u. It walks the spans of constant offset.
// For an expression that names hours, the wall times of a span begin where those
// of the span before ended: that skips the second pass of an overlap, and puts
// the times of a gap on the span's first instant.
func (s *cronSlots) next(u int64) (int64, bool) {
	seg := s.segment(u)
	from := u + seg.offset
	if !s.everyHour {
		from = max(from, seg.start+seg.before-1)
	}
	for limit := u + searchSpan; seg.start < limit; {
		wall, ok := s.wallAfter(from)
		if !ok {
			return 0, false
		}
		slot := wall - seg.offset
		if !s.everyHour {
			slot = max(slot, seg.start)
		}
		if slot < seg.end {
			return slot, true
		}
		ended := seg
		seg = s.segment(ended.end)
		from = ended.end + ended.offset - 1
		if s.everyHour {
			from = ended.end + seg.offset - 1
		}
	}
	return 0, false
}

// wallAfter returns the first wall time after wall that the expression names,
// on a clock without jumps.
func (s *cronSlots) wallAfter(wall int64) (int64, bool) {
	t := s.spec.Next(time.Unix(wall, 0).UTC())
	return t.Unix(), !t.IsZero()
}
