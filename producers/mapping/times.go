package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones must not depend on the machine

	"github.com/pricelake/pricelake/schemas"
)

// timeReader reads times and dates out of tree values.
type timeReader struct {
	path     *expr
	unit     time.Duration // of an epoch number; 0: layout counts
	layout   string
	zone     *time.Location
	kind     schemas.EventTimeKind
	optional bool
}

// compileTime checks a Time. dated says that a date is meant, not an instant.
func compileTime(t *Time, dated bool) (*timeReader, error) {
	r := &timeReader{zone: time.UTC, kind: schemas.TimeSource, optional: t.Optional}
	switch t.Kind {
	case "", "source":
	case "publish":
		r.kind = schemas.TimePublish
	default:
		return nil, fmt.Errorf("kind %q: write source or publish", t.Kind)
	}
	if t.Zone != "" {
		zone, err := time.LoadLocation(t.Zone)
		if err != nil || t.Zone == "Local" {
			return nil, fmt.Errorf("unknown time zone %q: write an IANA name such as Europe/Berlin or UTC", t.Zone)
		}
		r.zone = zone
	}
	switch format := t.Format; {
	case format == "unix_s":
		r.unit = time.Second
	case format == "unix_ms":
		r.unit = time.Millisecond
	case format == "unix_us":
		r.unit = time.Microsecond
	case format == "unix_ns":
		r.unit = time.Nanosecond
	case format == "rfc3339", format == "" && !dated:
		r.layout = time.RFC3339Nano
	case format == "date", format == "":
		r.layout = time.DateOnly
	default:
		layout, err := goLayout(format)
		if err != nil {
			return nil, err
		}
		r.layout = layout
	}
	return r, nil
}

// goLayout returns a strptime or Go layout as a checked Go layout.
func goLayout(format string) (string, error) {
	layout := format
	if strings.Contains(format, "%") {
		var b strings.Builder
		for i := 0; i < len(format); i++ {
			if format[i] != '%' {
				b.WriteByte(format[i])
				continue
			}
			if i++; i == len(format) {
				return "", errors.New("the format ends with a lone %")
			}
			part, ok := strptimePart(format[i])
			if !ok {
				return "", fmt.Errorf("%%%c is not known: write one of %%Y %%y %%m %%d %%e %%b %%B %%H %%I %%M %%S %%f %%p %%z %%Z %%j %%T %%F %%%%", format[i])
			}
			b.WriteString(part)
		}
		layout = b.String()
	}
	// A layout that does not carry the day through a round trip is a mistake
	// such as YYYY-MM-DD.
	probe := time.Date(2011, time.November, 23, 0, 0, 0, 0, time.UTC)
	back, err := time.Parse(layout, probe.Format(layout))
	if err != nil || back.Year() != 2011 || back.YearDay() != probe.YearDay() {
		return "", fmt.Errorf("the format %q does not hold a whole date: write unix_s, unix_ms, unix_us, unix_ns, rfc3339, date, a layout such as %q, or %q", format, "02.01.2006 15:04", "%d.%m.%Y %H:%M")
	}
	return layout, nil
}

func strptimePart(c byte) (string, bool) {
	const letters = "YymdebBhHIMSpzZjTF%"
	parts := []string{"2006", "06", "01", "02", "_2", "Jan", "January", "Jan", "15", "03", "04", "05", "PM", "-0700", "MST", "002", "15:04:05", "2006-01-02", "%"}
	if c == 'f' { // after the point of %S.%f
		return "999999999", true
	}
	i := strings.IndexByte(letters, c)
	if i < 0 {
		return "", false
	}
	return parts[i], true
}

// instant returns the time a value holds, in UTC to the microsecond; truncated
// says that the source's was finer. ok is false when the value means missing.
func (r *timeReader) instant(name string, v any, n *numberReader) (t time.Time, truncated, ok bool, err error) {
	if n.isAbsent(v) {
		if r.optional {
			return t, false, false, nil
		}
		return t, false, false, reject(schemas.RejectBadTime, "%s: it is missing", name)
	}
	text, err := timeText(v)
	if err != nil {
		return t, false, false, reject(schemas.RejectBadTime, "%s: %v", name, err)
	}
	if r.unit > 0 {
		t, truncated, err = fromEpoch(text, r.unit)
	} else {
		t, err = time.ParseInLocation(r.layout, text, r.zone)
		truncated = t.Nanosecond()%1000 != 0
	}
	if err != nil {
		return t, false, false, reject(schemas.RejectBadTime, "%s: %s is no time in the format %s", name, strconv.Quote(cut(text, 60)), r.describe())
	}
	t = t.Truncate(time.Microsecond).UTC()
	if !inRange(t) {
		return t, false, false, reject(schemas.RejectBadTime, "%s: %s is outside 1900 to 2299", name, cut(text, 60))
	}
	return t, truncated, true, nil
}

// date returns the civil date a value holds: as it is written, or, of an
// instant, the date in the reader's zone.
func (r *timeReader) date(name string, v any, n *numberReader) (d schemas.Date, ok bool, err error) {
	if n.isAbsent(v) || r.unit > 0 {
		t, _, ok, err := r.instant(name, v, n)
		if err != nil || !ok {
			return 0, false, err
		}
		t = t.In(r.zone)
		return schemas.DateOf(t.Date()), true, nil
	}
	text, err := timeText(v)
	if err != nil {
		return 0, false, reject(schemas.RejectBadTime, "%s: %v", name, err)
	}
	// No real offset equals this one, so it tells texts without a zone.
	civil := time.FixedZone("", 1)
	t, err := time.ParseInLocation(r.layout, text, civil)
	if err != nil {
		return 0, false, reject(schemas.RejectBadTime, "%s: %s is no date in the format %s", name, strconv.Quote(cut(text, 60)), r.describe())
	}
	if t.Location() != civil {
		t = t.In(r.zone)
	}
	if !inRange(t) {
		return 0, false, reject(schemas.RejectBadTime, "%s: %s is outside 1900 to 2299", name, cut(text, 60))
	}
	return schemas.DateOf(t.Date()), true, nil
}

func (r *timeReader) describe() string {
	if r.unit > 0 {
		return "of a number since 1970"
	}
	return strconv.Quote(r.layout)
}

// inRange is what the lake's date columns can hold.
func inRange(t time.Time) bool { return t.Year() >= 1900 && t.Year() < 2300 }

func timeText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return strings.TrimSpace(v), nil
	case json.Number:
		return string(v), nil
	case int:
		return strconv.Itoa(v), nil
	}
	return "", fmt.Errorf("%s is no time", typeName(v))
}

// fromEpoch reads an epoch number, decimals included, without a float.
func fromEpoch(text string, unit time.Duration) (t time.Time, truncated bool, err error) {
	d, rounded, err := schemas.ParseDecimal(text)
	if err != nil {
		return t, false, err
	}
	micros := schemas.DecimalFromInt64(int64(time.Second / time.Microsecond))
	perSecond := schemas.DecimalFromInt64(int64(time.Second / unit))
	if d, _, err = d.Quo(perSecond); err != nil {
		return t, false, err
	}
	r := false
	if d, r, err = d.Mul(micros); err != nil {
		return t, false, err
	}
	whole, fraction, _ := strings.Cut(d.String(), ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return t, false, fmt.Errorf("reading an epoch: %w", err)
	}
	if fraction != "" && d.Sign() < 0 {
		n-- // down, as time.Truncate does not for times before 1970
	}
	return time.UnixMicro(n), rounded || r || fraction != "", nil
}
