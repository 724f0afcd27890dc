package scheduler

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/schemas"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return v.UTC()
}

func slotsOf(t *testing.T, s schemas.CallSchedule) Slots {
	t.Helper()
	slots, err := NewSlots(s)
	if err != nil {
		t.Fatalf("NewSlots(%+v): %v", s, err)
	}
	return slots
}

func TestIntervalSlots(t *testing.T) {
	s := slotsOf(t, schemas.CallSchedule{EveryMicros: 60_000_000, PhaseMicros: 7_250_000})
	f := func(after, next, latest string) {
		t.Helper()
		if got, ok := s.Next(at(t, after)); !ok || !got.Equal(at(t, next)) {
			t.Errorf("Next(%s) = %v, %v, want %s", after, got, ok, next)
		}
		if got, ok := s.Latest(at(t, after)); !ok || !got.Equal(at(t, latest)) {
			t.Errorf("Latest(%s) = %v, %v, want %s", after, got, ok, latest)
		}
	}
	f("2026-03-01T12:00:00Z", "2026-03-01T12:00:07.25Z", "2026-03-01T11:59:07.25Z")
	f("2026-03-01T12:00:07.25Z", "2026-03-01T12:01:07.25Z", "2026-03-01T12:00:07.25Z")
	f("2026-03-01T12:00:07.249999999Z", "2026-03-01T12:00:07.25Z", "2026-03-01T11:59:07.25Z")
	f("2026-03-01T12:00:07.250000001Z", "2026-03-01T12:01:07.25Z", "2026-03-01T12:00:07.25Z")
	f("1969-12-31T23:59:59Z", "1970-01-01T00:00:07.25Z", "1969-12-31T23:59:07.25Z")
}

func TestCount(t *testing.T) {
	f := func(s schemas.CallSchedule, after, through string, want int64) {
		t.Helper()
		if got := slotsOf(t, s).Count(at(t, after), at(t, through)); got != want {
			t.Errorf("%+v: Count(%s, %s) = %d, want %d", s, after, through, got, want)
		}
	}
	minute := schemas.CallSchedule{EveryMicros: 60_000_000}
	f(minute, "2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z", 0)
	f(minute, "2026-03-01T12:00:00Z", "2026-03-01T12:00:59Z", 0)
	f(minute, "2026-03-01T12:00:00Z", "2026-03-01T12:01:00Z", 1)
	f(minute, "2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z", 60)
	f(minute, "2026-03-01T13:00:00Z", "2026-03-01T12:00:00Z", 0)
	f(minute, "1969-12-31T23:58:30Z", "1970-01-01T00:00:30Z", 2)
	daily := schemas.CallSchedule{Cron: "30 2 * * *", Zone: "Europe/Berlin"}
	f(daily, "2026-03-01T12:00:00Z", "2026-03-31T12:00:00Z", 30)
	f(daily, "2026-10-20T12:00:00Z", "2026-10-30T12:00:00Z", 10)
}

func TestNewSlotsRefuses(t *testing.T) {
	f := func(s schemas.CallSchedule, want string) {
		t.Helper()
		_, err := NewSlots(s)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("NewSlots(%+v) = %v, want an error with %q", s, err, want)
		}
	}
	f(schemas.CallSchedule{}, "positive interval")
	f(schemas.CallSchedule{EveryMicros: -1}, "positive interval")
	f(schemas.CallSchedule{EveryMicros: 1, Cron: "* * * * *"}, "give one")
	f(schemas.CallSchedule{Cron: "61 * * * *"}, "61")
	f(schemas.CallSchedule{Cron: "* * * *"}, "fields")
	f(schemas.CallSchedule{Cron: "0 * * * * *"}, "fields")
	f(schemas.CallSchedule{Cron: "@hourly"}, "five fields")
	f(schemas.CallSchedule{Cron: "TZ=Asia/Tokyo * * * * *"}, "five fields")
	f(schemas.CallSchedule{Cron: "0 0 30 2 *"}, "never happens")
	f(schemas.CallSchedule{Cron: "* * * * *", Zone: "Mars/Olympus"}, "IANA")
	f(schemas.CallSchedule{Cron: "* * * * *", Zone: "Local"}, "IANA")
}

// TestCronWhereTheClockJumps has the documented answers: what happens to slots
// on the days on which the wall clock of a zone jumps.
func TestCronWhereTheClockJumps(t *testing.T) {
	f := func(cron, zone, from, to string, want ...string) {
		t.Helper()
		s := slotsOf(t, schemas.CallSchedule{Cron: cron, Zone: zone})
		var got []string
		for slot, ok := s.Next(at(t, from)); ok && !slot.After(at(t, to)); slot, ok = s.Next(slot) {
			got = append(got, slot.Format("01-02T15:04"))
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%q in %s:\n got %v\nwant %v", cron, zone, got, want)
		}
	}
	// Spring: 02:00–03:00 does not exist; the jump is at 01:00 UTC.
	f("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", "2026-03-30T12:00:00Z",
		"03-28T01:30", "03-29T01:00", "03-30T00:30")
	f("0,30 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z",
		"03-29T01:00", "03-29T01:30")
	f("30 * * * *", "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T02:59:00Z",
		"03-28T23:30", "03-29T00:30", "03-29T01:30", "03-29T02:30")
	// Autumn: 02:00–03:00 comes twice; the jump is at 01:00 UTC.
	f("30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", "2026-10-26T12:00:00Z",
		"10-24T00:30", "10-25T00:30", "10-26T01:30")
	f("0 2,3 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z",
		"10-25T00:00", "10-25T02:00")
	f("30 * * * *", "Europe/Berlin", "2026-10-24T23:00:00Z", "2026-10-25T02:59:00Z",
		"10-24T23:30", "10-25T00:30", "10-25T01:30", "10-25T02:30")
	// Midnight that does not exist (Brazil, 2018).
	f("0 0 * * *", "America/Sao_Paulo", "2018-11-03T00:00:00Z", "2018-11-05T12:00:00Z",
		"11-03T03:00", "11-04T03:00", "11-05T02:00")
	// A jump of half an hour.
	f("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T20:00:00Z", "2026-10-04T20:00:00Z",
		"10-03T15:30", "10-04T15:15")
	f("45 1 * * *", "Australia/Lord_Howe", "2026-04-03T20:00:00Z", "2026-04-05T20:00:00Z",
		"04-04T14:45", "04-05T15:15")
	f("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2033-01-01T00:00:00Z", "02-29T00:00", "02-29T00:00")
}

