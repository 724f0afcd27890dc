package scheduler

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

func TestRecordsOfASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(every("btc", time.Second))
		start(t, s.config())
		time.Sleep(1500 * time.Millisecond)
		a := s.of("btc")[0]
		want := schemas.PollRequested{
			PollID:        schemas.PollID("btc", a.slot.Slot, schemas.OriginSchedule),
			CorrelationID: schemas.DeriveID("correlation", a.slot.PollID.String()),
			CallID:        "btc", CallVersion: "v1", Account: "account-b",
			Slot: a.slot.Slot, RequestedAt: a.at.UTC().Truncate(time.Microsecond), Origin: schemas.OriginSchedule,
		}
		if !reflect.DeepEqual(a.request, want) {
			t.Errorf("request = %+v\nwant %+v", a.request, want)
		}
		if a.slot.PollID != want.PollID || a.slot.Missed != 0 {
			t.Errorf("slot = %+v", a.slot)
		}
		type place struct{ topic, key string }
		r := s.records
		if got := []place{{r[0].Topic, string(r[0].Key)}, {r[1].Topic, string(r[1].Key)}}; !reflect.DeepEqual(got,
			[]place{{schemas.TopicRequests, "account-b"}, {schemas.TopicSchedules, "btc"}}) {
			t.Errorf("records go to %v", got)
		}
		if r[0].Header(stream.HeaderTraceparent) == nil || string(r[0].Header("ce_id")) != s.asks[len(s.asks)-1].slot.PollID.String() {
			t.Errorf("headers of the request = %v", r[0].Headers)
		}
	})
}

func TestSlotsAreAskedForOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(every("b1", time.Second), every("b2", 7*time.Second), cronCall("c", "*/2 * * * *", "UTC"))
		start(t, s.config())
		time.Sleep(10 * time.Minute)
		for id, want := range map[string]int{"b1": 600, "b2": 85, "c": 5} {
			asks := s.of(id)
			if d := len(asks) - want; d < -1 || d > 1 {
				t.Errorf("%s was asked for %d times, want about %d", id, len(asks), want)
			}
			for _, a := range asks {
				if late := a.at.Sub(a.slot.Slot); late < 0 || late > time.Millisecond {
					t.Errorf("%s: slot %v asked for %v late", id, a.slot.Slot, late)
				}
			}
		}
	})
}

// TestFirstSlot says when a call is asked for that has never been, and one that
// missed slots while nobody ran.
func TestFirstSlot(t *testing.T) {
	f := func(call schemas.CallDefined, last string, wantWait time.Duration, wantSlot string, wantMissed int64) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) { // it is 2000-01-01T00:00:00Z
			call.Schedule.PhaseMicros = 0
			s := newShard(call)
			if last != "" {
				s.last[call.CallID] = schemas.SlotScheduled{CallID: call.CallID, Slot: at(t, last)}
			}
			time.Sleep(12*time.Hour + 30*time.Minute + 20*time.Second)
			begun := time.Now()
			stop := start(t, s.config())
			time.Sleep(wantWait + time.Second)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if len(s.of(call.CallID)) == 0 {
				t.Fatalf("%s, last slot %q: not asked for within %v", call.CallID, last, wantWait)
			}
			a := s.of(call.CallID)[0]
			if got := a.at.Sub(begun); got < wantWait || got > wantWait+time.Second {
				t.Errorf("%s, last slot %q: first asked for after %v, want %v", call.CallID, last, got, wantWait)
			}
			if !a.slot.Slot.Equal(at(t, wantSlot)) || a.slot.Missed != wantMissed {
				t.Errorf("%s, last slot %q: first slot %v with %d missed, want %s with %d",
					call.CallID, last, a.slot.Slot, a.slot.Missed, wantSlot, wantMissed)
			}
		})
	}
	justNow := cronCall("now", "30 12 * * *", "UTC")
	f(justNow, "1999-12-31T12:30:00Z", 0, "2000-01-01T12:30:00Z", 0)
	f(justNow, "2000-01-01T12:30:00Z", 24*time.Hour-20*time.Second, "2000-01-02T12:30:00Z", 0)
	f(justNow, "", 24*time.Hour-20*time.Second, "2000-01-02T12:30:00Z", 0)
	f(every("minutely", time.Minute), "2000-01-01T12:29:00Z", 40*time.Second, "2000-01-01T12:31:00Z", 1)
	hourly, daily := every("hourly", time.Hour), cronCall("daily", "0 16 * * *", "UTC")
	f(hourly, "", 0, "2000-01-01T12:00:00Z", 0)
	f(every("fast", 8*time.Second), "", 4*time.Second, "2000-01-01T12:30:24Z", 0)
	f(hourly, "2000-01-01T12:00:00Z", 29*time.Minute+40*time.Second, "2000-01-01T13:00:00Z", 0)
	f(hourly, "2000-01-01T09:00:00Z", 29*time.Minute+40*time.Second, "2000-01-01T13:00:00Z", 3)
	f(catchingUp(hourly), "2000-01-01T09:00:00Z", 0, "2000-01-01T12:00:00Z", 2)
	f(catchingUp(hourly), "2000-01-01T12:00:00Z", 29*time.Minute+40*time.Second, "2000-01-01T13:00:00Z", 0)
	f(daily, "", 209*time.Minute+40*time.Second, "2000-01-01T16:00:00Z", 0)
	f(catchingUp(daily), "", 0, "1999-12-31T16:00:00Z", 0)
	f(daily, "1999-12-28T16:00:00Z", 209*time.Minute+40*time.Second, "2000-01-01T16:00:00Z", 3)
	f(catchingUp(daily), "1999-12-28T16:00:00Z", 0, "1999-12-31T16:00:00Z", 2)
	f(catchingUp(daily), "1999-12-31T16:00:00Z", 209*time.Minute+40*time.Second, "2000-01-01T16:00:00Z", 0)
}

