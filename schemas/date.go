package schemas

import (
	"fmt"
	"time"
)

// Date is a day of the Gregorian calendar without a time zone, counted from
// 1970-01-01.
type Date int32

const secondsPerDay = 24 * 60 * 60

// DateOf returns the date of year, month and day. Values outside their ranges
// are normalised as time.Date does.
func DateOf(year int, month time.Month, day int) Date {
	return DateOfTime(time.Date(year, month, day, 0, 0, 0, 0, time.UTC))
}

// DateOfTime returns the day of t in t's own location.
func DateOfTime(t time.Time) Date {
	year, month, day := t.Date()
	midnight := time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix()
	return Date(midnight / secondsPerDay) // midnight is a multiple, so this is exact before 1970 too
}

// ParseDate reads a date as 2006-01-02.
func ParseDate(text string) (Date, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return 0, fmt.Errorf("parsing the date %s: want it as 2006-01-02", quoted(text))
	}
	return DateOfTime(t), nil
}

// Time returns the date at 00:00 UTC.
func (d Date) Time() time.Time { return time.Unix(int64(d)*secondsPerDay, 0).UTC() }

// String returns the date as 2006-01-02.
func (d Date) String() string { return d.Time().Format(time.DateOnly) }

// MarshalText returns the text of String; an error outside the years 0 to 9999,
// which that text cannot carry.
func (d Date) MarshalText() ([]byte, error) {
	if year := d.Time().Year(); year < 0 || year > 9999 {
		return nil, fmt.Errorf("printing the date of day %d: its year %d is outside 0 to 9999", int32(d), year)
	}
	return []byte(d.String()), nil
}

// UnmarshalText reads what ParseDate reads.
func (d *Date) UnmarshalText(text []byte) error {
	parsed, err := ParseDate(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}