// TestCronAgainstWalkedClock compares with walking a zone's wall clock minute by
// minute, over the days around its jumps.
func TestCronAgainstWalkedClock(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	field := func(low, high int) string {
		switch r.IntN(3) {
		case 0:
			return "*"
		case 1:
			return "*/" + strconv.Itoa(1+r.IntN(high/2))
		}
		return strconv.Itoa(low+r.IntN(high-low+1)) + "," + strconv.Itoa(low+r.IntN(high-low+1))
	}
	zones := []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kolkata"}
	starts := []string{"2026-03-06T00:00:00Z", "2026-03-27T00:00:00Z", "2026-10-23T00:00:00Z", "2026-04-03T00:00:00Z", "2026-10-02T00:00:00Z", "2026-10-30T00:00:00Z"}
	for range 80 {
		cron := field(0, 59) + " " + field(0, 23) + " * * *"
		zone, start := zones[r.IntN(len(zones))], at(t, starts[r.IntN(len(starts))])
		s := slotsOf(t, schemas.CallSchedule{Cron: cron, Zone: zone})
		want := walk(t, cron, zone, start, start.Add(72*time.Hour))
		i := 0
		for slot, ok := s.Next(start); ok && !slot.After(start.Add(72*time.Hour)); slot, ok = s.Next(slot) {
			if i >= len(want) || !slot.Equal(want[i]) {
				t.Fatalf("%q in %s from %v: slot %d is %v, walking gives %v", cron, zone, start, i, slot, want[min(i, len(want)):min(i+3, len(want))])
			}
			if latest, ok := s.Latest(slot.Add(time.Duration(r.IntN(59)) * time.Second)); !ok || !latest.Equal(slot) {
				t.Fatalf("%q in %s: Latest just after %v = %v, %v", cron, zone, slot, latest, ok)
			}
			i++
		}
		if i != len(want) {
			t.Fatalf("%q in %s from %v: %d slots, walking gives %d", cron, zone, start, i, len(want))
		}
		if n := s.Count(start, start.Add(72*time.Hour)); n != int64(i) {
			t.Fatalf("%q in %s: Count = %d for %d slots", cron, zone, n, i)
		}
	}
}

// walk names the slots in (from, to] by looking at the wall clock each minute.
func walk(t *testing.T, cron, zone string, from, to time.Time) []time.Time {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(cron)
	everyHour := fields[1] == "*" || fields[1] == "*/1"
	matches := func(wall time.Time) bool {
		return fieldMatches(fields[0], wall.Minute()) && fieldMatches(fields[1], wall.Hour())
	}
	const layout = "2006-01-02T15:04"
	seen := map[string]bool{}
	var slots []time.Time
	_, before := from.Add(-25 * time.Hour).In(loc).Zone()
	for u := from.Add(-24 * time.Hour); !u.After(to); u = u.Add(time.Minute) {
		local := u.In(loc)
		_, offset := local.Zone()
		hit := matches(local) && (everyHour || !seen[local.Format(layout)])
		for skipped := u.Add(time.Duration(before) * time.Second); offset > before && skipped.Before(u.Add(time.Duration(offset)*time.Second)); skipped = skipped.Add(time.Minute) {
			hit = hit || !everyHour && matches(skipped)
		}
		before = offset
		seen[local.Format(layout)] = true
		if hit && u.After(from) {
			slots = append(slots, u)
		}
	}
	return slots
}

func fieldMatches(field string, v int) bool {
	if field == "*" {
		return true
	}
	if step, ok := strings.CutPrefix(field, "*/"); ok {
		return v%atoi(step) == 0
	}
	for part := range strings.SplitSeq(field, ",") {
		if atoi(part) == v {
			return true
		}
	}
	return false
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}

func FuzzCron(f *testing.F) {
	for _, seed := range []string{"*/5 * * * *", "30 2 * * *", "0 0 29 2 *", "0 16 * * MON-FRI", "@hourly", "TZ=UTC * * * * *", "* * * * 8", "0-59/0 * * * *"} {
		f.Add(seed, "Europe/Berlin", int64(1_780_000_000))
	}
	f.Fuzz(func(t *testing.T, cron, zone string, now int64) {
		s, err := NewSlots(schemas.CallSchedule{Cron: cron, Zone: zone})
		if err != nil {
			return
		}
		now %= 4_000_000_000
		start := time.Unix(now, 0)
		next, ok := s.Next(start)
		if !ok {
			return
		}
		if !next.After(start) {
			t.Fatalf("%q: Next(%v) = %v", cron, start, next)
		}
		if latest, ok := s.Latest(next); !ok || !latest.Equal(next) {
			t.Fatalf("%q: Latest(%v) = %v, %v: a slot is its own latest", cron, next, latest, ok)
		}
		if n := s.Count(start, next); n != 1 {
			t.Fatalf("%q: Count up to the next slot = %d", cron, n)
		}
	})
}