// TestSlotsBeforeADefinitionAreNotMissed: a call paused for hours, or given
// another schedule, did not miss what was not due.
func TestSlotsBeforeADefinitionAreNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		call := every("btc", time.Minute)
		s := newShard(call)
		start(t, s.config())
		time.Sleep(10 * time.Minute)
		paused := call
		paused.Enabled = false
		s.apply(paused)
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		during := len(s.of("btc"))
		call.DefinedAt = time.Now()
		s.apply(call)
		time.Sleep(10 * time.Minute)
		call.Schedule.EveryMicros = 30_000_000
		call.DefinedAt = time.Now()
		s.apply(call)
		time.Sleep(10 * time.Minute)
		s.apply()
		asks := s.of("btc")
		time.Sleep(time.Hour)
		if again := len(s.of("btc")); again != len(asks) {
			t.Errorf("%d slots asked for after the call was removed", again-len(asks))
		}
		if during > 12 || len(asks) < during+28 {
			t.Errorf("%d slots before the pause ended, %d in all", during, len(asks))
		}
		for _, a := range asks {
			if a.slot.Missed != 0 {
				t.Errorf("slot %v counts %d missed", a.slot.Slot, a.slot.Missed)
			}
		}
	})
}

func TestChangedDefinitionIsUsedAtTheNextSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		call := every("btc", time.Minute)
		s := newShard(call)
		start(t, s.config())
		time.Sleep(5 * time.Minute)
		call.Version = "v2"
		s.apply(call)
		before := len(s.of("btc"))
		time.Sleep(time.Minute)
		asks := s.of("btc")
		if len(asks) != before+1 || asks[before].request.CallVersion != "v2" {
			t.Errorf("after the change: %d new asks, %+v", len(asks)-before, asks[before:])
		}
	})
}

func TestUnusableScheduleLeavesOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(cronCall("bad", "not a cron", "UTC"), every("good", time.Second))
		start(t, s.config())
		time.Sleep(10 * time.Second)
		if n := len(s.of("good")); n < 9 {
			t.Errorf("the good call was asked for %d times in 10 s", n)
		}
	})
}

func TestFencedSchedulerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(every("btc", time.Second))
		ended := make(chan error, 1)
		older := New(s.config())
		go func() { ended <- older.Run(t.Context()) }()
		time.Sleep(5 * time.Second)
		start(t, s.config())
		time.Sleep(5 * time.Second)
		if err := <-ended; !errors.Is(err, ErrFenced) {
			t.Errorf("the older scheduler ended with %v, want ErrFenced", err)
		}
		seen := map[time.Time]bool{}
		for _, a := range s.of("btc") {
			if seen[a.slot.Slot] {
				t.Errorf("slot %v asked for twice", a.slot.Slot)
			}
			seen[a.slot.Slot] = true
		}
		if len(seen) < 9 {
			t.Errorf("%d slots in 10 s", len(seen))
		}
	})
}

// TestOutageIsLateThenMissed: a stall below a minute delays slots, a longer one
// loses those that a newer one replaces.
func TestOutageIsLateThenMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(every("hourly", time.Hour), every("minutely", time.Minute))
		var down bool
		s.fault = func() (bool, bool) { return down, false }
		cfg := s.config()
		start(t, cfg)
		time.Sleep(2 * time.Hour)
		next := s.of("hourly")[len(s.of("hourly"))-1].slot.Slot.Add(time.Hour)
		time.Sleep(time.Until(next) - time.Second)
		s.mu.Lock()
		down = true
		s.mu.Unlock()
		time.Sleep(10 * time.Minute)
		s.mu.Lock()
		down = false
		s.mu.Unlock()
		time.Sleep(2 * time.Minute)
		hourly, minutely := s.of("hourly"), s.of("minutely")
		if last := hourly[len(hourly)-1]; !last.slot.Slot.Equal(next) {
			t.Errorf("the hourly slot that was in hand is %v, want %v", last.slot.Slot, next)
		}
		var missed int64
		for _, a := range minutely {
			missed += a.slot.Missed
		}
		if missed < 8 || missed > 10 {
			t.Errorf("%d minutely slots missed in an outage of 10 minutes", missed)
		}
	})
}

func TestRunFailsWithoutLastSlots(t *testing.T) {
	s := newShard()
	cfg := s.config()
	cfg.LastSlots = func(context.Context) (map[string]schemas.SlotScheduled, error) { return nil, errBroker }
	if err := New(cfg).Run(t.Context()); !errors.Is(err, errBroker) {
		t.Errorf("Run = %v, want the error of LastSlots", err)
	}
}
