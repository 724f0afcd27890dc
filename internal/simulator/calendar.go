package simulator

import "time"

// calendar knows the days for which a central bank fixes rates.
type calendar struct {
	// published is the time of day, UTC, from which a day's fixing is served:
	// the winter time of the bank's announcement all year round.
	published time.Duration
	holiday   func(day time.Time) bool
}

// target is the ECB's: TARGET business days, published about 16:00 CET.
func target() calendar {
	return calendar{published: 15 * time.Hour, holiday: func(day time.Time) bool {
		return onDate(day, "01-01", "05-01", "12-25", "12-26") || atEaster(day)
	}}
}

// czech is the Czech National Bank's: Czech business days, published at 14:30 CET.
func czech() calendar {
	return calendar{published: 13*time.Hour + 30*time.Minute, holiday: func(day time.Time) bool {
		return onDate(day, "01-01", "05-01", "05-08", "07-05", "07-06", "09-28", "10-28", "11-17",
			"12-24", "12-25", "12-26") || atEaster(day)
	}}
}

// open reports whether rates are fixed for the day.
func (c calendar) open(day time.Time) bool {
	return day.Weekday() != time.Saturday && day.Weekday() != time.Sunday && !c.holiday(day)
}

// latest is the newest day whose fixing is out.
func (c calendar) latest(now time.Time) time.Time {
	return c.onOrBefore(dayOf(now.UTC().Add(-c.published)))
}

func (c calendar) onOrBefore(day time.Time) time.Time {
	for !c.open(day) {
		day = day.AddDate(0, 0, -1)
	}
	return day
}

// back lists the business days from last back to first, newest first.
func (c calendar) back(last, first time.Time) []time.Time {
	var days []time.Time
	for day := last; !day.Before(first); day = day.AddDate(0, 0, -1) {
		if c.open(day) {
			days = append(days, day)
		}
	}
	return days
}

// number is the ordinal of a business day in its year, from 1.
func (c calendar) number(day time.Time) int {
	return len(c.back(day, time.Date(day.Year(), 1, 1, 0, 0, 0, 0, time.UTC)))
}

func dayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

func onDate(day time.Time, dates ...string) bool {
	text := day.Format("01-02")
	for _, date := range dates {
		if date == text {
			return true
		}
	}
	return false
}

// atEaster reports whether the day is Good Friday or Easter Monday.
func atEaster(day time.Time) bool {
	sunday := easter(day.Year())
	return day.Equal(sunday.AddDate(0, 0, -2)) || day.Equal(sunday.AddDate(0, 0, 1))
}

// easter is Easter Sunday by the anonymous Gregorian computus.
func easter(year int) time.Time {
	a, b, c := year%19, year/100, year%100
	d, e := b/4, b%4
	g := (8*b + 13) / 25
	h := (19*a + b - d - g + 15) % 30
	i, k := c/4, c%4
	l := (32 + 2*e + 2*i - h - k) % 7
	m := (a + 11*h + 22*l) / 451
	n := h + l - 7*m + 114
	return time.Date(year, time.Month(n/31), n%31+1, 0, 0, 0, 0, time.UTC)
}
