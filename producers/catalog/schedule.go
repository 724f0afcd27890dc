package catalog

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/pricelake/pricelake/producers/providers"
	"github.com/pricelake/pricelake/schemas"
)

const (
	minEvery = 100 * time.Millisecond
	maxEvery = 366 * 24 * time.Hour
)

// schedule fills when the call is due.
func (c *callBuilder) schedule() {
	in := c.in.Schedule
	if !c.has("schedule") {
		if c.endpoint == nil {
			c.report("the schedule is missing", `write schedule: {every: 1m}, or {cron: "*/30 14-16 * * 1-5", zone: Europe/Berlin}`, "schedule")
			return
		}
		in = c.endpoint.Schedule
	}
	every, cronSet := c.hasIn("every", in.Every != 0), c.hasIn("cron", in.Cron != "")
	s := &c.def.Schedule
	switch {
	case every && cronSet:
		c.report("every and cron are both set", "keep one of them", "schedule", "every")
	case every:
		c.every(in, s)
	case cronSet:
		c.cron(in, s)
	default:
		c.report("neither every nor cron is set", `write every: 1m, or cron: "0 16 * * 1-5"`, "schedule")
	}
	switch in.Catchup {
	case "":
	case "none":
		s.Catchup = schemas.CatchupNone
	case "latest":
		s.Catchup = schemas.CatchupLatest
	default:
		c.report(fmt.Sprintf("unknown catchup %q", in.Catchup), "write none or latest", "schedule", "catchup")
	}
}

// hasIn reports whether a key of the schedule is set, be it to zero.
func (c *callBuilder) hasIn(key string, set bool) bool {
	return set || c.has("schedule") && c.f.doc.Has("calls", c.i, "schedule", key)
}

func (c *callBuilder) every(in providers.Schedule, s *schemas.CallSchedule) {
	switch {
	case in.Every < 0:
		c.report(fmt.Sprintf("a negative interval of %v", in.Every), fmt.Sprintf("write %v", -in.Every), "schedule", "every")
	case in.Every < minEvery || in.Every > maxEvery:
		c.report(fmt.Sprintf("an interval of %v", in.Every), fmt.Sprintf("write one between %v and a year, such as 10s", minEvery), "schedule", "every")
	case in.Every%time.Microsecond != 0:
		c.report(fmt.Sprintf("an interval of %v", in.Every), "write whole microseconds", "schedule", "every")
	}
	if in.Zone != "" {
		c.report("a zone does nothing for an interval", "leave zone out, or write cron", "schedule", "zone")
	}
	s.EveryMicros, s.Catchup = in.Every.Microseconds(), schemas.CatchupNone
	if s.EveryMicros > 0 {
		s.PhaseMicros = phase(c.in.ID, s.EveryMicros)
	}
}

// phase spreads calls with the same interval over it. It depends on nothing but
// the call's id, so that restarts keep it.
func phase(callID string, every int64) int64 {
	sum := sha256.Sum256([]byte(callID))
	return int64(binary.BigEndian.Uint64(sum[:8]) % uint64(every))
}

func (c *callBuilder) cron(in providers.Schedule, s *schemas.CallSchedule) {
	s.Cron, s.Zone, s.Catchup = strings.Join(strings.Fields(in.Cron), " "), in.Zone, schemas.CatchupLatest
	if s.Zone == "" {
		s.Zone = "UTC"
	}
	zone, err := time.LoadLocation(s.Zone)
	if err != nil || s.Zone == "Local" {
		zone = time.UTC
		c.report(fmt.Sprintf("unknown time zone %q", s.Zone), "write an IANA name such as Europe/Berlin, America/New_York or UTC", "schedule", "zone")
	}
	const fields = `write five fields, minute hour day-of-month month day-of-week, such as "*/30 14-16 * * 1-5"`
	switch {
	case strings.HasPrefix(s.Cron, "@every"):
		c.report("@every is no cron time", "write every: 5m instead of cron", "schedule", "cron")
		return
	case strings.Contains(s.Cron, "TZ="):
		c.report("the zone stands in the cron text", "write zone: beside it", "schedule", "cron")
		return
	}
	times, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(s.Cron)
	if err != nil {
		c.report(fmt.Sprintf("the cron text %q cannot be read: %v", in.Cron, err), fields, "schedule", "cron")
		return
	}
	// Any instant will do: the library looks five years ahead, which holds every
	// day there is.
	if times.Next(time.Date(2025, time.January, 1, 0, 0, 0, 0, zone)).IsZero() {
		c.report(fmt.Sprintf("the cron text %q never comes", in.Cron), "write a day that exists; 30 February does not", "schedule", "cron")
	}
}
