package schemas

import (
	"encoding/json"
	"testing"
	"time"
)

func TestDate(t *testing.T) {
	f := func(text string, days int32) {
		t.Helper()
		d, err := ParseDate(text)
		if err != nil || int32(d) != days || d.String() != text {
			t.Errorf("%s: got %s, day %d, %v", text, d, d, err)
		}
	}
	f("1970-01-01", 0)
	f("1970-01-02", 1)
	f("1969-12-31", -1)
	f("2000-02-29", 11016)
	f("0001-01-01", -719162)
	f("9999-12-31", 2932896)
	for _, bad := range []string{"", "2026-02-29", "2026-13-01", "2026-1-1", "20260101", "2026-01-01T00:00:00Z", " 2026-01-01", "2026-01-01 ", "12026-01-01"} {
		if d, err := ParseDate(bad); err == nil {
			t.Errorf("%q is read as %s", bad, d)
		}
	}
	if d := DateOf(2026, time.February, 30); d.String() != "2026-03-02" {
		t.Errorf("30 February is %s", d)
	}
	// The day is that of the time's own place.
	late := time.Date(2026, 3, 1, 23, 30, 0, 0, time.FixedZone("", -5*3600))
	if d := DateOfTime(late); d.String() != "2026-03-01" || DateOfTime(late.UTC()).String() != "2026-03-02" {
		t.Errorf("the day of %s is %s", late, d)
	}
	if at := DateOf(2026, 3, 1).Time(); !at.Equal(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)) || at.Location() != time.UTC {
		t.Errorf("its time is %s", at)
	}
	if _, err := json.Marshal(Date(1 << 30)); err == nil {
		t.Error("a date after 9999 was printed")
	}
	var back struct{ D *Date }
	if err := json.Unmarshal([]byte(`{"D":"2026-09-21"}`), &back); err != nil || back.D.String() != "2026-09-21" {
		t.Errorf("from JSON: %v, %v", back.D, err)
	}
}

func FuzzParseDate(f *testing.F) {
	f.Add("2026-09-21")
	f.Add("0000-02-29")
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := ParseDate(text); err == nil && d.String() != text {
			t.Fatalf("%q is printed as %s", text, d)
		}
	})
}
