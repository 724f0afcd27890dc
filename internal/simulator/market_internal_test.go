package simulator

import (
	"slices"
	"testing"
	"time"
)

func TestQuotationsArePlausible(t *testing.T) {
	at := time.Date(2024, 6, 3, 0, 0, 0, 0, time.UTC)
	w := newWorld(11, func() time.Time { return at })
	for provider, products := range map[string][]product{
		"coinbase-exchange": coinbaseProducts(), "kraken": krakenProducts(), "binance": binanceProducts(),
	} {
		for i := range products {
			p := &products[i]
			level := p.level / pow10(levelScale-p.tick)
			moves := map[int64]bool{}
			for n := range int64(2000) {
				at = at.Add(time.Second)
				q := p.quote(w, provider, n)
				if q.bid.units <= 0 || q.bid.units > q.last.units || q.last.units > q.ask.units || q.bid.units >= q.ask.units {
					t.Fatalf("%s %s: bid %s, last %s, ask %s", provider, p.symbol, q.bid, q.last, q.ask)
				}
				if off := q.last.units - level; off > level/10+10 || -off > level/10+10 {
					t.Fatalf("%s %s: %s is far from %d ticks", provider, p.symbol, q.last, level)
				}
				moves[q.last.units] = true
			}
			if len(moves) < 5 {
				t.Errorf("%s %s: %d prices in 2000 s", provider, p.symbol, len(moves))
			}
		}
	}
}

// The waves join: a microsecond moves no price by more than a few billionths.
func TestMovementHasNoJumps(t *testing.T) {
	at := time.Date(2024, 6, 3, 0, 0, 0, 0, time.UTC)
	last := deviation(1, "BTC", movement(), at)
	for range 20_000 {
		at = at.Add(10 * time.Millisecond)
		now := deviation(1, "BTC", movement(), at)
		if step := now - last; step > 6_000 || -step > 6_000 {
			t.Fatalf("%s: %d billionths in 10 ms", at, step)
		}
		last = now
	}
}

func TestCalendars(t *testing.T) {
	f := func(c calendar, now, want string) {
		t.Helper()
		instant, err := time.Parse("2006-01-02 15:04", now)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.latest(instant).Format(time.DateOnly); got != want {
			t.Errorf("at %s the latest is %s, want %s", now, got, want)
		}
	}
	f(target(), "2024-06-03 15:00", "2024-06-03")
	f(target(), "2024-06-03 14:59", "2024-05-31")
	f(target(), "2024-06-02 20:00", "2024-05-31")
	f(target(), "2024-04-01 20:00", "2024-03-28") // Easter Monday, before it Good Friday
	f(target(), "2024-05-01 20:00", "2024-04-30")
	f(target(), "2024-12-26 20:00", "2024-12-24")
	f(target(), "2025-01-01 20:00", "2024-12-31")
	f(czech(), "2024-12-26 20:00", "2024-12-23")
	f(czech(), "2024-07-05 20:00", "2024-07-04")
	f(czech(), "2024-06-03 13:30", "2024-06-03")
	f(czech(), "2024-06-03 13:29", "2024-05-31")

	for year, want := range map[int]string{2000: "04-23", 2008: "03-23", 2024: "03-31", 2025: "04-20", 2026: "04-05", 2038: "04-25", 2049: "04-18"} {
		if got := easter(year).Format("01-02"); got != want {
			t.Errorf("Easter of %d is %s, want %s", year, got, want)
		}
	}
	day := time.Date(2024, 6, 3, 0, 0, 0, 0, time.UTC)
	days := target().back(day, day.AddDate(0, 0, -90))
	if len(days) != 62 || !slices.IsSortedFunc(days, func(a, b time.Time) int { return b.Compare(a) }) {
		t.Errorf("%d days", len(days))
	}
}

func TestDecimals(t *testing.T) {
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	f(decimal{12345, 2}.String(), "123.45")
	f(decimal{5, 4}.String(), "0.0005")
	f(decimal{-5, 1}.String(), "-0.5")
	f(decimal{7, 0}.String(), "7")
	f(decimal{12340, 2}.trimmed(), "123.4")
	f(decimal{12300, 2}.trimmed(), "123")
	f(decimal{100, 0}.trimmed(), "100")
	f(decimal{7, 0}.padded(2), "7.00")
	f(decimal{75, 1}.padded(3), "7.500")
	f(decimal{7512, 3}.padded(2), "7.512")
	f(decimal{75, 1}.manyDecimals(0), "7.50000000000000000050")
}

func TestUnits(t *testing.T) {
	f := func(text string, scale int, want int64) {
		t.Helper()
		if got, err := unitsOf(text, scale); got != want || (err != nil) != (want == 0) {
			t.Errorf("unitsOf(%q, %d) = %d, %v; want %d", text, scale, got, err, want)
		}
	}
	f("1.0834", 4, 10834)
	f("1", 4, 10000)
	f("0.5", 5, 50000)
	f("1.08345", 4, 0)
	f("0", 4, 0)
	f("-1", 4, 0)
	f("+1", 4, 0)
	f("1.-3", 4, 0)
	f("", 4, 0)
	f("1e3", 4, 0)
	f("99999999999999999999", 0, 0)
}

func TestScheduleTakesTurns(t *testing.T) {
	now := time.Date(2024, 6, 3, 0, 0, 0, 0, time.UTC)
	s := newSchedule(1, Rates{TroubleHTML: 10 * time.Second, TroubleSlow: 10 * time.Second, TroubleRestated: 0})
	counts := map[Trouble]int{}
	for i := range 1000 {
		kind := s.pick(now, "p", "/x", func(Trouble) bool { return i < 500 || i > 800 })
		if i < 25 && kind != TroubleNone {
			t.Errorf("%s after %d ms", kind, i*100)
		}
		counts[kind]++
		now = now.Add(100 * time.Millisecond)
	}
	// 100 s with a pause of 30 s: what was due in the pause comes once after it.
	for _, kind := range []Trouble{TroubleHTML, TroubleSlow} {
		if n := counts[kind]; n < 7 || n > 8 {
			t.Errorf("%s %d times", kind, n)
		}
	}
	if counts[TroubleRestated] != 0 {
		t.Error("a rate of zero made trouble")
	}
	s.force(Force{Provider: "p", Path: "/x", Trouble: TroubleHTML, Times: 2})
	always := func(Trouble) bool { return true }
	s.setRates(nil)
	for i, want := range []struct {
		provider, path string
		kind           Trouble
	}{{"q", "/x", TroubleNone}, {"p", "/y", TroubleNone}, {"p", "/x/1", TroubleHTML}, {"p", "/x", TroubleHTML}, {"p", "/x", TroubleNone}} {
		if got := s.pick(now, want.provider, want.path, always); got != want.kind {
			t.Errorf("pick %d: %s, want %s", i, got, want.kind)
		}
	}
}
